from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder

from parity.records.inputs import Distribution
from parity.spec.distributions import resolve


def with_tensor(tensor: str) -> str:
    return SOUND.replace("{shape: [2, 4]}", f"{{shape: [2, 4], {tensor}}}")


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        ("distribution: uniform, mean: 0", "'mean' does not apply to the distribution 'uniform'"),
        ("distribution: uniform, std: 1", "'std' does not apply"),
        ("low: 0", "'low' does not apply to the distribution 'normal'"),
        ("distribution: normal, value: 1", "'value' does not apply"),
        ("distribution: zeros, sparsity: 0.5", "'sparsity' does not apply"),
        ("distribution: ones, value: 1", "'value' does not apply"),
        ("distribution: constant", "needs a 'value'"),
        ("distribution: integers", "needs 'high'"),
        ("dtype: int64", "needs a 'distribution'"),
        ("dtype: int64, distribution: normal", "draws fractions"),
        ("dtype: uint8, distribution: uniform", "draws fractions"),
        ("dtype: bool, distribution: normal", "draws fractions"),
        ("dtype: bool, low: 1, high: 1", "no value is at least 1 and below 1"),
        ("distribution: uniform, low: 1", "no value is at least 1 and below 1"),
        ("distribution: uniform, low: 2, high: 1", "no value is at least 2 and below 1"),
        ("distribution: integers, low: 3, high: 3", "no value is at least 3 and below 3"),
        ("distribution: integers, high: 2.5", "2.5 is no whole number"),
        ("dtype: int8, distribution: constant, value: 0.5", "0.5 is no whole number"),
        ("dtype: uint8, distribution: constant, value: 256", "256 is beyond uint8"),
        ("dtype: uint8, distribution: constant, value: -1", "-1 is beyond uint8"),
        ("dtype: int8, distribution: integers, low: -129, high: 3", "-129 is beyond int8"),
        ("dtype: uint8, distribution: integers, high: 257", "257 is beyond uint8"),
        ("dtype: float16, distribution: constant, value: 1.0e+5", "100000 is beyond float16"),
        ("dtype: float8_e4m3fn, distribution: uniform, high: 449", "449 is beyond float8_e4m3fn"),
        ("dtype: int64, distribution: constant, value: 9007199254740994", "beyond 2^53"),
        ("dtype: bool, distribution: constant, value: 2", "2 is beyond bool"),
        ("sparsity: 1.5", "at most 1"),
        ("std: 0", "greater than 0"),
        ("mean: .inf", "finite"),
    ],
)
def test_a_wrong_tensor_is_one_readable_error(folder: SpecFolder, tensor: str, problem: str) -> None:
    (error,) = folder.errors(with_tensor(tensor))
    assert problem in error.problem
    assert error.at.rsplit(":", 2)[1] == "6"
    assert error.fix


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("mean: 3", Distribution(name="x", shape=(2, 4), dtype="float32", distribution="normal", mean=3)),
        (
            "dtype: bool",
            Distribution(name="x", shape=(2, 4), dtype="bool", distribution="integers", low=0, high=2),
        ),
        (
            "dtype: bool, low: 1",
            Distribution(name="x", shape=(2, 4), dtype="bool", distribution="integers", low=1, high=2),
        ),
        (
            "dtype: uint8, distribution: integers, low: 1, high: 256",
            Distribution(name="x", shape=(2, 4), dtype="uint8", distribution="integers", low=1, high=256),
        ),
        (
            "dtype: float16, distribution: uniform, sparsity: 0.5",
            Distribution(name="x", shape=(2, 4), dtype="float16", distribution="uniform", sparsity=0.5),
        ),
        (
            "dtype: int32, distribution: constant, value: -7",
            Distribution(name="x", shape=(2, 4), dtype="int32", distribution="constant", value=-7),
        ),
    ],
)
def test_defaults_are_filled_in(folder: SpecFolder, tensor: str, expected: Distribution) -> None:
    tensors = folder.load(with_tensor(tensor)).spec.inputs.tensors
    assert tensors is not None
    assert resolve("x", tensors["x"], {}) == expected


def test_what_is_let_through_can_be_drawn(folder: SpecFolder) -> None:
    """The bounds of the dtypes agree with those of the generator."""
    from parity.worker.inputs.generated import draw

    for tensor in (
        "dtype: uint8, distribution: integers, high: 256",
        "dtype: int8, distribution: integers, low: -128, high: 128",
        "dtype: bool",
        "dtype: float16, distribution: constant, value: 65504",
        "dtype: bfloat16, distribution: constant, value: 3.3895313892515355e+38",
        "dtype: float32, distribution: constant, value: 3.4028234663852886e+38",
        "dtype: float8_e4m3fn, distribution: constant, value: 448",
        "dtype: float8_e4m3fnuz, distribution: constant, value: 240",
        "dtype: float8_e5m2, distribution: constant, value: 57344",
        "dtype: float8_e5m2fnuz, distribution: constant, value: 57344",
        "dtype: uint64, distribution: constant, value: 9007199254740992",
    ):
        tensors = folder.load(with_tensor(tensor)).spec.inputs.tensors
        assert tensors is not None
        assert draw(resolve("x", tensors["x"], {}), (0,)).shape == (2, 4), tensor
