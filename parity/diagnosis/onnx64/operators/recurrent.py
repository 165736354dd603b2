"""LSTM, GRU and RNN, step by step. Formulas and gate orders as in the ONNX operator specification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from parity.diagnosis.onnx64.operators.activations import (
    elu,
    hard_sigmoid,
    leaky_relu,
    softplus,
    thresholded_relu,
)
from parity.diagnosis.onnx64.operators.elementwise import Operator
from parity.diagnosis.onnx64.program import Node
from parity.diagnosis.onnx64.values import Tensor

Activation = Callable[[Tensor], Tensor]
# (input gates already multiplied by W, states) -> new states; the first is the output.
Cell = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]

_PLAIN: dict[str, Activation] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": lambda x: x / (1 + x.abs()),
    "softplus": softplus,
}
# With the defaults of the operators of the same names.
_ONE_PARAMETER: dict[str, tuple[Callable[[Tensor, float], Tensor], float]] = {
    "leakyrelu": (leaky_relu, 0.01),
    "thresholdedrelu": (thresholded_relu, 1.0),
    "elu": (elu, 1.0),
}
_TWO_PARAMETERS: dict[str, tuple[Callable[[Tensor, float, float], Tensor], float, float]] = {
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: a * torch.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (hard_sigmoid, 0.2, 0.5),
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One direction: weights w (gates * hidden, input), r (gates * hidden, hidden), biases, peepholes."""

    w: Tensor
    r: Tensor
    bias: Tensor
    recurrent_bias: Tensor
    peepholes: Tensor | None
    activations: list[Activation]
    clip: Callable[[Tensor], Tensor]
    node: Node


def _activations(node: Node, default: Sequence[str], direction: int) -> list[Activation]:
    names = [str(_text(name)) for name in node.attributes.get("activations", [])] or list(default) * 2
    alphas, betas = (
        list(node.attributes.get("activation_alpha", [])),
        list(node.attributes.get("activation_beta", [])),
    )
    chosen = [_activation(name.lower(), alphas, betas) for name in names]
    count = len(default)
    return chosen[direction * count : (direction + 1) * count]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _activation(name: str, alphas: list[float], betas: list[float]) -> Activation:
    """Parameters are given in the order of the activations that take any."""
    if name in _PLAIN:
        return _PLAIN[name]
    if name in _ONE_PARAMETER:
        one, default = _ONE_PARAMETER[name]
        alpha = alphas.pop(0) if alphas else default
        return lambda x: one(x, alpha)
    if name in _TWO_PARAMETERS:
        two, first, second = _TWO_PARAMETERS[name]
        a, b = alphas.pop(0) if alphas else first, betas.pop(0) if betas else second
        return lambda x: two(x, a, b)
    raise ValueError(f"there is no activation {name!r}")


def _lstm_cell(layer: _Layer) -> Cell:
    f, g, h = layer.activations

    def step(gates: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, cell = states
        gates = gates + hidden @ layer.r.T + layer.recurrent_bias
        i, o, forget, c = gates.chunk(4, -1)
        pi, po, pf = layer.peepholes.chunk(3) if layer.peepholes is not None else (0, 0, 0)
        i = f(layer.clip(i + pi * cell))
        forget = 1 - i if layer.node.integer("input_forget") else f(layer.clip(forget + pf * cell))
        cell = forget * cell + i * g(layer.clip(c))
        o = f(layer.clip(o + po * cell))
        return o * h(cell), cell

    return step


def _gru_cell(layer: _Layer) -> Cell:
    f, g = layer.activations
    r_update, r_reset, r_hidden = layer.r.chunk(3)
    b_update, b_reset, b_hidden = layer.recurrent_bias.chunk(3)

    def step(gates: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (hidden,) = states
        z, r, h = gates.chunk(3, -1)
        z = f(layer.clip(z + hidden @ r_update.T + b_update))
        r = f(layer.clip(r + hidden @ r_reset.T + b_reset))
        if layer.node.integer("linear_before_reset"):
            h = g(layer.clip(h + r * (hidden @ r_hidden.T + b_hidden)))
        else:
            h = g(layer.clip(h + (r * hidden) @ r_hidden.T + b_hidden))
        return ((1 - z) * h + z * hidden,)

    return step


def _rnn_cell(layer: _Layer) -> Cell:
    (f,) = layer.activations
    return lambda gates, states: (f(layer.clip(gates + states[0] @ layer.r.T + layer.recurrent_bias)),)


def _run(
    cell: Cell, layer: _Layer, x: Tensor, lengths: Tensor, states: tuple[Tensor, ...], back: bool
) -> Tensor:
    """One direction over x (steps, batch, input): outputs and final states, stacked in front.

    Sequences shorter than the tensor keep their state, and give zeros, beyond their end. Read backwards,
    each starts at its own end.
    """
    steps = range(x.shape[0])
    gates = x @ layer.w.T + layer.bias
    outputs: list[Tensor] = [x.new_zeros(())] * len(steps)
    for t in reversed(steps) if back else steps:
        inside = (t < lengths)[:, None]
        new = cell(gates[t], states)
        states = tuple(torch.where(inside, n, old) for n, old in zip(new, states, strict=True))
        outputs[t] = torch.where(inside, new[0], torch.zeros_like(new[0]))
    return torch.stack([*outputs, *states])


def _recurrent(
    gates: int, activations: Sequence[str], build: Callable[[_Layer], Cell], *, cells: int
) -> Operator:
    """The operator: `gates` blocks of weights, `cells` states, of which the first is the output."""

    def apply(node: Node, x: Tensor, w: Tensor, r: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
        bias, lengths, *initial = list(rest) + [None] * 5
        peepholes = initial[cells] if cells == 2 else None
        batch_first = bool(node.integer("layout"))
        if batch_first:
            x = x.transpose(0, 1)
        steps, batch, _ = x.shape
        hidden = r.shape[-1]
        if lengths is None:
            lengths = torch.full((batch,), steps, device=x.device)
        limit = node.attributes.get("clip")
        clip = (lambda t: t.clamp(-limit, limit)) if limit else (lambda t: t)
        backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
        results = []
        for d, back in enumerate(backwards[node.text("direction", "forward")]):
            biases = x.new_zeros(2 * gates * hidden) if bias is None else bias[d]
            layer = _Layer(
                w=w[d],
                r=r[d],
                bias=biases[: gates * hidden],
                recurrent_bias=biases[gates * hidden :],
                peepholes=None if peepholes is None else peepholes[d],
                activations=_activations(node, activations, d),
                clip=clip,
                node=node,
            )
            states = tuple(_state(value, d, batch_first, x, hidden) for value in initial[:cells])
            results.append(_run(build(layer), layer, x, lengths, states, back))
        whole = torch.stack(results, 1)  # steps and states, directions, batch, hidden
        y, finals = whole[:steps], list(whole[steps:])
        if batch_first:
            return y.permute(2, 0, 1, 3), *(final.transpose(0, 1) for final in finals)
        return y, *finals

    return apply


def _state(value: Tensor | None, direction: int, batch_first: bool, x: Tensor, hidden: int) -> Tensor:
    if value is None:
        return x.new_zeros(x.shape[1], hidden)
    return value[:, direction] if batch_first else value[direction]


OPERATORS: dict[str, Operator] = {
    "GRU": _recurrent(3, ("Sigmoid", "Tanh"), _gru_cell, cells=1),
    "LSTM": _recurrent(4, ("Sigmoid", "Tanh", "Tanh"), _lstm_cell, cells=2),
    "RNN": _recurrent(1, ("Tanh",), _rnn_cell, cells=1),
}
