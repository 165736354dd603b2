"""Exported files, by both exporters, held against the module by running them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support.reference import Project, unable, values

from parity.artifacts import Array
from parity.records.jobs import MODEL, Exporter, ExportJob, Numerics
from parity.records.outcomes import Exported
from parity.worker import exporting
from parity.worker.onnx_files import read_signature

EXPORTERS: list[Exporter] = ["torchscript", "dynamo"]
both = pytest.mark.parametrize("exporter", EXPORTERS)
RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)

NET = """
import dataclasses

@dataclasses.dataclass
class Prediction:
    heatmap: torch.Tensor
    boxes: dict
    score: torch.Tensor = None

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()

    def forward(self, image, gain=None, shift=None):
        x = self.drop(self.norm(self.conv(image)))
        if gain is not None:
            x = x * gain
        if shift is not None:
            x = x - shift
        return Prediction(x, {"z": x.mean(dim=(2, 3)), "a": [x.relu_()]})

build = Net
"""


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def exported(
    project: Project, job: ExportJob, arrays: dict[str, Array], **fields: Any
) -> tuple[Exported, dict[str, Array]]:
    """Runs and exports the project's model; the reference's outputs by path beside the answer."""
    project.load(project.component(export=job, **fields))
    ran = project.run(**arrays)
    return project.export(), values(ran.calls[0].outputs)


def session(answer: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(answer.path, providers=["CPUExecutionProvider"])


def outputs(answer: Exported, arrays: dict[str, Array]) -> list[Array]:
    return list(session(answer).run(None, arrays))


@both
def test_a_nested_result_is_exported_under_its_paths_and_in_its_order(
    tmp_path: Path, exporter: Exporter
) -> None:
    arrays = {"image": IMAGE}
    answer, reference = exported(Project(tmp_path, NET), ExportJob(exporter=exporter, opset=18), arrays)

    assert list(reference) == ["heatmap", "boxes.z", "boxes.a.0"]
    assert [value.name for value in read_signature(answer.path)[1]] == list(reference)
    for one, other in zip(outputs(answer, arrays), reference.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert answer.settings["exporter"] == exporter
    assert answer.settings["opset"] == 18
    assert answer.seconds > 0


@both
@pytest.mark.parametrize(
    "names", [("shift", "image", "gain"), ("shift", "image"), ("first", "second", "third")]
)
def test_each_input_reaches_the_parameter_it_reached_in_the_reference(
    tmp_path: Path, exporter: Exporter, names: tuple[str, ...]
) -> None:
    factors = {"gain": np.full((1, 4, 1, 1), 3, np.float32)}
    shift = RNG.standard_normal((1, 4, 1, 1)).astype(np.float32)
    given = {"image": IMAGE, "shift": shift, **factors}
    by_position = dict(zip(names, (IMAGE, factors["gain"], shift), strict=False))
    arrays = by_position if "first" in names else {name: given[name] for name in names}

    answer, reference = exported(Project(tmp_path, NET), ExportJob(exporter=exporter, opset=18), arrays)

    assert {value.name for value in read_signature(answer.path)[0]} == set(names)
    np.testing.assert_allclose(outputs(answer, arrays)[0], reference["heatmap"], rtol=1e-4, atol=1e-5)


@both
def test_dynamic_axes_keep_their_names_even_from_an_example_of_one(
    tmp_path: Path, exporter: Exporter
) -> None:
    shapes = {"image": {0: "batch", 2: "height"}, "shift": {0: "batch"}}
    job = ExportJob(exporter=exporter, opset=18, dynamic_shapes=shapes)
    shift = np.ones((1, 4, 1, 1), np.float32)
    answer, _ = exported(Project(tmp_path, NET), job, {"image": IMAGE, "shift": shift})

    (image, _), (heatmap, *_) = read_signature(answer.path)
    assert image.shape == ("batch", 3, "height", 8)
    assert heatmap.shape is not None
    assert heatmap.shape[0] == "batch"
    wide = RNG.standard_normal((3, 3, 12, 8)).astype(np.float32)
    many = outputs(answer, {"image": wide, "shift": np.ones((3, 4, 1, 1), np.float32)})
    one = outputs(answer, {"image": wide[1:2], "shift": shift})
    np.testing.assert_allclose(many[0][1:2], one[0], rtol=1e-5, atol=1e-6)
    assert answer.settings["dynamic_shapes"] == "image.0=batch, image.2=height, shift.0=batch"


@both
@pytest.mark.parametrize("own", [None, True, False])
def test_constant_folding_is_the_components_or_else_that_of_the_numerics(
    tmp_path: Path, exporter: Exporter, own: bool | None
) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))
    def forward(self, x): return x @ self.weight.t()
build = Net
"""
    project = Project(tmp_path, source)
    job = ExportJob(exporter=exporter, opset=18, constant_folding=own)
    project.load(project.component(export=job), numerics=Numerics(constant_folding=False))
    project.run(x=np.ones((1, 2), np.float32))

    answer = project.export()

    nodes = [node.op_type for node in onnx.load(answer.path).graph.node]
    assert ("Transpose" in nodes) is (own is not True)
    assert answer.settings["constant_folding"] is bool(own)


