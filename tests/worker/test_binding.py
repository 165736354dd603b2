from __future__ import annotations

import pytest
import torch
from support.reference import unable
from torch import nn

from parity.worker.binding import Binding, bind, positional_names


class Net(nn.Module):
    def forward(self, a, b=None, c=None, *, k=None):  # type: ignore[no-untyped-def]
        return a


class PositionOnly(nn.Module):
    def forward(self, x, /, y):  # type: ignore[no-untyped-def]
        return x


class Any_(nn.Module):  # noqa: N801
    def forward(self, **inputs):  # type: ignore[no-untyped-def]
        return inputs


class Many(nn.Module):
    def forward(self, *tensors, **options):  # type: ignore[no-untyped-def]
        return tensors


@pytest.mark.parametrize(
    ("module", "names", "binding"),
    [
        (Net(), ["a"], Binding(("a",))),
        (Net(), ["b", "a"], Binding(("a", "b"))),
        (Net(), ["c", "a"], Binding(("a",), ("c",))),
        (Net(), ["k", "a", "b"], Binding(("a", "b"), ("k",))),
        (Net(), ["x", "y"], Binding(("x", "y"))),
        (Net(), ["a", "y"], Binding(("a", "y"))),
        (PositionOnly(), ["y", "x"], Binding(("x", "y"))),
        (Any_(), ["x", "y"], Binding((), ("x", "y"))),
        (Many(), ["x", "y"], Binding(("x", "y"))),
    ],
)
def test_tensors_go_by_name_or_by_order(module: nn.Module, names: list[str], binding: Binding) -> None:
    assert bind(module, names, "the model") == binding


@pytest.mark.parametrize(
    ("module", "names", "said"),
    [
        (Net(), ["b", "x"], "by position the input 'b' would be passed to the model as 'a'"),
        (Net(), ["x", "k"], "the input 'k' would be passed to the model as 'b'"),
        (Net(), ["b"], "needs 'a'"),
        (Net(), ["w", "x", "y", "z"], "takes 'a', 'b', 'c'"),
        (PositionOnly(), ["one"], "needs 'y'"),
    ],
)
def test_names_that_fit_neither_way_are_refused(module: nn.Module, names: list[str], said: str) -> None:
    error = unable(lambda: bind(module, names, "the model"))

    assert error.reason == "specification"
    assert said in error.problem


def test_arguments_follow_the_binding() -> None:
    class Sub(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x - y

    assert positional_names(Sub()) == ["x", "y"]
    assert Binding(("y",), ("x",)).arguments({"x": torch.ones(1), "y": torch.zeros(1)})[1]["x"].item() == 1
