from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support.reference import unable

from parity.records.inputs import Distribution, GeneratedInputs
from parity.worker.inputs.generated import draw, generate

FLOATS = ["float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "int4", "uint4", "bool"]

PINNED = [0.5056653022766113, 0.5722232460975647, 1.715468168258667]  # of NumPy's PCG64, stable by NEP 19


def tensor(dtype: str = "float32", distribution: Any = "normal", **fields: Any) -> Distribution:
    return Distribution(
        **{"name": "x", "shape": (50, 40), "dtype": dtype, "distribution": distribution, **fields}
    )


def test_the_seed_and_the_name_decide_the_bytes() -> None:
    x, y = tensor(), tensor(name="y")

    alone = generate(GeneratedInputs(tensors=(x,), seed=(0, 1)))
    both = generate(GeneratedInputs(tensors=(y, x), seed=(0, 1)))
    other = generate(GeneratedInputs(tensors=(x,), seed=(0, 2)))

    assert alone["x"].tobytes() == both["x"].tobytes()
    assert both["x"].tobytes() != both["y"].tobytes()
    assert alone["x"].tobytes() != other["x"].tobytes()


def test_the_bytes_are_the_same_on_every_machine() -> None:
    drawn = draw(tensor(shape=(3,)), (0, 0))

    np.testing.assert_array_equal(drawn, np.array(PINNED, np.float32))


@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_of_any_width(dtype: str, shape: tuple[int, ...]) -> None:
    array = draw(tensor(dtype, shape=shape), (0,))

    assert array.dtype.name == dtype
    assert array.shape == shape
    assert np.isfinite(array.astype(np.float64)).all()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_any_width(dtype: str) -> None:
    array = draw(tensor(dtype, "integers", low=0, high=2), (0,))

    assert array.dtype.name == dtype
    assert set(np.unique(array.astype(np.int64))) == {0, 1}


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("int8", -128, 128), ("uint64", 2.0**63, 2.0**64), ("int64", -(2.0**63), 2.0**63)],
)
def test_integers_use_the_whole_range(dtype: str, low: float, high: float) -> None:
    array = draw(tensor(dtype, "integers", low=low, high=high), (0,))

    assert int(array.min()) >= low
    assert int(array.max()) < high
    assert int(array.max()) - int(array.min()) > 0.9 * (high - low)


def test_moments_and_bounds() -> None:
    shape = (200_000,)
    normal = draw(tensor(mean=5, std=2, shape=shape), (0,))
    uniform = draw(tensor(distribution="uniform", low=-1, high=3, shape=shape), (0,))

    assert normal.mean() == pytest.approx(5, abs=0.02)
    assert normal.std() == pytest.approx(2, abs=0.02)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3


@pytest.mark.parametrize(("distribution", "value"), [("zeros", 0), ("ones", 1), ("constant", 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint8", "int4"])
def test_constants(dtype: str, distribution: str, value: int) -> None:
    array = draw(tensor(dtype, distribution, value=3), (0,))

    assert array.dtype.name == dtype
    assert (array.astype(np.int64) == value).all()


def test_a_constant_may_be_no_number_when_it_is_asked_for() -> None:
    assert np.isnan(draw(tensor(distribution="constant", value=float("nan")), (0,))).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "bool"])
@pytest.mark.parametrize(("share", "zeros"), [(0.9, 900), (0.333, 333), (1.0, 1000)])
def test_sparsity_is_exact(dtype: str, share: float, zeros: int) -> None:
    array = draw(tensor(dtype, "ones", shape=(10, 100), sparsity=share), (0,))

    assert int((array == 0).sum()) == zeros
    assert share == 1 or np.unique(np.flatnonzero(array == 0) // 100).size == 10, "not all in one place"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (tensor("int32", "normal"), "draws fractions"),
        (tensor("bool", "uniform"), "draws fractions"),
        (tensor("uint8", "integers", low=-1, high=3), "-1 to 2 are not in its range, 0 to 255"),
        (tensor("int4", "integers", low=0, high=9), "not in its range, -8 to 7"),
        (tensor("bool", "constant", value=2), "not in its range"),
        (tensor("int64", "integers", low=3, high=3), "no integer is in [3, 3)"),
        (tensor("int64", "constant", value=0.5), "no whole number"),
        (tensor("int64", "constant", value=float("nan")), "no whole number"),
        (tensor("float16", "normal", std=1e6), "beyond its range"),
        (tensor("float8_e4m3fn", "constant", value=1e4), "beyond its range"),
        (tensor("float32", "uniform", high=float("inf")), "must be finite"),
        (tensor("float32", "integers", low=0, high=1e30), "not in its range"),
        (tensor("string", "zeros"), "nothing can be drawn"),
        (tensor("complex64", "normal"), "nothing can be drawn"),
    ],
)
def test_what_a_dtype_can_not_hold_is_an_error_of_the_specification(wrong: Distribution, said: str) -> None:
    error = unable(lambda: draw(wrong, (0,)))

    assert error.reason == "specification"
    assert "'x'" in error.problem
    assert said in error.problem


def test_narrow_floats_are_the_rounded_wide_ones() -> None:
    wide, narrow = draw(tensor(), (0,)), draw(tensor("bfloat16"), (0,))

    np.testing.assert_array_equal(narrow, wide.astype(ml_dtypes.bfloat16))
