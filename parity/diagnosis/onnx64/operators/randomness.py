"""Random operators: there is no right answer to compare with."""

from __future__ import annotations

import torch

from parity.diagnosis.onnx64.operators.casting import AnyOperator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import CannotEvaluate, Value, as_bool, as_floats, tensor_like


def _random(_node: Node, *_inputs: Value) -> Value:
    raise CannotEvaluate("random")


def _dropout(node: Node, x: Value, ratio: Value = None, training: Value = None) -> tuple[Value, ...]:
    old = node.version < 7
    active = not node.integer("is_test") if old else training is not None and as_bool(training)
    share = node.number("ratio", 0.5) if ratio is None else as_floats(ratio)[0]
    if active and share != 0:
        raise CannotEvaluate("random")
    kept = torch.ones(tensor_like(x).shape, dtype=torch.bool)
    # Before operator set 10 the mask had the type of the data.
    return x, kept.double() if node.version < 10 else kept


OPERATORS: dict[str, AnyOperator] = {
    "Bernoulli": _random,
    "Dropout": _dropout,
    "Multinomial": _random,
    "RandomNormal": _random,
    "RandomNormalLike": _random,
    "RandomUniform": _random,
    "RandomUniformLike": _random,
}
