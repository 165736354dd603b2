"""What the tensors of a PyTorch result are called in the ONNX file."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable

from parity.records.jobs import ComponentJob
from parity.worker.problems import Unable, listed


def output_names(job: ComponentJob, paths: Iterable[str], whose: str) -> dict[str, str]:
    """Path in the PyTorch result -> name of the ONNX output, in the order of the result.

    A path that `job.outputs` does not map keeps its own name; one that is a mere position gets a word
    before it, ``output_0``, since exporters take no number for a name.

    Raises:
        Unable: ``specification``; a mapped path is not in the result, or is mapped twice.
    """
    known = list(paths)
    by_path: dict[str, str] = {}
    for name, path in job.outputs.items():
        if path not in known:
            near = difflib.get_close_matches(path, known, 1)
            raise Unable(
                "specification",
                f"outputs: {name!r} is nowhere: the result of {whose} has no {path!r}, but {listed(known)}",
                fix=f"did you mean {near[0]!r}?" if near else "use one of these paths",
            )
        if path in by_path and job.export:
            raise Unable(
                "specification",
                f"outputs: {by_path[path]!r} and {name!r} are both the path {path!r}",
                fix="give each output that is exported one name",
            )
        by_path[path] = name
    named = {path: by_path.get(path) or (f"output_{path}" if path.isdecimal() else path) for path in known}
    twice = [name for name, count in Counter(named.values()).items() if count > 1]
    if twice and job.export:
        raise Unable(
            "specification",
            f"{twice[0]!r} would be the name of two outputs of {whose}, whose result has {listed(known)}",
            fix="map each of them to a name of its own with 'outputs'",
        )
    return named
