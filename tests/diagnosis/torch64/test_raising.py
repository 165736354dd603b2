"""Single habits of models that would bring float32 back, and those whose rounding must stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from parity.diagnosis.torch64 import Unknown, evaluate64

THIRD = torch.full((3,), 1 / 3)  # float32: a global of the model
OUTSIDE = torch.zeros(3)


class Module(nn.Module):
    """A forward without a module around it."""

    def __init__(self, forward, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0, dtype=dtype), requires_grad=False)
        self._forward = forward

    def forward(self, x: Tensor):
        return self._forward(x * self.scale)


def run(forward, x: Tensor, **options) -> Tensor:
    return evaluate64(Module(forward, x.dtype), [x], **options).outputs["output"]


def x32() -> Tensor:
    return torch.linspace(-3, 5, 12, dtype=torch.float32).reshape(4, 3) * 1.1


def thirds(x: Tensor) -> Tensor:
    return x / 3


PRECISE = {
    "float": lambda x: thirds(x).float(),
    "to dtype": lambda x: thirds(x).to(torch.float32),
    "to dtype and device": lambda x: thirds(x).to("cpu", torch.float32, copy=True),
    "to dtype by keyword": lambda x: thirds(x).to(dtype=torch.float32),
    "to another": lambda x: thirds(x).to(torch.zeros(1, dtype=torch.float32)),
    "type": lambda x: thirds(x).type(torch.float32),
    "legacy type": lambda x: thirds(x).type(torch.FloatTensor),
    "legacy type by name": lambda x: thirds(x).type("torch.FloatTensor"),
    "type as": lambda x: thirds(x).type_as(torch.zeros(1, dtype=torch.float32)),
    "zeros": lambda x: torch.zeros(4, 3, dtype=torch.float32) + thirds(x),
    "written into zeros": lambda x: torch.zeros(4, 3, dtype=torch.float32).copy_(thirds(x)),
    "set items": lambda x: _set_items(torch.empty(4, 3, dtype=torch.float32), thirds(x)),
    "legacy tensor": lambda x: _set_items(torch.FloatTensor(4, 3), thirds(x)),
    "out": lambda x: torch.div(x, 3, out=torch.empty(4, 3, dtype=torch.float32)),
    "from numpy": lambda x: _set_items(torch.from_numpy(np.zeros((4, 3), np.float32)), thirds(x)),
    "numpy round trip": lambda x: torch.from_numpy(x.numpy() / 3),
    "new": lambda x: _set_items(x.new_zeros(4, 3), thirds(x)),
    "like": lambda x: _set_items(torch.empty_like(x, dtype=torch.float32), thirds(x)),
    "sum dtype": lambda x: thirds(x)[None].sum(0, dtype=torch.float32),
    "operator": lambda x: torch.ops.aten._to_copy(thirds(x), dtype=torch.float32),
    "integers": lambda x: thirds(x) * (torch.ones(3, dtype=torch.int64) / torch.ones(3, dtype=torch.int64)),
    "tensor": lambda x: thirds(x) + torch.tensor(0.5, dtype=torch.float32) - torch.tensor(0.5),
    "range": lambda x: thirds(x) + (torch.arange(3.0) - torch.arange(3, dtype=torch.float32)),
    "double and back": lambda x: thirds(x.double()).float(),
    "complex": lambda x: torch.view_as_real(torch.complex(thirds(x), x).to(torch.complex64))[..., 0],
    "wider in between": lambda x: thirds(x).to(torch.float32).to(x.dtype),
}


def _set_items(target: Tensor, value: Tensor) -> Tensor:
    target[:] = value
    return target


@pytest.mark.parametrize("name", PRECISE)
def test_stays_precise(name: str) -> None:
    x = x32()
    torch.testing.assert_close(run(PRECISE[name], x), x.double() / 3, rtol=1e-15, atol=1e-15)


def test_autocast_is_off_inside_and_outside() -> None:
    weight = torch.eye(3)

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.linear(thirds(x), weight)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = run(forward, x32())
        assert torch.is_autocast_enabled("cpu")
    torch.testing.assert_close(output, x32().double() / 3, rtol=1e-15, atol=1e-15)


ROUNDING = {
    "half": (torch.float16, lambda x: thirds(x).half().float()),
    "bfloat16": (torch.bfloat16, lambda x: thirds(x).bfloat16().to(x.dtype)),
    "to half": (torch.float16, lambda x: thirds(x).to(torch.float16)),
    "float8": (torch.float8_e4m3fn, lambda x: thirds(x).to(torch.float8_e4m3fn).float()),
    "written into half": (torch.float16, lambda x: torch.empty(4, 3, dtype=torch.float16).copy_(thirds(x))),
    "half items": (torch.float16, lambda x: _set_items(torch.empty(4, 3, dtype=torch.float16), thirds(x))),
    "kernel": (torch.float16, lambda x: torch.ops.aten._to_copy(thirds(x), dtype=torch.float16)),
    "product dtype": (torch.float16, lambda x: thirds(x)[None].sum(0, dtype=torch.float16)),
}


@pytest.mark.parametrize("name", ROUNDING)
def test_a_narrowing_cast_still_rounds(name: str) -> None:
    dtype, forward = ROUNDING[name]
    output = run(forward, x32())
    assert output.dtype is torch.float64
    assert torch.equal(output, (x32().double() / 3).to(dtype).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_module_is_raised_as_a_whole(dtype: torch.dtype) -> None:
    x = x32().to(dtype)

    def forward(x: Tensor) -> Tensor:
        assert x.dtype is dtype
        wide = x.to(torch.float32)
        assert wide.dtype is torch.float32
        return (wide / 3).to(dtype)

    result = evaluate64(Module(forward, dtype), [x])
    assert result.native is dtype
    torch.testing.assert_close(result.outputs["output"], x.double() / 3, rtol=1e-15, atol=1e-15)


def test_the_native_dtype_can_be_given() -> None:
    x = x32().half()
    output = run(lambda x: (x.float() / 3).half(), x, native=torch.float32)
    assert torch.equal(output, (x.double() / 3).half().double())


def test_dtypes_look_native() -> None:
    def forward(x: Tensor) -> Tensor:
        assert x.dtype is torch.float32
        assert x.half().dtype is torch.float16
        assert (x.half() * 2)[0].dtype is torch.float16
        assert (x.half() + x).dtype is torch.float32
        assert x.double().dtype is torch.float64
        assert x.long().dtype is torch.int64
        assert torch.view_as_complex(x.reshape(6, 2)).dtype is torch.complex64
        assert torch.zeros(2, dtype=torch.float16).dtype is torch.float16
        assert THIRD.dtype is torch.float32
        return x.new_full((2,), torch.finfo(x.dtype).min)

    assert run(forward, x32()).tolist() == [torch.finfo(torch.float32).min] * 2


def test_a_cast_copies_where_it_would() -> None:
    def same(x: Tensor) -> Tensor:
        x.float().add_(1)
        x.to("cpu", torch.float32).add_(1)
        x.to(x.dtype, copy=True).add_(100)
        return x

    def other(x: Tensor) -> Tensor:
        narrow = x.half()
        narrow.float().add_(100)
        narrow.half().add_(1)
        x.double().add_(100)
        return narrow

    x = x32().half().float()
    assert torch.equal(run(same, x), x.double() + 2)
    assert torch.equal(run(other, x), x.double() + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_default_epsilon_of_rms_norm(dtype: torch.dtype) -> None:
    x = (x32() * 1e-4).to(dtype)
    epsilon = torch.finfo(torch.float32).eps
    expected = x.double() * torch.rsqrt((x.double() ** 2).mean(-1, keepdim=True) + epsilon)
    output = run(lambda x: F.rms_norm(x, (3,)), x)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=0)
    native = F.rms_norm(x, (3,)).double()
    torch.testing.assert_close(native, expected, rtol=2e-2 if dtype is torch.bfloat16 else 1e-5, atol=0)


def test_tensors_from_outside_are_raised_written_and_given_back() -> None:
    def forward(x: Tensor) -> Tensor:
        OUTSIDE.add_(x[0] / 3)
        return OUTSIDE * THIRD

    x = x32()
    output = run(forward, x)
    torch.testing.assert_close(output, x[0].double() / 3 * THIRD.double(), rtol=1e-15, atol=1e-15)
    assert OUTSIDE.dtype is THIRD.dtype is torch.float32
    assert torch.equal(OUTSIDE, torch.zeros(3))


@torch.library.custom_op("parity_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return x.float() * 2


@torch.jit.ignore
def _scripted() -> nn.Module:
    return torch.jit.script(nn.Linear(3, 3))


def _swallow(x: Tensor) -> Tensor:
    try:
        return twice(x)
    except Exception:  # noqa: BLE001
        return x


IMPOSSIBLE = {
    "bits": (lambda x: x.view(torch.int32), r"aten\.view\.dtype reads the bits"),
    "bits back": (lambda x: x.long().int().view(torch.float32), r"aten\.view\.dtype reads the bits"),
    "custom operator": (twice, r"parity_tests\.twice\.default is a custom operator"),
    "caught by the model": (_swallow, r"parity_tests\.twice\.default is a custom operator"),
    "numpy output": (lambda x: x.numpy().astype(np.float32), "NumPy array of float32"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_unknown_names_what_is_in_the_way(name: str) -> None:
    forward, reason = IMPOSSIBLE[name]
    with pytest.raises(Unknown, match=reason):
        run(forward, x32())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_and_scripted_modules_are_unknown() -> None:
    def quantized(x: Tensor) -> Tensor:
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).dequantize()

    with pytest.raises(Unknown, match=r"aten\.quantize_per_tensor"):
        run(quantized, x32())
    with pytest.raises(Unknown, match="Linear is a TorchScript module"):
        evaluate64(nn.Sequential(_scripted()), [x32()])
    linear = torch.ao.nn.quantized.dynamic.Linear(3, 3)
    with pytest.raises(Unknown, match="quantized"):
        evaluate64(nn.Sequential(linear), [x32()])


def test_an_operator_without_float64_is_unknown() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("parity_single(Tensor x) -> Tensor")

    def kernel(x: Tensor) -> Tensor:
        if x.dtype is not torch.float32:
            raise RuntimeError("expected scalar type Float but found Double")
        return x

    library.impl("parity_single", kernel, "CPU")
    with pytest.raises(
        Unknown, match=r"torchvision\.parity_single\.default can't compute in float64: expected"
    ):
        run(torch.ops.torchvision.parity_single, x32())


def test_a_float32_result_is_never_silent() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("parity_narrow(Tensor x) -> Tensor")
    library.impl("parity_narrow", lambda x: x.float(), "CPU")
    with pytest.raises(Unknown, match="gives float32 although its arguments are float64"):
        run(torch.ops.torchvision.parity_narrow, x32())


def test_the_models_own_errors_pass_through_its_own_handlers() -> None:
    def forward(x: Tensor) -> Tensor:
        try:
            return x.t().view(-1)
        except RuntimeError:
            return x.t().reshape(-1)

    assert torch.equal(run(forward, x32()), x32().double().t().reshape(-1))


def test_random_operators_by_name() -> None:
    def forward(x: Tensor) -> Tensor:
        x = F.scaled_dot_product_attention(x[None], x[None], x[None])[0]
        return x + torch.rand_like(x) + torch.randn(3, generator=torch.Generator().manual_seed(0))

    result = evaluate64(Module(forward), [x32()])
    assert result.random_ops == ("aten.rand_like.default", "aten.randn.generator")


def test_what_the_module_leaves_unwritten_is_nan_as_under_its_own_settings() -> None:
    class Unwritten(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.empty(4) + x.new_empty(4) + torch.empty_like(x)

    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    try:
        outputs = evaluate64(Unwritten(), (torch.zeros(4),)).outputs
    finally:
        torch.use_deterministic_algorithms(False)
    assert bool(outputs["output"].isnan().all())
    assert torch.utils.deterministic.fill_uninitialized_memory == before  # type: ignore[attr-defined]
