"""Whole networks in float64: precise, complete, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.architectures import ARCHITECTURES, build
from torch import Tensor, nn

from parity.diagnosis.torch64 import Observation, Unknown, evaluate64
from parity.worker.flattening import flatten

NAMES = list(ARCHITECTURES)


def _state(module: nn.Module, *inputs: Tensor) -> Iterator[tuple[Any, ...]]:
    """What must be the same afterwards: identity, memory, dtype and bits of every tensor."""
    for owner in module.modules():
        for name, value in vars(owner).items():
            yield name, id(value)
    for tensor in (*module.parameters(), *module.buffers(), *inputs):
        bits = tensor.detach().contiguous().numpy().tobytes()
        yield id(tensor), tensor.data_ptr(), tensor.dtype, tensor.stride(), tensor.storage_offset(), bits


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_close_to_float32_and_nothing_left_behind(name: str) -> None:
    module = build(name)
    inputs = module.example_inputs(3)
    before = list(_state(module, *inputs))
    with torch.no_grad():
        reference = flatten(module(*inputs))
    result = evaluate64(module, inputs)
    assert list(_state(module, *inputs)) == before
    assert result.native is torch.float32
    assert result.random_ops == ()
    assert list(result.outputs) == list(reference)
    for path, expected in reference.items():
        output = result.outputs[path]
        if not expected.is_floating_point():
            assert torch.equal(output, expected)
            continue
        assert output.dtype is torch.float64
        error = (output - expected.double()).abs().max().item()
        assert 0 < error <= 2e-5 * expected.abs().max().item()


def test_deterministic(name: str) -> None:
    module = build(name)
    inputs = module.example_inputs(0)
    first, second = (evaluate64(module, inputs).outputs for _ in range(2))
    assert all(torch.equal(first[path], second[path]) for path in first)


def test_every_float_result_is_float64(name: str) -> None:
    module = build(name)
    seen: list[Observation] = []
    dtypes: set[torch.dtype] = set()

    def observe(observation: Observation) -> None:
        seen.append(observation)
        dtypes.update(each.dtype for each in (*observation.inputs, *observation.outputs))

    evaluate64(module, module.example_inputs(0), observe=observe)
    assert dtypes <= {torch.float64, torch.int64, torch.bool, torch.uint8, torch.int32}
    assert all(each.outputs and each.op_name for each in seen)
    paths = {path for path, _ in module.named_modules()}
    assert {each.module_path for each in seen} <= paths
    lines = [each.source for each in seen if each.module_path]
    assert sum("architectures.py:" in line for line in lines) > 0.9 * len(lines)


def test_computes_in_float64_rather_than_rounding_less() -> None:
    """Against the module converted by hand, where that is possible: the same to the last bits."""
    module = build("resnet")
    (x,) = module.example_inputs(0)
    output = evaluate64(module, [x]).outputs["output"]
    with torch.no_grad():
        by_hand = module.double()(x.double())
    torch.testing.assert_close(output, by_hand, rtol=1e-14, atol=1e-14)


class Broken(nn.Module):
    """Changes all it can, then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.tied = nn.Linear(4, 4)
        self.also = nn.Linear(4, 4)
        self.also.weight = self.tied.weight
        self.register_buffer("base", torch.arange(6.0))
        self.register_buffer("view", self.base[2:5])
        self.plain = {"scales": [torch.full((4,), 0.5)], "made": []}
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2.0)
        y = self.also(self.tied(self.norm(x)))
        self.base += 1
        self.plain["scales"][0].add_(y[0])
        self.plain["made"].append(y)
        self.plain["more"] = y
        self.last = y
        self.register_buffer("late", y)
        raise ValueError("no more")


def test_restored_after_an_error() -> None:
    module = Broken().train()
    x = torch.randn(3, 4)
    scale = module.plain["scales"][0]
    before = list(_state(module, x, scale))
    generator = torch.random.get_rng_state()
    with pytest.raises(Unknown, match=r"ValueError in float64 at aten\.\w+.*: no more"):
        evaluate64(module, [x])
    assert list(_state(module, x, scale)) == before
    assert module.plain["made"] == []
    assert list(module.plain) == ["scales", "made"]
    assert module.last is None
    assert module.tied.weight is module.also.weight
    assert module.view.data_ptr() == module.base[2:].data_ptr()
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


class Aliases(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("base", torch.arange(6.0))
        self.register_buffer("rows", self.base.view(2, 3)[1])
        self.weight = nn.Parameter(torch.ones(3))
        self.same = [self.weight]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.base += x
        return self.rows * 1, self.weight * self.same[0]


def test_memory_that_is_shared_is_shared_in_float64() -> None:
    module = Aliases()
    outputs = evaluate64(module, [torch.tensor(1 / 3)]).outputs
    third = torch.tensor(1 / 3).double()
    assert torch.equal(outputs["0"], torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64) + third)
    assert torch.equal(module.rows, torch.tensor([3.0, 4.0, 5.0]))


def test_an_output_that_is_an_input_stays_float64() -> None:
    x = torch.randn(3)
    output = evaluate64(nn.Identity(), [x]).outputs["output"]
    assert output.dtype is torch.float64
    assert x.dtype is torch.float32
    assert torch.equal(output, x.double())


def test_train_mode_and_batch_counters() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = list(_state(module))
    first = evaluate64(module, [torch.ones(8, 4) * torch.arange(8.0)[:, None]])
    assert first.random_ops == ("aten.bernoulli_.float",)
    assert list(_state(module)) == before
    assert evaluate64(module.eval(), [torch.ones(8, 4)]).random_ops == ()


def test_the_grad_mode_is_the_callers() -> None:
    class Forces(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.detach().requires_grad_()
            return torch.autograd.grad((x**3).sum(), x)[0]

    x = torch.randn(4)
    with torch.enable_grad():
        output = evaluate64(Forces(), [x]).outputs["output"]
    assert torch.equal(output, 3 * x.double() ** 2)


@pytest.mark.parametrize("called_inside", [False, True])
@pytest.mark.parametrize("made_inside", [False, True])
def test_inference_mode(made_inside: bool, called_inside: bool) -> None:
    with torch.inference_mode(made_inside):
        module, x = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval(), torch.randn(3, 4)
    before = list(_state(module, x))
    with torch.inference_mode(called_inside), torch.no_grad():
        output = evaluate64(module, [x]).outputs["output"]
        assert list(_state(module, x)) == before
        torch.testing.assert_close(output, module(x).double(), rtol=1e-4, atol=1e-5)


def test_keyword_inputs() -> None:
    module = build("bert")
    ids, mask = module.example_inputs(0)
    expected = evaluate64(module, [ids, mask]).outputs
    outputs = evaluate64(module, [ids], {"attention_mask": mask}).outputs
    assert all(torch.equal(outputs[path], expected[path]) for path in expected)
