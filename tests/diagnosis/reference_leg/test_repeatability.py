"""Why two runs of the reference differ."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.architectures import build
from torch import Tensor, nn

from parity.diagnosis.reference_leg.repeatability import RepeatabilityFinding, diagnose_repeatability

HERE = Path(__file__).name
X = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))


def line(mark: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{HERE}:{next(i for i, text in enumerate(lines, 1) if text.endswith(f'# line: {mark}'))}"


def diagnose(module: nn.Module, x: Tensor = X) -> RepeatabilityFinding:
    with torch.no_grad():
        return diagnose_repeatability(lambda: module(x), module)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.drop, self.act = nn.Linear(16, 16), nn.Dropout(0.3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.act(self.fc(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)


class Wrapper(Net):
    """Puts its parts into train mode whenever it is called."""

    def forward(self, x: Tensor) -> Tensor:
        self.train()
        return super().forward(x)


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, training=True)  # line: dropout


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn_like(x)


class Outside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * random.random() + float(np.random.rand())  # noqa: NPY002


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls


@pytest.mark.parametrize("name", ["resnet", "bert", "recurrent"])
def test_runs_that_agree_have_no_cause(name: str) -> None:
    module = build(name)
    with torch.no_grad():
        finding = diagnose_repeatability(lambda: module(*module.example_inputs(0)), module)
    assert finding.causes == ()
    assert "agreed" in finding.notes[0]


@pytest.mark.parametrize("module", [Net().train(), Wrapper().eval()])
def test_dropout_in_train_mode_is_named(module: nn.Module) -> None:
    modes = [child.training for child in module.modules()]
    finding = diagnose(module)
    (cause,) = finding.causes
    assert cause.kind == "train-mode"
    assert cause.leg == "repeatability"
    assert cause.message == "backbone.drop (Dropout) is in train mode when called"
    assert cause.share == 1.0
    assert finding.notes == ()
    if not isinstance(module, Wrapper):
        assert [child.training for child in module.modules()] == modes


def test_functional_dropout_is_named_with_its_line() -> None:
    (cause,) = diagnose(Functional().eval()).causes
    assert cause.kind == "nondeterminism"
    assert cause.message == f"random numbers are drawn by dropout in the module itself at {line('dropout')}"
    assert cause.remedy == "functional.dropout(x, p, training=self.training)"
    assert cause.share == 1.0


def test_both_have_their_share() -> None:
    module = nn.Sequential(Net().train(), Noisy())
    finding = diagnose(module)
    shares = {cause.kind: cause.share or 0.0 for cause in finding.causes}
    assert shares.keys() == {"train-mode", "nondeterminism"}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share > 0.05 for share in shares.values())


def test_random_numbers_from_elsewhere() -> None:
    (cause,) = diagnose(Outside()).causes
    assert "Python's random, numpy.random" in cause.message
    assert cause.share == 1.0


def test_a_buffer_that_each_run_changes() -> None:
    module = Counting()
    (cause,) = diagnose(module).causes
    assert cause.message == "each run changes calls: the next one starts from something else"
    assert cause.share == 1.0
    assert module.calls == 0


def test_what_can_not_be_explained_is_said() -> None:
    values = iter(range(1000))

    class Strange(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + next(values) ** 2

    finding = diagnose(Strange())
    assert finding.notes
    assert "not explained" in finding.notes[0]


def test_random_generators_are_as_they_were() -> None:
    module = nn.Sequential(Net().train(), Outside())
    state, python, array = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert diagnose(module).causes
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == array).all()  # noqa: NPY002
