"""Why the reference is off its exact result: sound networks, kernels of lower precision, autocast, NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.architectures import ARCHITECTURES, build
from support.kernels import rounding_operands, to_bfloat16, to_float16, to_tf32
from torch import Tensor, nn

from parity.diagnosis.reference_leg.finding import ReferenceFinding, diagnose_reference

HERE = Path(__file__).name


def diagnose(module: nn.Module, *inputs: Tensor) -> ReferenceFinding:
    with torch.no_grad():
        return diagnose_reference(lambda: module(*inputs), module.eval())


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def line(mark: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{HERE}:{next(i for i, text in enumerate(lines, 1) if text.endswith(f'# line: {mark}'))}"


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_sound(finding: ReferenceFinding) -> None:
    assert [cause.kind for cause in finding.causes] == ["rounding"], finding
    assert finding.first_divergence is None


class Small(nn.Module):
    """A convolution and a linear layer, with whatever stands between them."""

    def __init__(self, between: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 4)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # line: conv
        return self.head(self.between(x.mean((2, 3))))


# --- sound


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sound_networks_round_and_no_more(name: str, mode: Callable[[], torch.no_grad]) -> None:
    module = build(name)
    inputs = module.example_inputs(0)
    with mode():
        finding = diagnose_reference(lambda: module(*inputs), module)
    assert_sound(finding)
    assert not finding.notes


def test_the_module_is_as_it_was() -> None:
    module = build("resnet")
    (x,) = module.example_inputs(0)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    given = x.clone()
    with torch.no_grad():
        alone = module(x)
        seen: list[Tensor] = []
        diagnose_reference(lambda: seen.append(module(x)), module)
        again = module(x)
    assert torch.equal(alone, seen[0])
    assert torch.equal(alone, again)
    assert torch.equal(x, given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())


def test_inputs_of_range_255_are_sound() -> None:
    module = build("resnet")
    assert_sound(diagnose(module, 255 * torch.rand(2, 3, 32, 32)))


def test_a_network_a_hundred_layers_deep_is_sound() -> None:
    layers = [layer for _ in range(100) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())]
    assert_sound(diagnose(seeded(lambda: nn.Sequential(*layers)), normal(1, 4, 12, 12)))


def test_sparse_inputs_are_sound() -> None:
    x = torch.zeros(1, 3, 32, 32)
    x[0, 0, 5, 5], x[0, 1, 20, 20] = 1e6, 1e-6
    assert_sound(diagnose(seeded(Small), x))


class Cancelling(nn.Module):
    """Honest kernels that lose bits since their operands do: sums that cancel, a norm of a large mean."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        shifted = x + 1000.0
        centred = x - x.mean()
        close = torch.eye(4) + 1e-4 * x[0, 0, :4, :4]
        return (
            F.layer_norm(shifted, shifted.shape[-1:]),
            F.instance_norm(shifted),
            centred.sum(),
            centred.mean((2, 3)),
            torch.linalg.inv(torch.ones(4, 4) + 1e-4 * close),
            torch.cumsum(centred, -1),
            x.var(),
            torch.cdist(shifted[0, 0], shifted[0, 0]),
            torch.linalg.svd(x[0, 0])[0],
            torch.sin(1e4 * x),
            torch.div(x, 0.1, rounding_mode="floor"),
        )


def test_what_operands_lose_is_not_the_kernels_fault() -> None:
    assert_sound(diagnose(Cancelling(), normal(1, 3, 16, 16)))


def test_in_place_operators_and_views_are_sound() -> None:
    def between(x: Tensor) -> Tensor:
        y = x.clone()
        y[:, ::2].mul_(3.0).add_(x[:, ::2])
        y += y
        return torch.addmm(y, x, torch.eye(8), out=torch.empty_like(y))

    assert_sound(diagnose(seeded(lambda: Small(between)), normal(2, 3, 8, 8)))


