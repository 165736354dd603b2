from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.reference import unable
from torch import nn

from parity import driver
from parity.records.jobs import ModelJob
from parity.worker.modules import build_module, enforce_eval, find_device, move, running

CPU = torch.device("cpu")
no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


class Stubborn(nn.Dropout):
    def train(self, mode: bool = True) -> nn.Module:
        return super().train(True)


class Immovable(nn.Dropout):
    @property
    def training(self) -> bool:
        return True

    @training.setter
    def training(self, value: bool) -> None:
        pass


def test_eval_reaches_the_whole_tree() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(3)))

    assert enforce_eval(module, "the model") == ()
    assert not any(child.training for child in module.modules())


def test_a_module_that_overrides_train_is_put_in_eval_mode_and_noted() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Stubborn()))

    (note,) = enforce_eval(module, "the model")

    assert "1.0 stayed in train mode after eval()" in note
    assert not any(child.training for child in module.modules())


def test_a_module_that_can_not_be_put_in_eval_mode_is_named() -> None:
    error = unable(lambda: enforce_eval(nn.Sequential(Immovable()), "component 'head'"))

    assert error.problem == "0 of component 'head' can't be put in eval mode"


def test_an_eval_that_raises_is_the_users() -> None:
    class Raising(nn.Module):
        def eval(self) -> nn.Module:
            raise ValueError("not now")

    assert unable(lambda: enforce_eval(Raising(), "the model")).reason == "user-code"


@no_cuda
@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch has CUDA")
def test_a_pytorch_without_cuda_says_so() -> None:
    error = unable(lambda: find_device("cuda:0"))

    assert error.reason == "device"
    assert f"this PyTorch build ({torch.__version__}) has no CUDA" in error.problem
    assert error.fix


@no_cuda
def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")  # a CUDA build, as far as is asked

    error = unable(lambda: find_device("cuda:0"))

    assert error.reason == "device"
    assert driver.find().problem in error.problem
    assert error.fix


def test_a_device_beyond_the_last_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert find_device("cuda:1") == torch.device("cuda", 1)
    error = unable(lambda: find_device("cuda:2"))
    assert (error.reason, error.fix) == ("device", "use cuda:0 to cuda:1")
    assert "there are 2 CUDA devices" in error.problem


@pytest.mark.parametrize("name", ["meta", "tpu:0", ""])
def test_no_other_device_is_taken(name: str) -> None:
    assert unable(lambda: find_device(name)).reason == "device"


def test_what_does_not_move_is_named() -> None:
    class Fixed(nn.Linear):
        def _apply(self, fn: object, recurse: bool = True) -> nn.Module:
            return self

    module = nn.Sequential(Fixed(2, 2, device="meta"))

    error = unable(lambda: move(module, CPU, "the model"))

    assert error.problem == (
        "0.weight, a parameter of shape (2, 2), is on meta, not on cpu, "
        "0.bias, a parameter of shape (2), is on meta, not on cpu: the model did not move to cpu"
    )
    assert [cause.tensor for cause in error.causes] == ["0.weight", "0.bias"]


def test_plain_tensors_left_behind_are_noted() -> None:
    module = nn.Sequential(nn.ReLU())
    module[0].anchors = torch.ones(2, device="meta")

    (note,) = move(module, CPU, "the model")

    assert "0.anchors, a plain tensor attribute of shape (2), is on meta, not on cpu; " in note


def test_a_mix_of_devices_gets_the_way_out() -> None:
    def forward() -> None:
        raise RuntimeError("Expected all tensors to be on the same device, but got mat2 is on cuda:0")

    def run() -> None:
        with running("running the model", CPU):
            forward()

    assert "register_buffer" in unable(run).fix


def test_an_exhausted_device_is_no_fault_of_the_code() -> None:
    def run() -> None:
        with running("running the model", CPU):
            raise torch.OutOfMemoryError("CUDA out of memory")

    error = unable(run)
    assert (error.reason, error.problem) == ("device", "cpu has not enough memory for running the model")


def test_an_unknown_loader_names_those_there_are() -> None:
    error = unable(lambda: build_module(ModelJob(loader="keras", target="x:y"), Path()))
    assert "python" in error.fix


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_module_moves_to_the_gpu() -> None:
    device, module = find_device("cuda:0"), nn.Linear(2, 2)

    assert move(module, device, "the model") == ()
    assert module.weight.device == device