@both
def test_nodes_keep_the_scopes_of_the_module(tmp_path: Path, exporter: Exporter) -> None:
    job = ExportJob(exporter=exporter, opset=18, constant_folding=False)
    answer, _ = exported(Project(tmp_path, NET), job, {"image": IMAGE})

    (conv,) = (node for node in onnx.load(answer.path).graph.node if node.op_type == "Conv")
    scopes = {entry.key: entry.value for entry in conv.metadata_props}
    assert "conv" in (conv.name if exporter == "torchscript" else scopes["pkg.torch.onnx.name_scopes"])


@both
def test_the_module_is_as_before(tmp_path: Path, exporter: Exporter) -> None:
    project = Project(tmp_path, NET)
    _, before = exported(project, ExportJob(exporter=exporter, opset=18), {"image": IMAGE})

    after = values(project.run("1", image=IMAGE).calls[0].outputs)

    assert list(after) == list(before)
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name])


@both
def test_outputs_get_the_names_that_the_specification_maps(tmp_path: Path, exporter: Exporter) -> None:
    names = {"logits": "boxes.z", "map": "heatmap"}
    job = ExportJob(exporter=exporter, opset=18)
    answer, _ = exported(Project(tmp_path, NET), job, {"image": IMAGE}, outputs=names)

    assert [value.name for value in read_signature(answer.path)[1]] == ["map", "logits", "boxes.a.0"]


