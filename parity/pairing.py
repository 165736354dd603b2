"""Which tensor of the reference each ONNX output is compared with.

What has no counterpart is a pair too: one with a `problem`, which fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from parity.errors import SpecError
from parity.records.tensors import Record, TensorRecord, ValueInfo


class Pair(Record):
    """One output to judge. With a `problem`, one side is missing and the output has failed."""

    name: str  # of the ONNX output; of the reference tensor where the ONNX model has none
    reference_path: str = ""
    reference: TensorRecord | None = None
    candidate: TensorRecord | None = None
    problem: str = ""


def pair(
    onnx_outputs: tuple[ValueInfo, ...],
    reference: tuple[TensorRecord, ...],
    candidate: tuple[TensorRecord, ...],
    mapping: Mapping[str, str],
    *,
    at: str = "",
) -> tuple[Pair, ...]:
    """Pairs the outputs of one component, in the order of the ONNX file.

    Args:
        onnx_outputs: as the ONNX file declares them.
        reference: tensors of the PyTorch result, named by their paths in it, in order.
        candidate: tensors of the ONNX outputs, named as these are.
        mapping: ONNX output -> path, as the specification has it. With one, the reference's further tensors
            are not compared, and an output that it leaves out has the path of its own name. Without one,
            outputs go by name when every one of them names a path, else by order.
        at: the place of the mapping in the specification, for errors.

    Raises:
        SpecError: the mapping names no output or path that is there, or leaves out an output.
    """
    names = [output.name for output in onnx_outputs]
    paths = [tensor.name for tensor in reference]
    if mapping:
        ways = _mapped(names, paths, mapping, at)
        unpaired: list[str] = []
    elif set(names) <= set(paths):
        ways = {name: name for name in names}
        unpaired = [path for path in paths if path not in ways]
    else:
        ways = dict(zip(names, paths, strict=False))
        unpaired = paths[len(names) :]
    by_path, by_name = _by_name(reference), _by_name(candidate)
    counts = f"the reference has {_tensors(len(paths))}, the ONNX model {len(names)}"
    return (
        *(_pair(name, ways.get(name), by_path, by_name, counts) for name in names),
        *(_missing_candidate(by_path[path], f"no ONNX output stands for it: {counts}") for path in unpaired),
        *(_undeclared(tensor) for tensor in candidate if tensor.name not in names),
    )


def pair_by_name(
    reference: tuple[TensorRecord, ...], candidate: tuple[TensorRecord, ...]
) -> tuple[Pair, ...]:
    """Pairs what the chain returned with PyTorch stages and with ONNX stages: by name, on both sides."""
    by_path, by_name = _by_name(reference), _by_name(candidate)
    names = list(dict.fromkeys((*by_path, *by_name)))
    return tuple(_pair(name, name, by_path, by_name, "not returned with PyTorch stages") for name in names)


def _pair(
    name: str,
    path: str | None,
    by_path: Mapping[str, TensorRecord],
    by_name: Mapping[str, TensorRecord],
    why: str,
) -> Pair:
    reference, candidate = by_path.get(path) if path is not None else None, by_name.get(name)
    problem = ""
    if reference is None:
        problem = f"missing in the reference: {why}"
    elif candidate is None:
        problem = "missing in the candidate: the run did not return it"
    return Pair(
        name=name,
        reference_path=path or "",
        reference=reference,
        candidate=candidate,
        problem=problem,
    )


def _missing_candidate(tensor: TensorRecord, why: str) -> Pair:
    problem = f"missing in the candidate: {why}"
    return Pair(name=tensor.name, reference_path=tensor.name, reference=tensor, problem=problem)


def _undeclared(tensor: TensorRecord) -> Pair:
    problem = "missing in the reference: the ONNX file does not declare this output"
    return Pair(name=tensor.name, candidate=tensor, problem=problem)


def _mapped(names: list[str], paths: list[str], mapping: Mapping[str, str], at: str) -> dict[str, str]:
    for name, path in mapping.items():
        if name not in names:
            raise SpecError(f"the ONNX model has no output {name!r}", at=at, fix=_nearest(name, names))
        if path not in paths:
            problem = f"output {name!r} is mapped to {path!r}, which the PyTorch result does not have"
            raise SpecError(problem, at=at, fix=_nearest(path, paths))
    for name in names:
        if name not in mapping and name not in paths:
            problem = f"outputs leaves out {name!r}, and no path in the PyTorch result has this name"
            raise SpecError(problem, at=at, fix=f"map it to one of: {_listed(paths)}")
    return {name: mapping.get(name, name) for name in names}


def _nearest(wrong: str, known: list[str]) -> str:
    near = get_close_matches(wrong, known, n=3)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"it has: {_listed(known)}"


def _listed(names: Iterable[str], most: int = 12) -> str:
    listed = [repr(name) for name in names]
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "nothing"


def _by_name(tensors: Iterable[TensorRecord]) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in tensors}


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"
