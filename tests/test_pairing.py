"""Outputs find their counterparts, and what has none becomes a pair that fails."""

from __future__ import annotations

import pytest

from parity.errors import SpecError
from parity.pairing import Pair, pair, pair_by_name
from parity.records.tensors import TensorRecord, ValueInfo


def tensors(*names: str) -> tuple[TensorRecord, ...]:
    return tuple(TensorRecord(name=name, dtype="float32", shape=(1,), file=f"{name}.npy") for name in names)


def declared(*names: str) -> tuple[ValueInfo, ...]:
    return tuple(ValueInfo(name=name, dtype="float32", shape=(1,)) for name in names)


def paired(*pairs: Pair) -> list[tuple[str, str | None, str | None]]:
    return [
        (p.name, p.reference.name if p.reference else None, p.candidate.name if p.candidate else None)
        for p in pairs
    ]


def test_by_name_when_every_output_names_a_path() -> None:
    pairs = pair(declared("b", "a"), tensors("a", "b"), tensors("b", "a"), {})
    assert paired(*pairs) == [("b", "b", "b"), ("a", "a", "a")]
    assert not any(p.problem for p in pairs)


def test_by_order_otherwise() -> None:
    pairs = pair(declared("out_0", "out_1"), tensors("preds.0", "preds.1"), tensors("out_0", "out_1"), {})
    assert paired(*pairs) == [("out_0", "preds.0", "out_0"), ("out_1", "preds.1", "out_1")]
    assert [p.reference_path for p in pairs] == ["preds.0", "preds.1"]


def test_by_mapping() -> None:
    mapping = {"heat": "preds.0.heatmap"}
    pairs = pair(
        declared("heat", "reg"), tensors("reg", "preds.0.heatmap", "aux"), tensors("heat", "reg"), mapping
    )
    assert paired(*pairs) == [("heat", "preds.0.heatmap", "heat"), ("reg", "reg", "reg")]


def test_a_reference_tensor_that_no_output_stands_for_fails() -> None:
    for names in (("a",), ("out",)):
        *_, left = pair(declared(*names), tensors("a", "b"), tensors(*names), {})
        assert (left.name, left.candidate) == ("b", None)
        assert left.problem.startswith("missing in the candidate: no ONNX output stands for it")
        assert "the reference has 2 tensors, the ONNX model 1" in left.problem


def test_an_output_beyond_the_reference_fails() -> None:
    good, bad = pair(declared("x", "y"), tensors("a"), tensors("x", "y"), {})
    assert good.problem == ""
    assert bad.problem == "missing in the reference: the reference has 1 tensor, the ONNX model 2"


@pytest.mark.parametrize("mapping", [{}, {"y": "b"}])
def test_an_output_that_the_run_did_not_return_fails(mapping: dict[str, str]) -> None:
    good, bad = pair(declared("a", "y"), tensors("a", "b"), tensors("a"), mapping)
    assert good.problem == ""
    assert bad.problem == "missing in the candidate: the run did not return it"


def test_an_output_that_the_file_does_not_declare_fails() -> None:
    *_, bad = pair(declared("a"), tensors("a"), tensors("a", "z"), {})
    assert (bad.name, bad.problem) == (
        "z",
        "missing in the reference: the ONNX file does not declare this output",
    )


@pytest.mark.parametrize(
    ("mapping", "problem", "fix"),
    [
        ({"heatmpa": "x"}, "the ONNX model has no output 'heatmpa'", "did you mean 'heatmap'?"),
        ({"heatmap": "preds.heatmpa"}, "mapped to 'preds.heatmpa'", "did you mean 'preds.heatmap'?"),
        ({"heatmap": "preds.heatmap"}, "outputs leaves out 'reg'", "map it to one of: 'preds.heatmap'"),
        ({"zzz": "x"}, "the ONNX model has no output 'zzz'", "it has: 'heatmap', 'reg'"),
    ],
)
def test_a_wrong_mapping_is_an_error_of_the_specification(
    mapping: dict[str, str], problem: str, fix: str
) -> None:
    outputs = declared("heatmap", "reg")
    with pytest.raises(SpecError, match=r"parity\.yml:9:3") as caught:
        pair(outputs, tensors("preds.heatmap"), tensors("heatmap", "reg"), mapping, at="parity.yml:9:3")
    assert problem in caught.value.problem
    assert caught.value.fix.startswith(fix)


def test_a_chain_is_paired_by_name_and_misses_nothing() -> None:
    both, left, right = pair_by_name(tensors("boxes", "scores"), tensors("boxes", "labels"))
    assert (both.name, both.problem) == ("boxes", "")
    assert (left.name, left.problem) == ("scores", "missing in the candidate: the run did not return it")
    assert (right.name, right.problem) == (
        "labels",
        "missing in the reference: not returned with PyTorch stages",
    )


def test_nothing_pairs_to_nothing() -> None:
    assert pair((), (), (), {}) == ()
    assert pair_by_name((), ()) == ()