def test_deliberate_half_precision_is_no_error_of_a_kernel() -> None:
    def half(x: Tensor) -> Tensor:
        return (x.half() * 3).float()

    assert_sound(diagnose(seeded(lambda: Small(half)), normal(2, 3, 8, 8)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_of_another_dtype_is_sound(dtype: torch.dtype) -> None:
    assert_sound(diagnose(seeded(Small).to(dtype), normal(2, 3, 8, 8).to(dtype)))


def test_operators_that_cannot_be_judged_are_noted() -> None:
    finding = diagnose(seeded(lambda: Small(lambda x: F.dropout(x, 0.5, training=True))), normal(2, 3, 8, 8))
    assert_sound(finding)
    (note,) = finding.notes
    assert "bernoulli" in note


def test_a_custom_operator_is_noted() -> None:
    @torch.library.custom_op("parity_tests::doubled", mutates_args=())
    def doubled(x: Tensor) -> Tensor:
        return 2 * x

    (note,) = diagnose(seeded(lambda: Small(doubled)), normal(2, 3, 8, 8)).notes
    assert "parity_tests.doubled.default: a custom operator" in note


# --- lower precision


@pytest.mark.parametrize(
    ("rounding", "kind", "format_"),
    [(to_tf32, "tf32", "TF32"), (to_float16, "precision", "float16"), (to_bfloat16, "precision", "bfloat16")],
)
@pytest.mark.parametrize("name", ["resnet", "unet", "bert", "recurrent"])
def test_rounded_operands_are_reproduced(
    name: str, rounding: Callable[[Tensor], Tensor], kind: str, format_: str
) -> None:
    module = build(name)
    with rounding_operands(rounding):
        finding = diagnose(module, *module.example_inputs(0))
    (cause,) = finding.causes
    assert cause.kind == kind
    assert cause.leg == "reference"
    assert format_ in cause.message
    assert ("matmul" in cause.message) == (name != "unet")
    assert ("convolution" in cause.message) == (name != "bert")
    assert cause.share is not None
    assert 0.95 <= cause.share <= 1.0
    assert finding.first_divergence is not None
    assert finding.first_divergence.effective_bits is not None
    assert finding.first_divergence.effective_bits < 15


def test_the_place_and_the_remedy() -> None:
    with rounding_operands(to_tf32, ("convolution",)):
        finding = diagnose(seeded(Small), normal(2, 3, 8, 8))
    (cause,), first = finding.causes, finding.first_divergence
    assert first is not None
    assert (first.leg, first.node, first.module, first.source) == (
        "reference",
        "aten.convolution.default",
        "conv",
        line("conv"),
    )
    assert first.shape == (2, 8, 6, 6)
    assert first.local_error is not None
    assert 1e-5 < first.local_error < 1e-2
    assert first.expected is not None
    assert first.found is not None
    assert first.expected.mean == pytest.approx(first.found.mean, abs=1e-3)
    assert "1 of 1 such operators" in cause.message
    assert cause.remedy == 'torch.backends.mkldnn.conv.fp32_precision = "ieee", or numerics: strict'


def test_two_causes_have_a_share_each() -> None:
    with rounding_operands(to_tf32, ("convolution",)), rounding_operands(to_bfloat16, ("matmul",)):
        finding = diagnose(seeded(Small), normal(2, 3, 8, 8))
    assert [cause.kind for cause in finding.causes] == ["precision", "tf32"]
    shares = [cause.share or 0.0 for cause in finding.causes]
    assert 1.0 > shares[0] > shares[1] > 0.0
    assert finding.first_divergence is not None
    assert finding.first_divergence.module == "conv"


class Autocasting(nn.Module):
    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner, self.dtype = inner, dtype

    def forward(self, *inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=self.dtype):
            return self.inner(*inputs)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["resnet", "vit", "mobilenet"])
def test_autocast_is_named(name: str, dtype: torch.dtype, grad: bool) -> None:
    inner = build(name)
    module = Autocasting(inner, dtype)
    with torch.set_grad_enabled(grad):
        finding = diagnose_reference(lambda: module(*inner.example_inputs(0)), module)
    (cause,) = finding.causes
    assert cause.kind == "precision"
    assert f"computed in {str(dtype).removeprefix('torch.')} by autocast" in cause.message
    assert "torch.autocast" in cause.remedy
    assert cause.share is not None
    assert cause.share > 0.95
    assert finding.first_divergence is not None
    assert finding.first_divergence.node == "aten.convolution.default"


def test_a_deliberate_cast_under_autocast_is_not_autocast() -> None:
    def between(x: Tensor) -> Tensor:
        return x.bfloat16().float()

    module = Autocasting(seeded(lambda: Small(between)), torch.bfloat16)
    kept = diagnose(module, normal(2, 3, 8, 8)).causes[0].message
    module = Autocasting(seeded(Small), torch.bfloat16)
    assert (
        kept.split(":")[1].split(",")[0]
        == diagnose(module, normal(2, 3, 8, 8)).causes[0].message.split(":")[1].split(",")[0]
    )


# --- NaN


class Logarithm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.log(x)  # line: log


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = Logarithm()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.abs() - 1.0) + 1.0


def test_the_first_nan_is_traced_to_its_operator() -> None:
    finding = diagnose(Outer(), torch.tensor([0.5, 2.0, 3.0, 4.0]))
    cause, first = finding.causes[0], finding.first_divergence
    assert cause.kind == "nan"
    assert cause.message == f"aten.log.default in head at {line('log')} makes the first NaN of numbers"
    assert first is not None
    assert (first.node, first.module, first.source) == ("aten.log.default", "head", line("log"))


def test_an_infinity_of_finite_numbers() -> None:
    cause = diagnose(Outer(), torch.tensor([1.0, 2.0, 3.0, 4.0])).causes[0]
    assert cause.kind == "nan"
    assert "makes the first infinity of finite numbers" in cause.message


class ZeroByZero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.sum()  # line: division


def test_zero_by_zero() -> None:
    cause = diagnose(ZeroByZero(), torch.zeros(4)).causes[0]
    assert cause.message == f"aten.div.Tensor at {line('division')} makes the first NaN of numbers"


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        mask = torch.full((4, 4), float("-inf")).triu(1)
        return torch.where(x > 0, torch.log(x), 0.0).sum() + (x @ x.T + mask).softmax(-1)


def test_a_mask_is_no_cause() -> None:
    assert_sound(diagnose(Masked(), normal(4, 4)))


def test_a_nan_in_a_parameter_is_named() -> None:
    module = seeded(Small)
    with torch.no_grad():
        module.get_parameter("head.bias")[1] = float("nan")
    assert "head.bias" in diagnose(module, normal(2, 3, 8, 8)).causes[0].message


def test_an_overflow_in_half_precision() -> None:
    module = seeded(Small)
    with torch.no_grad():
        module.get_parameter("conv.weight").fill_(1.0)
    module = module.half()
    cause = diagnose(module, torch.full((1, 3, 8, 8), 6e4, dtype=torch.float16)).causes[0]
    assert cause.kind == "nan"
    assert "convolution" in cause.message
