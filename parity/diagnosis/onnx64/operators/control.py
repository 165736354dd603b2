"""Control flow: operators that run subgraphs. Values in a body may be unknown while others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from parity.artifacts import Array
from parity.diagnosis.onnx64.program import Node, Program
from parity.diagnosis.onnx64.values import (
    RAISED,
    TORCH_INTEGERS,
    Tensor,
    Unknown,
    Value,
    as_bool,
    as_ints,
    first_unknown,
    tensor_like,
)

RunBody = Callable[[Program, Sequence[Value]], "list[Value]"]
Control = Callable[[Node, Sequence[Value], RunBody], "Sequence[Value]"]


def _if(node: Node, inputs: Sequence[Value], run: RunBody) -> Sequence[Value]:
    (condition,) = inputs
    if isinstance(condition, Unknown):
        return [condition] * len(node.outputs)
    return run(node.bodies["then_branch" if as_bool(condition) else "else_branch"], [])


def _loop(node: Node, inputs: Sequence[Value], run: RunBody) -> Sequence[Value]:
    limit, condition, *state = inputs
    if unknown := first_unknown([limit, condition]):
        return [unknown] * len(node.outputs)
    body = node.bodies["body"]
    count = None if limit is None else as_ints(limit)[0]
    collected: list[list[Value]] = [[] for _ in body.outputs[1 + len(state) :]]
    going: Value = torch.tensor(True) if condition is None else condition
    step = 0
    while (count is None or step < count) and as_bool(going):
        going, *results = run(body, [torch.tensor(step), going, *state])
        if isinstance(going, Unknown):
            return [going] * len(node.outputs)
        state, scanned = results[: len(state)], results[len(state) :]
        for items, item in zip(collected, scanned, strict=True):
            items.append(item)
        step += 1
    first = 1 + len(state)
    return [*state, *(_stacked(items, 0, node, first + k) for k, items in enumerate(collected))]


def _scan(node: Node, inputs: Sequence[Value], run: RunBody) -> Sequence[Value]:
    if node.version < 9:
        return _batched_scan(node, inputs, run)
    body, count = node.bodies["body"], node.integer("num_scan_inputs")
    state, scanned = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    if unknown := first_unknown(scanned):
        return [unknown] * len(node.outputs)
    axes = node.integers("scan_input_axes") or [0] * count
    backwards = node.integers("scan_input_directions") or [0] * count
    columns = [_slices(value, axis, back) for value, axis, back in zip(scanned, axes, backwards, strict=True)]
    collected: list[list[Value]] = [[] for _ in body.outputs[len(state) :]]
    for row in zip(*columns, strict=True):
        results = run(body, [*state, *row])
        state = results[: len(state)]
        for items, item in zip(collected, results[len(state) :], strict=True):
            items.append(item)
    out_axes = node.integers("scan_output_axes") or [0] * len(collected)
    out_backwards = node.integers("scan_output_directions") or [0] * len(collected)
    outputs = [
        _stacked(items[::-1] if back else items, axis, node, len(state) + k)
        for k, (items, axis, back) in enumerate(zip(collected, out_axes, out_backwards, strict=True))
    ]
    return [*state, *outputs]


def _batched_scan(node: Node, inputs: Sequence[Value], run: RunBody) -> Sequence[Value]:
    """Operator set 8: every value has a batch axis in front, and each row of the batch is scanned alone."""
    lengths, *values = inputs
    if unknown := first_unknown(inputs):
        return [unknown] * len(node.outputs)
    if lengths is not None or any(node.integers("directions") or []):
        raise NotImplementedError("Scan of operator set 8 with sequence_lens or directions")
    body, count = node.bodies["body"], node.integer("num_scan_inputs")
    rows: list[list[Value]] = []
    for batch in range(tensor_like(values[0]).shape[0]):
        own: list[Value] = [tensor_like(value)[batch] for value in values]
        state, columns = own[: len(own) - count], [_slices(value, 0, 0) for value in own[len(own) - count :]]
        collected: list[list[Value]] = [[] for _ in body.outputs[len(state) :]]
        for row in zip(*columns, strict=True):
            results = run(body, [*state, *row])
            state = results[: len(state)]
            for items, item in zip(collected, results[len(state) :], strict=True):
                items.append(item)
        rows.append(
            [*state, *(_stacked(items, 0, node, len(state) + k) for k, items in enumerate(collected))]
        )
    return [_stacked(list(column), 0, node, k) for k, column in enumerate(zip(*rows, strict=True))]


def _sequence_map(node: Node, inputs: Sequence[Value], run: RunBody) -> Sequence[Value]:
    if unknown := first_unknown(inputs[:1]):
        return [unknown] * len(node.outputs)
    sequence, *others = inputs
    assert isinstance(sequence, list)
    rows = [
        run(node.bodies["body"], [item, *(o[k] if isinstance(o, list) else o for o in others)])
        for k, item in enumerate(sequence)
    ]
    if not rows:
        return [[] for _ in node.outputs]
    return [list(column) for column in zip(*rows, strict=True)]


def _slices(value: Value, axis: int, back: int) -> list[Tensor | Array]:
    tensor = tensor_like(value)
    front = tensor.movedim(axis, 0) if isinstance(tensor, torch.Tensor) else np.moveaxis(tensor, axis, 0)
    slices = [front[index] for index in range(front.shape[0])]
    return slices[::-1] if back else slices


def _stacked(items: list[Value], axis: int, node: Node, output: int) -> Value:
    """The results of all iterations as one tensor with a new axis."""
    if not items:
        return _nothing(node, output)
    if unknown := first_unknown(items):
        return unknown
    if all(isinstance(item, torch.Tensor) for item in items):
        return torch.stack(items, axis)  # type: ignore[arg-type]
    return np.stack([tensor_like(item) for item in items], axis)  # type: ignore[arg-type, unused-ignore]


def _nothing(node: Node, output: int) -> Value:
    """The result of no iteration: empty, of the shape that the body declares."""
    body = node.bodies["body"]
    declared = body.declared[output]
    tensor = declared.tensor_type if declared is not None else None
    if tensor is None or not tensor.HasField("shape") or tensor.elem_type not in (*RAISED, *TORCH_INTEGERS):
        missing = f"its body never ran, and does not declare the shape of {body.outputs[output]!r}"
        return Unknown(f"{node.label} can't be evaluated: {missing}")
    # A dimension that nothing tells is 0, as in ONNX Runtime: the tensor is empty anyway.
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    return torch.empty((0, *sizes), dtype=TORCH_INTEGERS.get(tensor.elem_type, torch.float64))


OPERATORS: dict[str, Control] = {
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
    "SequenceMap": _sequence_map,
}
