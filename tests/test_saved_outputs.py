"""ONNX files against outputs that were saved: ONNX's own tests, and what a user may get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from support.projects import Finished, run_parity, write_onnx
from support.saved_cases import KINDS, KNOWN, SavedResult, markdown, run_all, saved_cases

DOCUMENT = Path(__file__).parents[1] / "docs" / "inputs.md"
SPEC = {
    "version": 1,
    "name": "saved",
    "model": {"loader": "saved-outputs"},
    "onnx": "model.onnx",
    "inputs": {"files": "test_data_set_*"},
}


@pytest.fixture(scope="module")
def results() -> list[SavedResult]:
    return run_all()


def test_every_test_of_both_kinds_was_run(results: list[SavedResult]) -> None:
    counts = [sum(r.case.name.startswith(f"{kind}/") for r in results) for kind in KINDS]
    assert min(counts) > 30
    assert sum(r.status == "passed" for r in results) > 80


def test_each_passes_or_is_known_not_to(results: list[SavedResult]) -> None:
    assert {r.case.name: r.why for r in results if (r.status == "passed") == (r.case.known is not None)} == {}


def test_what_has_no_kernel_passes_once_it_is_converted(results: list[SavedResult]) -> None:
    found = {r.case.name: (r.status, r.converted) for r in results if r.case.known is not None}
    assert found
    for result in results:
        if known := result.case.known:
            assert (result.status, result.converted) == ("error", known.converted), result.case.name
    assert {known.pattern for known in KNOWN} == {r.case.known.pattern for r in results if r.case.known}


def test_the_document_has_these_numbers(results: list[SavedResult]) -> None:
    if f"onnx {onnx.__version__}:" not in DOCUMENT.read_text():
        pytest.skip("the document is about another version of onnx, which has other tests")
    assert markdown(results) in DOCUMENT.read_text(), "run `python benchmarks/backend_cases.py --write`"


def test_a_sample_passes_through_the_real_command(tmp_path: Path) -> None:
    every = [case for case in saved_cases() if case.known is None]
    specs = []
    for case in every[:: len(every) // 4]:
        path = tmp_path / f"{case.name.replace('/', '.')}.yml"
        path.write_text(yaml.safe_dump(case.spec))
        specs.append(path.name)
    done = run_parity("run", *specs, cwd=tmp_path)
    assert done.status == 0, done.stdout + done.stderr
    assert len(done.cases) == len(specs) >= 4
    assert {case["reference"] for case in done.cases.values()} == {"saved outputs"}


def data_set(folder: Path, *, names: bool = True, shift: float = 0.0) -> None:
    """An input x (2, 4), and what `write_onnx` makes of it."""
    folder.mkdir()
    x = np.arange(8, dtype=np.float32).reshape(2, 4) - 4
    weight = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
    y = np.maximum(x @ weight.T + np.array([0.5, -0.5, 0.25], np.float32), 0) + np.float32(shift)
    for name, file, array in (("x", "input_0.pb", x), ("y", "output_0.pb", y)):
        proto = numpy_helper.from_array(array, name if names else "")
        (folder / file).write_bytes(proto.SerializeToString())


def run(root: Path, *arguments: str, **changes: Any) -> Finished:
    (root / "parity.yml").write_text(yaml.safe_dump({**SPEC, **changes}))
    return run_parity("run", "parity.yml", *arguments, cwd=root)


def test_each_data_set_is_judged_by_itself(tmp_path: Path) -> None:
    write_onnx(tmp_path / "model.onnx")
    data_set(tmp_path / "test_data_set_0")
    data_set(tmp_path / "test_data_set_1", names=False)
    data_set(tmp_path / "test_data_set_2", shift=0.5)
    done = run(tmp_path)
    assert done.status == 1, done.stdout + done.stderr
    assert {case["input_set"]: case["status"] for case in done.cases.values()} == {
        "test_data_set_0": "passed",
        "test_data_set_1": "passed",
        "test_data_set_2": "failed",
    }
    (output,) = done.case("test_data_set_2")["outputs"]
    assert output["max_abs"] == pytest.approx(0.5, rel=1e-5)
    assert "diagnosis" not in output or output["diagnosis"] is None
    (side, _) = done.results["suites"][0]["sides"]
    assert side["side"] == "saved outputs"


def test_archives_go_by_name(tmp_path: Path) -> None:
    write_onnx(tmp_path / "model.onnx")
    data_set(tmp_path / "pb")
    folder = tmp_path / "test_data_set_a"
    folder.mkdir()
    for role, name in (("input", "x"), ("output", "y")):
        proto = onnx.TensorProto.FromString((tmp_path / "pb" / f"{role}_0.pb").read_bytes())
        np.savez(folder / f"{role}s.npz", **{name: numpy_helper.to_array(proto)})
    assert run(tmp_path).status == 0


def without_outputs(folder: Path) -> None:
    (folder / "output_0.pb").unlink()


def with_a_gap(folder: Path) -> None:
    (folder / "input_0.pb").rename(folder / "input_1.pb")


def with_a_sequence(folder: Path) -> None:
    sequence = numpy_helper.from_list([np.ones((2, 4), np.float32)], "x")
    (folder / "input_0.pb").write_bytes(sequence.SerializeToString())


def with_an_optional(folder: Path) -> None:
    optional = numpy_helper.from_optional(np.ones((2, 4), np.float32), "x")
    (folder / "input_0.pb").write_bytes(optional.SerializeToString())


def with_too_many(folder: Path) -> None:
    (folder / "input_1.pb").write_bytes((folder / "input_0.pb").read_bytes())


def cut_off(folder: Path) -> None:
    (folder / "input_0.pb").write_bytes((folder / "input_0.pb").read_bytes()[:-3])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_outputs, "the output 'y' was not saved beside the inputs test_data_set_0"),
        (with_a_gap, "no input_0.pb"),
        (with_a_sequence, "input_0.pb holds a sequence or an optional value"),
        (with_an_optional, "input_0.pb holds a sequence or an optional value"),
        (with_too_many, "has 2 inputs, the model declares 1"),
        (cut_off, "can't be read"),
    ],
)
def test_a_data_set_of_no_use_is_named_beside_the_others(tmp_path: Path, spoil: Any, said: str) -> None:
    write_onnx(tmp_path / "model.onnx")
    data_set(tmp_path / "test_data_set_0")
    data_set(tmp_path / "test_data_set_1")
    spoil(tmp_path / "test_data_set_0")
    done = run(tmp_path)
    assert done.status == 3, done.stdout + done.stderr
    assert said in done.case("test_data_set_0")["problem"]["message"]
    assert done.case("test_data_set_1")["status"] == "passed"


def two_outputs(root: Path, *, constant: bool = False) -> None:
    """A model whose outputs a and b are x and -x, or without an input the numbers 1 and -1."""
    start = helper.make_node("Constant", [], ["x"], value=numpy_helper.from_array(np.ones(2, np.float32)))
    graph = helper.make_graph(
        [
            *([start] if constant else []),
            helper.make_node("Identity", ["x"], ["a"]),
            helper.make_node("Neg", ["x"], ["b"]),
        ],
        "g",
        [] if constant else [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ab"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, root / "model.onnx")
    (root / "test_data_set_0").mkdir()


def save_tensors(root: Path, **tensors: float) -> None:
    """Files of the one data set, nameless: ``input_0`` -> the number in both its elements."""
    for name, value in tensors.items():
        proto = numpy_helper.from_array(np.full(2, value, np.float32))
        (root / "test_data_set_0" / f"{name}.pb").write_bytes(proto.SerializeToString())


@pytest.mark.parametrize("output", [1.0, -1.0])
def test_outputs_that_are_not_all_there_are_not_paired(tmp_path: Path, output: float) -> None:
    two_outputs(tmp_path)
    save_tensors(tmp_path, input_0=1, output_0=output)
    done = run(tmp_path)
    assert done.status == 3
    assert "the output 'b' was not saved" in done.case("test_data_set_0")["problem"]["message"]


def test_outputs_go_by_their_numbers(tmp_path: Path) -> None:
    two_outputs(tmp_path)
    save_tensors(tmp_path, input_0=1, output_0=1, output_1=-1)
    assert run(tmp_path).status == 0
    save_tensors(tmp_path, output_0=-1, output_1=1)
    assert run(tmp_path).status == 1


def test_a_model_without_inputs_can_be_judged(tmp_path: Path) -> None:
    two_outputs(tmp_path, constant=True)
    save_tensors(tmp_path, output_0=1, output_1=-1)
    done = run(tmp_path)
    assert done.status == 0, done.stdout + done.stderr


def test_an_output_of_another_name_is_not_taken_for_the_models(tmp_path: Path) -> None:
    write_onnx(tmp_path / "model.onnx")
    data_set(tmp_path / "test_data_set_0")
    np.savez(tmp_path / "test_data_set_0" / "outputs.npz", other=np.ones((2, 3), np.float32))
    done = run(tmp_path)
    assert done.status == 3
    assert "the output 'y' was not saved" in done.case("test_data_set_0")["problem"]["message"]
