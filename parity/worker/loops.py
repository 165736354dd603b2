"""Steps of a component with state: outputs of each are inputs of the next. Of arrays and tensors alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from parity.records.jobs import MODEL, ComponentJob
from parity.worker.problems import Unable, listed

T = TypeVar("T")
Run = Callable[[dict[str, Any]], Mapping[str, T]]
"""One step: inputs by name -> outputs by ONNX name."""


def run_steps(component: ComponentJob, given: Mapping[str, Any], run: Run[T]) -> Iterator[Mapping[str, T]]:
    """The outputs of each step, which runs when it is asked for.

    Args:
        component: with a loop.
        given: the inputs by name; those of the state are the first step's.
        run: one step.

    Raises:
        Unable: ``specification``; the loop names an input or output that is not there, or cuts an input that
            can't be cut so.
    """
    assert component.loop is not None
    _check_inputs(component, list(given))
    state: dict[str, T] = {}
    for step in range(component.loop.steps):
        inputs = {
            name: state[name] if name in state else value[_part(component, name, value.shape, step)]
            for name, value in given.items()
        }
        outputs = run(inputs)
        yield outputs
        state = next_state(component, outputs)


def next_state(component: ComponentJob, outputs: Mapping[str, T]) -> dict[str, T]:
    """What a step hands to the next, by the names of the inputs.

    Raises:
        Unable: ``specification``; it has no such output.
    """
    assert component.loop is not None
    for output in component.loop.state:
        if output not in outputs:
            _unknown(component, "output", output, list(outputs), f"state.{output}")
    return {name: outputs[output] for output, name in component.loop.state.items()}


def _check_inputs(component: ComponentJob, given: Sequence[str]) -> None:
    loop = component.loop
    assert loop is not None
    named = {f"state.{output}": name for output, name in loop.state.items()}
    named |= {f"split.{name}": name for name in loop.split} | {f"grow.{name}": name for name in loop.grow}
    for key, name in named.items():
        if name not in given:
            _unknown(component, "input", name, given, key)


def _unknown(component: ComponentJob, role: str, name: str, known: Sequence[str], key: str) -> NoReturn:
    near = difflib.get_close_matches(name, known, 1)
    raise Unable(
        "specification",
        f"loop: {_whose(component)} has no {role} {name!r}; it has {listed(known)}",
        fix=f"did you mean {near[0]!r}?" if near else f"use the names of the ONNX file's {role}s",
        about=_about(component, key),
    )


def _part(component: ComponentJob, name: str, shape: Sequence[int], step: int) -> tuple[slice, ...]:
    """What of an input a step gets, as an index: all of it where the loop does not say."""
    loop = component.loop
    assert loop is not None
    key = "split" if name in loop.split else "grow" if name in loop.grow else None
    if key is None:
        return (slice(None),) * len(shape)
    axis: int = getattr(loop, key)[name]
    size = shape[axis] if axis < len(shape) else 0
    width, rest = divmod(size, loop.steps)
    least = loop.steps if key == "split" else loop.steps - 1
    if axis >= len(shape) or size < least or (key == "split" and rest):
        wanted = f"a multiple of {loop.steps}" if key == "split" else f"at least {loop.steps - 1}"
        raise Unable(
            "specification",
            f"loop: the input {name!r} has the shape {list(shape)}; axis {axis} must have a size of {wanted}",
            fix="give the input as many elements along the axis as the steps need, or name another axis",
            about=_about(component, f"{key}.{name}"),
        )
    start, end = (step * width, (step + 1) * width) if key == "split" else (0, size - loop.steps + 1 + step)
    return (*[slice(None)] * axis, slice(start, end))


def _about(component: ComponentJob, key: str) -> str:
    return f"loop.{key}" if component.name == MODEL else f"components.{component.name}.loop.{key}"


def _whose(component: ComponentJob) -> str:
    return "the model" if component.name == MODEL else f"component {component.name!r}"
