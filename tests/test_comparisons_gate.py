"""Free pairs of sides through the real command: each that runs on a CPU, and those that can't run here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from support.projects import FEATURES, Finished, Project, weights, write_onnx

ONNX_SIDE = {"backend": "onnxruntime", "device": "cpu"}
QUANTIZED = {"*": {"snr_db": 25, "cosine": 0.999}}


class Calibration(CalibrationDataReader):
    """Thirty-two normal samples."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._left = [{"x": generator.standard_normal((2, FEATURES), np.float32)} for _ in range(32)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def quantize(root: Path) -> onnx.ModelProto:
    """The project's file as QDQ in int8, at int8.onnx."""
    quantize_static(
        str(root / "model.onnx"),
        str(root / "int8.onnx"),
        Calibration(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return onnx.load(root / "int8.onnx")


def write_float16(root: Path, *, float32_outside: bool) -> None:
    """The project's model in float16, at half.onnx; its input and output may stay float32."""
    weight, bias = weights()
    nodes = [
        helper.make_node("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16),
        helper.make_node("Gemm", ["x16", "weight", "bias"], ["z"], transB=1),
        helper.make_node("Relu", ["z"], ["y16"]),
        helper.make_node("Cast", ["y16"], ["y"], to=TensorProto.FLOAT),
    ]
    code = TensorProto.FLOAT if float32_outside else TensorProto.FLOAT16
    if not float32_outside:
        nodes = [
            helper.make_node("Gemm", ["x", "weight", "bias"], ["z"], transB=1),
            helper.make_node("Relu", ["z"], ["y"]),
        ]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("x", code, ["batch", FEATURES])],
        [helper.make_tensor_value_info("y", code, ["batch", 3])],
        [
            numpy_helper.from_array(weight.astype(np.float16), "weight"),
            numpy_helper.from_array(bias.astype(np.float16), "bias"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(made, root / "half.onnx")


def compare(root: Path, reference: Any, candidate: Any, **changes: Any) -> Finished:
    """The small project with one comparison."""
    project = Project(root)
    return project.run(comparisons=[{"reference": reference, "candidate": candidate}], **changes)


def only_case(done: Finished) -> dict[str, Any]:
    (case,) = done.results["cases"]
    found: dict[str, Any] = case
    return found


def test_torch_against_onnxruntime_says_both_sides(tmp_path: Path) -> None:
    done = compare(tmp_path, "torch@cpu", "onnxruntime@cpu")

    assert done.status == 0, done.stdout + done.stderr
    case = only_case(done)
    assert case["id"] == "small/torch@cpu~onnxruntime@cpu/sample=0/model"
    assert (case["reference"], case["candidate"], case["device"]) == ("torch@cpu", "onnxruntime@cpu", "cpu")
    assert [side["side"] for side in done.results["suites"][0]["sides"]] == ["torch@cpu", "onnxruntime@cpu"]


def test_a_case_of_a_pair_can_be_chosen_and_its_folder_is_safe(tmp_path: Path) -> None:
    project = Project(tmp_path)
    pairs = [
        {"reference": "torch@cpu", "candidate": "onnxruntime@cpu"},
        {"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "session_config": {"a.b": "1:2"}}},
    ]
    done = project.run("--case", "*/torch@cpu~*", "--keep", "kept", comparisons=pairs)

    assert done.status == 0, done.stdout + done.stderr
    assert only_case(done)["reference"] == "torch@cpu"
    folders = [path.name for path in (tmp_path / "kept" / "0-small").iterdir()]
    assert len(folders) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9._+@=,()~-]+", name) for name in folders)


@pytest.mark.parametrize("variant", ["compile", "autocast-bfloat16"])
def test_variants_of_torch_run(tmp_path: Path, variant: str) -> None:
    tolerances = {"*": {"atol": 0.05, "dtype": "any"}}
    done = compare(tmp_path, f"torch+{variant}@cpu", "onnxruntime@cpu", tolerances=tolerances)

    assert done.status == 0, done.stdout + done.stderr
    case = only_case(done)
    assert case["reference"] == f"torch+{variant}@cpu"
    rounded = case["outputs"][0]["max_abs"] > 1e-4
    assert rounded == (variant == "autocast-bfloat16")


def test_autocast_is_named_as_the_cause_and_its_dtype_is_not_let_through(tmp_path: Path) -> None:
    done = compare(tmp_path, "torch+autocast-bfloat16@cpu", "onnxruntime@cpu")

    assert done.status == 1
    (output,) = only_case(done)["outputs"]
    assert output["problem"] == "the reference is bfloat16, the candidate float32"
    assert output["diagnosis"]["dominant_leg"] == "reference"
    budget = output["diagnosis"]["budget"]
    assert budget["noise_floor"] < 1e-5
    assert budget["reference_rounding"] > 1e-4
    assert "autocast" in output["diagnosis"]["causes"][0]["message"]


def test_what_torch_compile_can_not_compile_could_not_be_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    done = compare(tmp_path, "torch+compile@cpu", "onnxruntime@cpu")

    assert done.status == 3, done.stdout + done.stderr
    problem = only_case(done)["problem"]
    assert problem["kind"] == "model"
    assert "torch.compile can't compile the model for cpu" in problem["message"]
    assert "g++" in problem["fix"]


def test_onnx_against_onnx_with_another_optimization_needs_no_torch(tmp_path: Path) -> None:
    done = compare(
        tmp_path, "onnxruntime@cpu", {**ONNX_SIDE, "optimization": "all"}, model=None, diagnose="always"
    )

    assert done.status == 0, done.stdout + done.stderr
    case = only_case(done)
    assert case["candidate"] == "onnxruntime(optimization=all)@cpu"
    reference, candidate = (side["settings"] for side in done.results["suites"][0]["sides"])
    assert (reference["optimization"], candidate["optimization"]) == ("disable_all", "all")
    diagnosis = case["outputs"][0]["diagnosis"]
    assert diagnosis["budget"]["export_error"] == 0.0
    assert diagnosis["budget"]["unknown"] == {}
    assert any("both sides are ONNX files" in note for note in diagnosis["notes"])


def test_a_quantized_file_is_within_its_tolerance_of_its_float_parent(tmp_path: Path) -> None:
    project = Project(tmp_path)
    quantize(tmp_path)
    pair = [{"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "onnx": "int8.onnx"}}]

    done = project.run(comparisons=pair, model=None, tolerances=QUANTIZED, diagnose="always")

    assert done.status == 0, done.stdout + done.stderr
    case = only_case(done)
    assert case["candidate"] == "onnxruntime(int8.onnx)@cpu"
    (output,) = case["outputs"]
    assert {check["criterion"] for check in output["checks"]} == {"cosine", "snr_db"}
    diagnosis = output["diagnosis"]
    assert diagnosis["dominant_leg"] == "export"
    assert diagnosis["causes"][0]["kind"] == "precision"
    assert "quantized" in diagnosis["causes"][0]["message"]


def test_a_wrong_scale_is_beyond_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    made = quantize(tmp_path)
    scales = [each for each in made.graph.initializer if each.name.startswith("x") and "scale" in each.name]
    (scale,) = scales
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) / np.float32(8), scale.name))
    onnx.save(made, tmp_path / "int8.onnx")
    pair = [{"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "onnx": "int8.onnx"}}]

    done = project.run(comparisons=pair, model=None, tolerances=QUANTIZED)

    assert done.status == 1, done.stdout + done.stderr
    diagnosis = only_case(done)["outputs"][0]["diagnosis"]
    assert diagnosis["dominant_leg"] == "export"
    cause = diagnosis["causes"][0]
    assert (cause["kind"], cause["tensor"]) == ("precision", "x")
    assert cause["share"] > 0.9
    assert "quantizing 'x' (scale " in cause["message"]
    assert diagnosis["first_divergence"]["node"] == "x_DequantizeLinear"


def test_a_changed_weight_is_found_between_two_files(tmp_path: Path) -> None:
    project = Project(tmp_path)
    changed = onnx.load(tmp_path / "model.onnx")
    (bias,) = (each for each in changed.graph.initializer if each.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.1), "bias"))
    onnx.save(changed, tmp_path / "changed.onnx")
    pair = [{"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "onnx": "changed.onnx"}}]

    done = project.run(comparisons=pair, model=None)

    assert done.status == 1
    diagnosis = only_case(done)["outputs"][0]["diagnosis"]
    cause = diagnosis["causes"][0]
    assert (cause["leg"], cause["tensor"]) == ("export", "bias")
    assert cause["share"] > 0.99
    assert diagnosis["first_divergence"]["op_type"] == "Gemm"


def test_float16_inside_passes_within_its_rounding(tmp_path: Path) -> None:
    write_float16(tmp_path, float32_outside=True)
    done = compare(
        tmp_path, "torch@cpu", {**ONNX_SIDE, "onnx": "half.onnx"}, tolerances={"*": {"atol": 5e-3}}
    )
    assert done.status == 0, done.stdout + done.stderr
    assert only_case(done)["outputs"][0]["dtype"] == "float32"


@pytest.mark.parametrize("reference", ["torch@cpu", "onnxruntime@cpu"])
def test_a_file_with_float16_inputs_and_outputs_is_compared_when_that_is_asked_for(
    tmp_path: Path, reference: str
) -> None:
    write_float16(tmp_path, float32_outside=False)
    side = {**ONNX_SIDE, "onnx": "half.onnx", "cast_inputs": True}

    done = compare(tmp_path, reference, side, tolerances={"*": {"atol": 5e-3, "dtype": "any"}})
    assert done.status == 0, done.stdout + done.stderr
    assert only_case(done)["outputs"][0]["dtype"] == "float16"

    done = compare(tmp_path, reference, side, tolerances={"*": {"atol": 5e-3}})
    assert done.status == 1
    assert only_case(done)["outputs"][0]["problem"] == "the reference is float32, the candidate float16"

    done = compare(tmp_path, reference, {**side, "cast_inputs": False})
    assert done.status in {2, 3}
    assert "float16" in only_case(done)["problem"]["message"]


@pytest.mark.parametrize(
    "side",
    [
        "onnxruntime+openvino@cpu",
        "onnxruntime+dnnl@cpu",
        {**ONNX_SIDE, "provider": "FancyExecutionProvider"},
    ],
    ids=["openvino", "dnnl", "unknown"],
)
@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_a_provider_that_is_not_in_this_build_is_never_the_cpu(tmp_path: Path, side: Any, role: str) -> None:
    sides = {"reference": "onnxruntime@cpu", "candidate": "onnxruntime@cpu", role: side}
    done = compare(tmp_path, **sides, model=None)

    assert done.status == 3, done.stdout + done.stderr
    case = only_case(done)
    assert (case["status"], case["outputs"]) == ("error", [])
    assert case["problem"]["kind"] == "device"
    assert "ExecutionProvider" in case["problem"]["message"]
    assert "CPUExecutionProvider" in case["problem"]["message"]  # the available ones are listed
    assert case["problem"]["at"].startswith("parity.yml:")


@pytest.mark.parametrize("pair", [("torch@cuda:0", "onnxruntime@cpu"), ("torch@cpu", "onnxruntime@cuda:0")])
def test_a_gpu_that_is_not_there_is_never_the_cpu(tmp_path: Path, pair: tuple[str, str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = compare(tmp_path, *pair)

    assert done.status == 3
    assert only_case(done)["problem"]["kind"] == "device"


CHAIN = """\
def run(stages, inputs):
    first = stages["first"](inputs["x"])["y"]
    return {"y": stages["second"](first @ first.new_full((3, 4), 0.3))["y"]}
"""


@pytest.fixture
def chain(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    (tmp_path / "chain.py").write_text(CHAIN)
    made = onnx.load(tmp_path / "model.onnx")
    (bias,) = (each for each in made.graph.initializer if each.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.1), "bias"))
    onnx.save(made, tmp_path / "changed.onnx")
    project.spec |= {
        "components": {"first": {"onnx": "model.onnx"}, "second": {"onnx": "model.onnx"}},
        "pipeline": "chain.py:run",
    }
    del project.spec["model"], project.spec["onnx"]
    return project


def test_a_pipeline_of_onnx_files_is_a_reference_too(chain: Project) -> None:
    pair = {"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "optimization": "all"}}
    done = chain.run(comparisons=[pair])

    assert done.status == 0, done.stdout + done.stderr
    subjects = [case["subject"] for case in done.results["cases"]]
    assert subjects == ["first", "second", "pipeline"]


def test_another_file_of_one_component_is_seen_in_it_and_in_the_chain(chain: Project) -> None:
    pair = {"reference": "onnxruntime@cpu", "candidate": {**ONNX_SIDE, "onnx": {"second": "changed.onnx"}}}
    done = chain.run(comparisons=[pair])

    assert done.status == 1, done.stdout + done.stderr
    statuses = {case["subject"]: case["status"] for case in done.results["cases"]}
    assert statuses == {"first": "passed", "second": "failed", "pipeline": "failed"}


def test_noise_floors_of_an_onnx_reference(tmp_path: Path) -> None:
    done = compare(
        tmp_path,
        {**ONNX_SIDE, "optimization": "all"},
        "onnxruntime@cpu",
        model=None,
        tolerances={"*": {"noise_factor": 10}},
    )

    assert done.status == 0, done.stdout + done.stderr
    (output,) = only_case(done)["outputs"]
    assert 1e-9 < output["tolerance"]["noise_floor"] < 1e-5


def test_a_reference_file_that_is_damaged_is_named_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    done = compare(tmp_path, {**ONNX_SIDE, "onnx": "damaged.onnx"}, "onnxruntime@cpu", model=None)

    assert done.status == 3
    problem = only_case(done)["problem"]
    assert "damaged.onnx" in problem["message"]
    lines = (tmp_path / "parity.yml").read_text().splitlines()
    assert "onnx: damaged.onnx" in lines[int(problem["at"].split(":")[1]) - 1]


def test_a_file_of_a_side_s_own_that_fails_while_it_runs_is_named_at_its_place(tmp_path: Path) -> None:
    write_onnx(tmp_path / "broken.onnx")
    model = onnx.load(tmp_path / "broken.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.array([7, 7]), "shape"))
    model.graph.node[-1].output[0] = "whole"
    model.graph.node.append(helper.make_node("Reshape", ["whole", "shape"], ["y"], name="reshape"))
    onnx.save(model, tmp_path / "broken.onnx")
    done = compare(tmp_path, "torch@cpu", {**ONNX_SIDE, "onnx": "broken.onnx"})

    assert done.status == 3
    problem = only_case(done)["problem"]
    assert "reshape" in problem["message"]
    lines = (tmp_path / "parity.yml").read_text().splitlines()
    assert "onnx: broken.onnx" in lines[int(problem["at"].split(":")[1]) - 1]