def test_large_parameters_lie_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the dynamo exporter; the other decides by itself, at 2 GB."""
    monkeypatch.setattr(exporting, "_INLINE_BYTES", 0)
    project = Project(tmp_path, "def build(): return nn.Linear(64, 64)")
    x = np.ones((1, 64), np.float32)

    answer, reference = exported(project, ExportJob(exporter="dynamo", opset=18), {"input": x})

    assert (tmp_path / "model.onnx.data").stat().st_size >= 64 * 64 * 4
    np.testing.assert_allclose(outputs(answer, {"input": x})[0], reference["output"], rtol=1e-5)
    assert sorted(path.name for path in tmp_path.glob("*onnx*")) == ["model.onnx", "model.onnx.data"]


@both
def test_a_component_of_a_pipeline_is_exported_from_its_first_call(
    tmp_path: Path, exporter: Exporter
) -> None:
    source = "class Head(nn.Module):\n    def forward(self, x, scale): return x - scale, x * scale"
    project = Project(tmp_path, source)
    project.write(
        "pipeline.py",
        "def run(stages, inputs):\n"
        "    a = stages['head'](inputs['x'], scale=inputs['s'])\n"
        "    return stages['head'](a['output_1'][:1], inputs['s'][:1])",
    )
    job = ExportJob(exporter=exporter, opset=18, dynamic_shapes={"x": {0: "n"}, "scale": {0: "n"}})
    project.load(project.component("head", "model.py:Head", export=job), pipeline="pipeline.py:run")
    x = RNG.standard_normal((2, 3)).astype(np.float32)
    ran = project.run(x=x, s=2 * x)

    answer = project.export("head")

    for call in ran.calls:
        one = outputs(answer, values(call.inputs))
        for found, wanted in zip(one, values(call.outputs).values(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert [value.name for value in read_signature(answer.path)[1]] == ["output_0", "output_1"]
    assert list(values(ran.calls[0].outputs)) == ["output_0", "output_1"]


@both
@pytest.mark.parametrize(
    ("result", "count"),
    [
        ("[y, y, x.shape[0], 0.5]", 4),
        ("(x,)", 1),
        ("{'b': y, 'a': y * 2, 'n': None}", 2),
        ("torch.max(x, dim=0)", 2),
    ],
    ids=["shared and numbers", "the input itself", "order and None", "structseq"],
)
def test_unusual_results(tmp_path: Path, exporter: Exporter, result: str, count: int) -> None:
    forward = f"def forward(self, x):\n        y = x + 1\n        return {result}"
    source = f"class Net(nn.Module):\n    {forward}\nbuild = Net"
    x = RNG.standard_normal((2, 3)).astype(np.float32)

    answer, reference = exported(Project(tmp_path, source), ExportJob(exporter=exporter, opset=18), {"x": x})

    found = outputs(answer, {"x": x})
    assert len(found) == len(reference) == count
    for one, other in zip(found, reference.values(), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


@both
def test_what_an_exporter_can_not_do_is_one_readable_message(tmp_path: Path, exporter: Exporter) -> None:
    source = "class Net(nn.Module):\n    def forward(self, x): return torch.linalg.eigvals(x)\nbuild = Net"
    project = Project(tmp_path, source)
    project.load(project.component(export=ExportJob(exporter=exporter, opset=18)))
    project.run(x=np.eye(3, dtype=np.float32))

    error = unable(project.export)

    assert error.reason == "model"
    assert f"the {exporter} exporter failed on the model: " in error.problem
    assert "eig" in error.problem
    assert "\n" not in error.problem
    assert "exporter: " in error.fix
    assert "Traceback" in error.detail
    assert not list(tmp_path.glob("*onnx*")), "nothing half-made is left"
    assert not list(tmp_path.glob(".export*"))


def test_a_single_element_along_a_dynamic_axis_is_suspected(tmp_path: Path) -> None:
    source = """
    class Net(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=x.shape[1] > 1)
    build = Net"""
    project = Project(tmp_path, textwrap.dedent(source))
    job = ExportJob(exporter="dynamo", opset=18, dynamic_shapes={"x": {1: "seq"}})
    project.load(project.component(export=job))
    project.run(x=np.ones((2, 1, 4), np.float32))
    error = unable(project.export)
    assert "is_causal" in error.problem
    assert "put a larger size first: the example has 1 at axis 1 of 'x'" in error.fix


def test_what_tracing_froze_is_in_the_settings(tmp_path: Path) -> None:
    forward = "def forward(self, x): return x * 2 if bool(x.sum() > 0) else x"
    project = Project(tmp_path, f"class Net(nn.Module):\n    {forward}\nbuild = Net")

    answer, _ = exported(
        project, ExportJob(exporter="torchscript", opset=18), {"x": np.ones((2,), np.float32)}
    )

    assert "Converting a tensor to a Python boolean" in str(answer.settings["warnings"])


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("old")

    answer, _ = exported(
        Project(tmp_path, NET), ExportJob(exporter="torchscript", opset=16), {"image": IMAGE}
    )

    assert onnx.load(answer.path).opset_import[0].version == 16


@pytest.mark.parametrize(
    ("job", "fields", "said"),
    [
        ({"dynamic_shapes": {"imgae": {0: "n"}}}, {}, "names 'imgae'"),
        ({"dynamic_shapes": {"image": {4: "n"}}}, {}, "'image' has no axis 4"),
        ({"dynamic_shapes": {"image": {-1: "n"}}}, {}, "'image' has no axis -1"),
        ({}, {"outputs": {"image": "heatmap"}}, "names an input and an output"),
        ({}, {"outputs": {"a": "heatmap", "b": "heatmap"}}, "are both the path 'heatmap'"),
        ({}, {"outputs": {"boxes.z": "heatmap"}}, "'boxes.z' would be the name of two outputs"),
    ],
)
def test_what_the_specification_asks_wrongly_is_said(
    tmp_path: Path, job: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    project = Project(tmp_path, NET)

    error = unable(
        lambda: exported(project, ExportJob(exporter="torchscript", **job), {"image": IMAGE}, **fields)
    )

    assert (error.reason, said in error.problem) == ("specification", True)


def test_an_opset_that_the_exporter_does_not_reach_is_said(tmp_path: Path) -> None:
    error = unable(
        lambda: exported(
            Project(tmp_path, NET), ExportJob(exporter="torchscript", opset=99), {"image": IMAGE}
        )
    )
    assert error.reason == "model"


@both
def test_an_input_that_the_forward_takes_by_keyword_only(tmp_path: Path, exporter: Exporter) -> None:
    source = "class Net(nn.Module):\n    def forward(self, x, *, k): return x + k\nbuild = Net"
    x = np.ones((1,), np.float32)

    answer, _ = exported(Project(tmp_path, source), ExportJob(exporter=exporter, opset=18), {"x": x, "k": x})
    assert outputs(answer, {"x": x, "k": 2 * x})[0].tolist() == [3]


@both
def test_a_number_that_is_left_at_its_default_is_no_input(tmp_path: Path, exporter: Exporter) -> None:
    """As `logits_to_keep` of a language model, behind a parameter that is left out too."""
    source = (
        "class Net(nn.Module):\n    def forward(self, x, cache=None, k=None, keep=2): return x[:keep] + k\n"
    )
    x = np.ones((3,), np.float32)
    project, job = Project(tmp_path, f"{source}build = Net"), ExportJob(exporter=exporter, opset=18)
    answer, _ = exported(project, job, {"x": x, "k": x[:2]})
    assert outputs(answer, {"x": x, "k": 2 * x[:2]})[0].tolist() == [3, 3]


def test_a_component_that_did_not_run_has_no_example(tmp_path: Path) -> None:
    project = Project(tmp_path, NET)
    project.load()

    assert "was not called" in unable(project.export).problem
    assert unable(lambda: project.export("head")).reason == "tool"
    assert MODEL in project.component().onnx


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    project = Project(tmp_path, NET)
    component = project.component()
    project.load(type(component)(**{**_fields(component), "onnx": str(tmp_path / "file" / "model.onnx")}))
    project.run(image=IMAGE)

    assert unable(project.export).reason == "onnx"


def _fields(component: Any) -> dict[str, Any]:
    return {name: getattr(component, name) for name in component.__struct_fields__}
