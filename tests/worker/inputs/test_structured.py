from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.reference import unable

from parity.artifacts import Array
from parity.records.inputs import Distribution, GeneratedInputs, Padding
from parity.worker.inputs.generated import draw, generate

MASK = Distribution(name="m", shape=(64, 9), dtype="int64", distribution="mask")


def tensor(kind: Any, shape: tuple[int, ...] = (64, 9), **fields: Any) -> Distribution:
    return Distribution(**{"name": "x", "shape": shape, "dtype": "int64", "distribution": kind, **fields})


def drawn(*tensors: Distribution, seed: int = 0) -> dict[str, Array]:
    return generate(GeneratedInputs(tensors=tensors, seed=(seed,)))


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32", "bfloat16", "uint8"])
def test_a_mask_has_ones_then_zeros_and_every_length(dtype: str) -> None:
    mask = draw(tensor("mask", (500, 9), dtype=dtype, min_length=2, max_length=7), (0,))
    assert mask.dtype.name == dtype
    lengths = (mask != 0).sum(axis=1)
    assert set(lengths) == {2, 3, 4, 5, 6, 7}
    for row, length in zip(mask, lengths, strict=True):
        assert list(row != 0) == [True] * length + [False] * (9 - length)
    assert set(np.unique(mask.astype(float))) == {0, 1}


def test_a_mask_may_be_padded_on_the_left_and_be_of_any_rank() -> None:
    right = draw(tensor("mask", (3, 4, 9)), (0,))
    left = draw(tensor("mask", (3, 4, 9), pad="left"), (0,))
    assert (left == right[..., ::-1]).all()
    assert (draw(tensor("mask", (9,), min_length=9), (0,)) == 1).all()


@pytest.mark.parametrize(
    "fields", [{"min_length": 10}, {"min_length": 5, "max_length": 4}, {"max_length": 10}]
)
def test_a_length_that_no_row_can_have_is_an_error(fields: dict[str, int]) -> None:
    error = unable(lambda: draw(tensor("mask", **fields), (0,)))
    assert error.reason == "specification"
    assert "no length is" in error.problem


@pytest.mark.parametrize("pad", ["right", "left"])
def test_positions_count_what_the_mask_keeps(pad: Any) -> None:
    mask = tensor("mask", name="m", pad=pad)
    found = drawn(mask, tensor("positions", of="m"), tensor("lengths", (64,), name="n", of="m"))
    for row, kept, length in zip(found["x"], found["m"] != 0, found["n"], strict=True):
        assert list(row[kept]) == list(range(length))
        assert (row[~kept] == (0 if pad == "left" else length - 1)).all()


def test_padding_stands_where_the_mask_is_zero_whatever_the_rank() -> None:
    ids = tensor("integers", low=5, high=90, padding=Padding(mask="m", value=1), name="ids")
    wide = tensor("normal", (64, 9, 3), dtype="bfloat16", padding=Padding(mask="m", value=-1), name="wide")
    found = drawn(ids, wide, MASK)
    kept = found["m"] != 0
    assert (found["ids"][~kept] == 1).all()
    assert (found["ids"][kept] >= 5).all()
    assert (found["wide"][~kept] == -1).all()
    assert found["wide"].dtype.name == "bfloat16"
    free = drawn(tensor("integers", low=5, high=90, name="ids"))["ids"]
    assert (free[kept] == found["ids"][kept]).all()  # a mask changes nothing that it keeps


def test_a_permutation_has_each_number_once_and_rows_differ() -> None:
    found = draw(tensor("permutation"), (0,))
    assert (np.sort(found, axis=1) == np.arange(9)).all()
    assert len({tuple(row) for row in found}) > 50


def test_arange_one_hot_and_offsets() -> None:
    assert (draw(tensor("arange", low=3), (0,)) == np.arange(3, 12)).all()
    one_hot = draw(tensor("one_hot", dtype="float32"), (0,))
    assert (one_hot.sum(axis=1) == 1).all()
    assert set(one_hot.argmax(axis=1)) == set(range(9))
    offsets = draw(tensor("offsets", high=20), (0,))
    assert (offsets[:, 0] == 0).all()
    assert (np.diff(offsets, axis=1) >= 0).all()
    assert offsets.max() == 20


def test_boxes_have_their_corners_in_order() -> None:
    found = draw(tensor("boxes", (500, 4), dtype="float32", low=10, high=800), (0,))
    assert (found[:, :2] <= found[:, 2:]).all()
    assert 10 <= found.min() < 30
    assert 780 < found.max() < 800
    assert "a box has 4 numbers" in unable(lambda: draw(tensor("boxes", dtype="float32"), (0,))).problem


def test_choice_takes_nothing_else_and_everything() -> None:
    assert set(np.unique(draw(tensor("choice", values=(0, 4, 7)), (0,)))) == {0, 4, 7}
    halves = draw(tensor("choice", values=(0.5, 1.5), dtype="float16"), (0,))
    assert set(np.unique(halves)) == {0.5, 1.5}
    shuffled = draw(tensor("choice", (20, 3), values=(1, 2, 3), unique=True), (0,))
    assert (np.sort(shuffled, axis=1) == [1, 2, 3]).all()


def test_sorted_and_unique_integers() -> None:
    found = draw(tensor("integers", low=-4, high=8, sorted=True, unique=True), (0,))
    assert (np.diff(found, axis=1) > 0).all()
    assert found.min() == -4
    assert found.max() == 7
    assert (np.diff(draw(tensor("uniform", dtype="bfloat16", sorted=True), (0,)).astype(float)) >= 0).all()


@pytest.mark.parametrize(
    "one", [tensor("integers", high=8, unique=True), tensor("choice", values=(1,) * 8, unique=True)]
)
def test_more_different_values_than_there_are_is_an_error(one: Distribution) -> None:
    assert "9 different values" in unable(lambda: draw(one, (0,))).problem


def test_values_that_the_dtype_lacks_are_an_error() -> None:
    for one in (tensor("arange", (1, 300), dtype="uint8"), tensor("choice", dtype="int8", values=(200,))):
        assert "not in its range" in unable(lambda one=one: draw(one, (0,))).problem


KINDS = ("mask", "permutation", "one_hot", "offsets", "choice")


@pytest.mark.parametrize("kind", KINDS)
def test_other_tensors_change_nothing_and_seeds_do(kind: str) -> None:
    one = tensor(kind, high=30, values=(1, 2, 3))
    alone = drawn(one)["x"]
    assert (drawn(MASK, one, tensor("normal", dtype="float32", name="y"))["x"] == alone).all()
    assert not (drawn(one, seed=1)["x"] == alone).all()


@pytest.mark.parametrize("shape", [(0,), (0, 9), (3, 0)])
@pytest.mark.parametrize("kind", [*KINDS[1:], "arange", "integers"])
def test_an_empty_tensor_can_be_drawn(kind: str, shape: tuple[int, ...]) -> None:
    one = tensor(kind, shape, high=30, values=tuple(range(9)), unique=kind in {"choice", "integers"})
    assert draw(one, (0,)).shape == shape


def test_a_tensor_beyond_the_machine_is_refused_before_it_is_made() -> None:
    error = unable(lambda: draw(tensor("zeros", (2**20, 2**20)), (0,)))
    assert error.reason == "input"
    assert "'x' is int64[1048576, 1048576]: 8,192.0 GiB" in error.problem
