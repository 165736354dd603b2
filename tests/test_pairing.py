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


def collection(name: str) -> ValueInfo:
    return ValueInfo(name=name, dtype="float32", shape=None, form="collection")


def optional(name: str) -> ValueInfo:
    return ValueInfo(name=name, dtype="float32", shape=None, form="optional")


def test_the_tensors_of_a_collection_go_by_their_names_in_it() -> None:
    outputs = (*declared("label"), collection("probs"))
    pairs = pair(
        outputs, tensors("0", "1.0.cat", "1.0.dog"), tensors("label", "probs.0.cat", "probs.0.dog"), {}
    )
    assert paired(*pairs) == [
        ("label", "0", "label"),
        ("probs.0.cat", "1.0.cat", "probs.0.cat"),
        ("probs.0.dog", "1.0.dog", "probs.0.dog"),
    ]
    mapped = pair(outputs, tensors("l", "p.0"), tensors("label", "probs.0"), {"label": "l", "probs": "p"})
    assert paired(*mapped) == [("label", "l", "label"), ("probs.0", "p.0", "probs.0")]
    named = pair(outputs, tensors("probs.0", "label"), tensors("label", "probs.0"), {})
    assert paired(*named) == [("label", "label", "label"), ("probs.0", "probs.0", "probs.0")]


def test_a_collection_alone_is_the_whole_result() -> None:
    pairs = pair((collection("parts"),), tensors("0", "1"), tensors("parts.0", "parts.1"), {})
    assert paired(*pairs) == [("parts.0", "0", "parts.0"), ("parts.1", "1", "parts.1")]


@pytest.mark.parametrize(("ours", "theirs"), [(("0", "1"), ("parts.0",)), (("0",), ("parts.0", "parts.1"))])
def test_a_collection_of_another_length_fails(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    good, bad = pair((collection("parts"),), tensors(*ours), tensors(*theirs), {})
    assert good.problem == ""
    assert bad.name == "parts.1"
    counts = f"the reference has {'2 tensors' if len(ours) == 2 else '1 tensor'} in it"
    assert counts in bad.problem


def test_an_empty_collection_equals_an_empty_one_only() -> None:
    outputs = (*declared("y"), collection("parts"))
    _, empty = pair(outputs, tensors("y"), tensors("y"), {})
    assert (empty.name, empty.absent, empty.problem) == ("parts", True, "")
    _, extra = pair(outputs, tensors("y"), tensors("y", "parts.0"), {})
    assert extra.problem.startswith("missing in the reference")
    *_, lacking = pair(outputs, tensors("y", "parts.0"), tensors("y"), {})
    assert lacking.problem.startswith("missing in the candidate")


def test_an_optional_output_without_a_value_equals_none_only() -> None:
    outputs = (*declared("a"), optional("mask"), *declared("b"))
    _, absent, last = pair(outputs, tensors("0", "2"), tensors("a", "b"), {})
    assert (absent.name, absent.absent, last.reference_path) == ("mask", True, "2")
    present = pair(outputs, tensors("0", "1", "2"), tensors("a", "mask", "b"), {})
    assert not any(each.problem or each.absent for each in present)
    without = pair(outputs, tensors("0", "1", "2"), tensors("a", "b"), {})
    assert any(each.problem for each in without)
    surplus = pair(outputs, tensors("0", "2"), tensors("a", "mask", "b"), {})
    assert any(each.problem for each in surplus)


@pytest.mark.parametrize("output", [optional("mask"), collection("mask")])
def test_a_misspelt_path_does_not_pass_for_nothing(output: ValueInfo) -> None:
    outputs = (*declared("y"), output)
    _, doubted = pair(outputs, tensors("y", "mask_of_all"), tensors("y"), {"mask": "mask_of_al"})
    assert doubted.problem.startswith("missing in the reference: it has nothing at 'mask_of_al'")
    _, absent = pair(outputs, tensors("y"), tensors("y"), {"mask": "mask_of_all"})
    assert absent.absent
