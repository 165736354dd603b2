"""What generated tensors must agree on, with each other and with the dimensions."""

from __future__ import annotations

import pytest
from support.specs import SpecFolder

from parity.planning import plan
from parity.records.inputs import GeneratedInputs, Padding

TEXT = """\
version: 1
model: {target: model.py:build}
onnx: model.onnx
inputs:
  dims: {batch: [1, 2], seq: [8, 16], n: 5}
  tensors:
    mask: {shape: [batch, seq], dtype: int64, distribution: mask, lengths: {min: 2, max: seq}, pad: left}
    ids: {shape: [batch, seq], dtype: int64, distribution: integers, high: n, padding: {mask: mask}}
    wide: {shape: [batch, seq, 3], padding: {mask: mask, value: -1}}
    positions: {shape: [batch, seq], dtype: int64, distribution: positions, of: mask}
    lengths: {shape: [batch], dtype: int64, distribution: lengths, of: mask}
    count: {shape: [], dtype: int64, distribution: constant, value: n}
    order: {shape: [n], dtype: int64, distribution: permutation}
"""


def test_names_of_dimensions_become_their_sizes(folder: SpecFolder) -> None:
    sets = plan(folder.load(TEXT)).inputs
    assert isinstance(sets, tuple)
    assert len(sets) == 4
    source = sets[-1].source
    assert isinstance(source, GeneratedInputs)
    by_name = {tensor.name: tensor for tensor in source.tensors}
    assert (by_name["mask"].min_length, by_name["mask"].max_length, by_name["mask"].pad) == (2, 16, "left")
    assert by_name["ids"].high == 5
    assert by_name["ids"].padding == Padding(mask="mask", value=0)
    assert by_name["wide"].padding == Padding(mask="mask", value=-1)
    assert by_name["count"].value == 5
    assert by_name["positions"].of == "mask"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("of: mask}\n    lengths", "of: msk}\n    lengths", "'msk' is no tensor of the distribution 'mask'"),
        ("of: mask}\n    lengths", "of: ids}\n    lengths", "'ids' is no tensor of the distribution 'mask'"),
        ("{mask: mask, value: -1}", "{mask: wide}", "'wide' is no tensor of the distribution 'mask'"),
        ("pad: left}", "padding: {mask: mask}}", "'mask' can't follow itself"),
        ("positions: {shape: [batch, seq]", "positions: {shape: [batch, 8]", "shape of 'mask': [batch, seq]"),
        ("lengths: {shape: [batch]", "lengths: {shape: [batch, seq]", "of 'mask': [batch]"),
        ("wide: {shape: [batch, seq, 3]", "wide: {shape: [3, batch, seq]", "begins with that of 'mask'"),
        ("value: n", "value: k", "'k' is not in 'dims'"),
        ("max: seq", "max: sec", "'sec' is not in 'dims'"),
        ("max: seq", "max: -1", "-1 is no size"),
        ("max: seq", "mox: 3", "unknown key 'mox'"),
        ("distribution: permutation", "distribution: permutation, high: 3", "'high' does not apply"),
        ("distribution: positions, of: mask", "distribution: positions", "needs 'of'"),
        ("dtype: int64, distribution: permutation", "sorted: true, unique: true", "'unique' does not apply"),
        ("dtype: int64, distribution: constant, value: n", "sorted: true", "needs an axis"),
        ("distribution: constant, value: n", "distribution: arange", "'arange' needs an axis"),
        ("distribution: constant, value: n", "distribution: choice", "needs 'values'"),
        ("int64, distribution: permutation", "int8, distribution: choice, values: [300]", "300 is beyond"),
        ("int64, distribution: permutation", "float32, distribution: boxes", "a box has 4 numbers"),
        ("value: -1}", "value: 1.0e+39}", "beyond float32"),
        ("high: n", "high: 1.5", "1.5 is no whole number"),
        ("high: n", "high: true", "True is no number"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_one_readable_error(
    folder: SpecFolder, old: str, new: str, problem: str
) -> None:
    assert old in TEXT
    (error,) = folder.errors(TEXT.replace(old, new))
    assert problem in error.problem
    assert error.fix
