"""What a loop must agree on; what only the ONNX file knows is checked by a worker."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from parity.spec.inputs import InputsSpec
from parity.spec.messages import Finding
from parity.spec.models import LoopSpec
from parity.spec.places import Path


def check_loop(path: Path, loop: LoopSpec, inputs: InputsSpec | None) -> Iterator[Finding]:
    """What is wrong with the loop at `path`.

    Args:
        path: of the loop.
        loop: of a model, or of a component.
        inputs: those of the model; None for a component, whose inputs the pipeline makes.
    """
    fed: dict[str, str] = {}
    for output, name in loop.state.items():
        if name in fed:
            problem = f"the input {name!r} would be {fed[name]!r} and {output!r} of the step before"
            yield Finding((*path, "state", output), problem, "feed each input from one output")
        fed.setdefault(name, output)
    for key in ("split", "grow"):
        for name in getattr(loop, key):
            if name in fed:
                problem = f"{name!r} is fed from the output {fed[name]!r}, so it is not to be cut"
                yield Finding((*path, key, name), problem, "keep one of the two", on_key=True)
            elif key == "grow" and name in loop.split:
                problem = f"{name!r} is in 'split' too"
                yield Finding((*path, key, name), problem, "keep one of the two", on_key=True)
    if inputs is not None and inputs.tensors is not None:
        yield from _unknown_inputs(path, loop, list(inputs.tensors))


def _unknown_inputs(path: Path, loop: LoopSpec, names: Sequence[str]) -> Iterator[Finding]:
    used = [((*path, "state", output), name, False) for output, name in loop.state.items()]
    used += [((*path, key, name), name, True) for key in ("split", "grow") for name in getattr(loop, key)]
    for where, name, on_key in used:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            fix = f"did you mean {near[0]!r}?" if near else f"the inputs are {', '.join(names)}"
            yield Finding(where, f"there is no input {name!r}", fix, on_key=on_key)
