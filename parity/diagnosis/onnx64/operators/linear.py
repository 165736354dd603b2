"""Sums of products over matrices."""

from __future__ import annotations

import torch

from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor


def _matmul(_node: Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    product = (a.T if node.integer("transA") else a) @ (b.T if node.integer("transB") else b)
    if alpha != 1:
        product = (alpha * product).to(a.dtype)
    return product if c is None or beta == 0 else product + (c if beta == 1 else (beta * c).to(c.dtype))


def _einsum(node: Node, *operands: Tensor) -> Tensor:
    # ONNX allows spaces and capitals; PyTorch takes both.
    return torch.einsum(node.text("equation"), *operands)


def _det(_node: Node, x: Tensor) -> Tensor:
    determinant: Tensor = torch.linalg.det(x)
    return determinant


OPERATORS: dict[str, Operator] = {
    "Det": _det,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
