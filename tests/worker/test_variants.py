"""Ways to run a module: compiled, and under autocast."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parity.worker.problems import Unable
from parity.worker.variants import callable_of, under

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_of_its_dtype(dtype: torch.dtype) -> None:
    variant = f"autocast-{str(dtype).removeprefix('torch.')}"
    module = nn.Linear(4, 3)
    with under(variant, CPU, "the model"):  # type: ignore[arg-type]
        found = callable_of(module, variant)(torch.ones(1, 4))  # type: ignore[arg-type]
    assert found.dtype is dtype
    assert module(torch.ones(1, 4)).dtype is torch.float32


def test_no_variant_is_the_module_itself() -> None:
    module = nn.Identity()
    assert callable_of(module, None) is module


def test_what_can_not_be_compiled_says_why() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.parity_odd.op(x)

    with torch.library._scoped_library("parity_odd", "DEF") as library:
        library.define("op(Tensor x) -> Tensor")
        library.impl("op", lambda x: x.clone(), "CPU")  # no fake kernel: it runs, and can't be compiled
        assert Odd()(torch.ones(1)).tolist() == [1]
        compiled = torch.compile(Odd(), fullgraph=True)
        with pytest.raises(Unable) as raised, under("compile", CPU, "component 'odd'"):
            compiled(torch.ones(1))
    assert raised.value.reason == "model"
    assert raised.value.problem.startswith("torch.compile can't compile component 'odd' for cpu: ")
    assert "parity_odd" in raised.value.problem
    assert raised.value.fix


def test_an_error_of_the_module_stays_its_own() -> None:
    with pytest.raises(ZeroDivisionError), under("compile", CPU, "the model"):
        raise ZeroDivisionError
