from __future__ import annotations

import pytest

from parity.records.jobs import Numerics
from parity.spec.numerics import PRESETS, resolve
from parity.spec.settings import NumericsSpec


def test_strict_leaves_nothing_to_the_frameworks() -> None:
    name, numerics = resolve(NumericsSpec())
    assert name == "strict"
    assert None not in [getattr(numerics, key) for key in Numerics.__struct_fields__]
    assert numerics.tf32 is False
    assert numerics.cudnn_conv_algo_search == "HEURISTIC"


def test_default_leaves_the_frameworks_alone_but_for_gradients() -> None:
    name, numerics = resolve(NumericsSpec(preset="default"))
    assert name == "default"
    assert numerics == Numerics(grad=False)


@pytest.mark.parametrize("preset", PRESETS)
def test_single_settings_win_and_are_named(preset: str) -> None:
    spec = NumericsSpec.model_validate({"preset": preset, "tf32": True, "optimization": "all"})
    name, numerics = resolve(spec)
    assert name == f"{preset} with tf32=true, optimization=all"
    assert numerics.tf32 is True
    assert numerics.optimization == "all"
    assert numerics.grad is False


def test_the_specification_has_every_setting() -> None:
    assert set(NumericsSpec.model_fields) == {"preset", *Numerics.__struct_fields__}
