from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from parity.records.jobs import Numerics
from parity.worker import numerics

STRICT = Numerics(
    grad=False,
    cudnn_benchmark=False,
    cudnn_deterministic=True,
    deterministic_algorithms=True,
    tf32=False,
    reduced_precision_reduction=False,
)
BACKENDS: Any = torch.backends


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    grad, benchmark = torch.is_grad_enabled(), BACKENDS.cudnn.benchmark
    deterministic = BACKENDS.cudnn.deterministic
    yield
    BACKENDS.fp32_precision = "none"
    numerics.apply(
        Numerics(
            grad=grad,
            cudnn_benchmark=benchmark,
            cudnn_deterministic=deterministic,
            deterministic_algorithms=False,
            tf32=False,
            reduced_precision_reduction=True,
        )
    )


def test_strict_is_in_force_as_pytorch_reports_it() -> None:
    numerics.apply(STRICT)

    wanted = {
        "torch.is_grad_enabled": False,
        "torch.backends.cudnn.benchmark": False,
        "torch.backends.cudnn.deterministic": True,
        "torch.backends.cudnn.conv.fp32_precision": "ieee",
        "torch.backends.cudnn.rnn.fp32_precision": "ieee",
        "torch.backends.cuda.matmul.fp32_precision": "ieee",
        "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction": False,
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction": False,
        "torch.are_deterministic_algorithms_enabled": True,
        "torch.is_deterministic_algorithms_warn_only_enabled": True,
        "torch.get_num_threads": torch.get_num_threads(),
    }
    assert numerics.settings().items() >= wanted.items()


def test_nothing_asked_for_changes_nothing() -> None:
    before = numerics.settings()

    numerics.apply(Numerics())

    assert numerics.settings() == before


def test_single_settings_stand_alone() -> None:
    before = numerics.settings()

    numerics.apply(Numerics(cudnn_benchmark=True))

    assert numerics.settings() == {**before, "torch.backends.cudnn.benchmark": True}


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_the_same_through_both_apis_of_pytorch(tf32: bool) -> None:
    numerics.apply(Numerics(tf32=tf32))

    precision = "tf32" if tf32 else "ieee"
    assert BACKENDS.cuda.matmul.fp32_precision == precision
    assert BACKENDS.cudnn.conv.fp32_precision == precision
    # These raise when the two APIs contradict each other.
    assert BACKENDS.cuda.matmul.allow_tf32 is tf32
    assert BACKENDS.cudnn.allow_tf32 is tf32
    with BACKENDS.cudnn.flags(enabled=True):
        pass


def user_sets_medium() -> None:
    torch.set_float32_matmul_precision("medium")


def user_sets_globally() -> None:
    BACKENDS.fp32_precision = "tf32"


def user_sets_the_old_flags() -> None:
    BACKENDS.cuda.matmul.allow_tf32 = True
    BACKENDS.cudnn.allow_tf32 = True


def user_sets_the_new_flags() -> None:
    BACKENDS.cudnn.conv.fp32_precision = "tf32"
    BACKENDS.cuda.matmul.fp32_precision = "tf32"


@pytest.mark.parametrize(
    "user", [user_sets_medium, user_sets_globally, user_sets_the_old_flags, user_sets_the_new_flags]
)
def test_strict_wins_over_what_user_code_has_set(user: Any) -> None:
    user()

    numerics.apply(STRICT)

    assert {value for key, value in numerics.settings().items() if "fp32_precision" in key} == {"ieee"}
    assert torch.get_float32_matmul_precision() == "highest"


def test_deterministic_algorithms_give_cublas_its_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")

    numerics.apply(Numerics(deterministic_algorithms=True))

    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize(
    "numerics_in_force",
    [STRICT, Numerics(), Numerics(tf32=True, cudnn_benchmark=True), Numerics(deterministic_algorithms=True)],
)
@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
def test_strict_for_a_while_puts_everything_back(numerics_in_force: Numerics, matmul: str) -> None:
    torch.set_float32_matmul_precision(matmul)
    numerics.apply(numerics_in_force)
    before = numerics.settings()

    with numerics.strict() as others:
        inside = numerics.settings()
        numerics.apply(replace(STRICT, grad=None))

        assert inside == numerics.settings()
        assert others is (inside != before)

    assert numerics.settings() == before


def test_strict_for_a_while_survives_apis_that_contradict_each_other() -> None:
    BACKENDS.fp32_precision = "tf32"
    before = numerics.settings()

    with pytest.raises(ZeroDivisionError), numerics.strict():
        raise ZeroDivisionError

    assert numerics.settings() == before
