"""The reference side, request by request, on small modules of a user's project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.reference import FLOAT, INT64, Project, unable, values, write_onnx

from parity.records.inputs import Distribution, FileInputs, GeneratedInputs
from parity.records.jobs import Numerics
from parity.records.outcomes import Materialized
from parity.records.requests import MaterializeProvider, MaterializeSet, OpenSession
from parity.records.tensors import StageCall

X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
Y = np.ones((2, 3), np.float32)

ADD = """
class Net(nn.Module):
    def forward(self, a, b):
        return {"diff": a - b, "sums": [a + b]}
def build(): return Net()
"""


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def one_call(calls: tuple[StageCall, ...]) -> StageCall:
    (call,) = calls
    return call


class TestLoading:
    def test_settings_versions_and_device_are_reported(self, tmp_path: Path) -> None:
        loaded = Project(tmp_path, ADD).load()

        assert loaded.settings["torch.is_grad_enabled"] is False
        assert loaded.versions["torch"] == torch.__version__
        assert loaded.device == "cpu"
        assert loaded.notes == ()

    def test_settings_win_over_what_the_users_import_has_set(self, tmp_path: Path) -> None:
        project = Project(
            tmp_path, "torch.set_grad_enabled(True)\ntorch.backends.cudnn.benchmark = True\n" + ADD
        )

        loaded = project.load(numerics=Numerics(grad=False, cudnn_benchmark=False))

        assert loaded.settings["torch.is_grad_enabled"] is False
        assert loaded.settings["torch.backends.cudnn.benchmark"] is False

    def test_a_checkpoint_is_loaded_and_its_notes_passed_on(self, tmp_path: Path) -> None:
        project = Project(tmp_path, "def build(): return nn.Linear(3, 1, bias=False)")
        torch.save({"weight": torch.tensor([[1, 2, 3]], dtype=torch.float64)}, tmp_path / "best.pth")

        loaded = project.load(project.component(model={"checkpoint": str(tmp_path / "best.pth")}))

        assert "torch.float64 were cast" in loaded.notes[0]
        assert values(project.run(input=X).calls[0].outputs)["output"].tolist() == [[14], [32]]

    def test_dropout_that_overrides_eval_is_off_and_noted(self, tmp_path: Path) -> None:
        source = """
class On(nn.Dropout):
    def train(self, mode=True): return super().train(True)
def build(): return nn.Sequential(On())
"""
        project = Project(tmp_path, source)

        assert "0 stayed in train mode" in project.load().notes[0]
        assert (values(project.run(input=X).calls[0].outputs)["output"] == X).all()

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_a_device_that_is_not_there_is_no_silent_run_on_the_cpu(self, tmp_path: Path) -> None:
        error = unable(lambda: Project(tmp_path, ADD).load(device="cuda:0"))

        assert (error.reason, "cuda:0 is not available" in error.problem) == ("device", True)

    def test_nothing_runs_before_loading(self, tmp_path: Path) -> None:
        assert unable(lambda: Project(tmp_path, ADD).run(a=X, b=Y)).reason == "tool"

    def test_the_other_sides_requests_are_refused(self, tmp_path: Path) -> None:
        assert unable(lambda: Project(tmp_path, ADD).side.handle(OpenSession(component="x"))).reason == "tool"


class TestInputs:
    def materialize(self, project: Project, request: Any) -> Materialized:
        answer = project.side.handle(request)
        assert isinstance(answer, Materialized)
        return answer

    def test_generated_inputs_lie_on_disk_with_their_hashes(self, tmp_path: Path) -> None:
        tensor = Distribution(name="x", shape=(2, 3), dtype="bfloat16", distribution="normal")
        source = GeneratedInputs(tensors=(tensor,), seed=(0,))
        project = Project(tmp_path, ADD)

        (one,) = self.materialize(
            project, MaterializeSet(id="s0", source=source, directory=str(tmp_path / "one"))
        ).sets
        (two,) = self.materialize(
            project, MaterializeSet(id="s0", source=source, directory=str(tmp_path / "two"))
        ).sets

        assert one.id == "s0"
        assert (one.tensors[0].dtype, one.tensors[0].shape) == ("bfloat16", (2, 3))
        assert one.tensors[0].sha256 == two.tensors[0].sha256 != ""

    def test_files_are_materialized(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "s.npz", a=X, b=Y)
        request = MaterializeSet(
            id="s", source=FileInputs(path=str(tmp_path / "s.npz")), directory=str(tmp_path / "out")
        )

        (one,) = self.materialize(Project(tmp_path, ADD), request).sets

        np.testing.assert_array_equal(values(one.tensors)["a"], X)

    def test_another_byte_order_is_turned_into_this_machines(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "s.npz", a=X.astype(X.dtype.newbyteorder()), b=Y)
        project = Project(tmp_path, ADD)
        request = MaterializeSet(
            id="s", source=FileInputs(path=str(tmp_path / "s.npz")), directory=str(tmp_path / "out")
        )

        (one,) = self.materialize(project, request).sets

        assert values(one.tensors)["a"].dtype.isnative
        np.testing.assert_array_equal(values(one.tensors)["a"], X)

    def test_a_provider_that_reuses_its_memory_gives_each_set_its_own(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        loop = "while True:\n        x += 1\n        yield {'x': x}"
        project.write("data.py", f"import torch\ndef samples():\n    x = torch.zeros(1)\n    {loop}")
        project.load()

        answers = [self.provided(project, index) for index in range(4)]

        sets = [one for answer in answers for one in answer.sets]
        assert [one.id for one in sets] == ["0", "1", "2"]
        assert [values(one.tensors)["x"].item() for one in sets] == [1, 2, 3]

    def test_a_provider_is_asked_again_by_a_worker_that_stands_in(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.write("data.py", "def samples():\n    for x in range(9): yield {'x': x}")
        project.load()

        unwanted = self.provided(project, 1, wanted=False)
        (one,) = self.provided(project, 2).sets

        assert [(made.id, made.tensors) for made in unwanted.sets] == [("1", ())]
        assert values(one.tensors)["x"].item() == 2
        assert not (tmp_path / "i" / "1").exists()

    def provided(self, project: Project, index: int, *, wanted: bool = True) -> Materialized:
        directory = str(project.root / "i" / str(index)) if wanted else None
        request = MaterializeProvider(target="data.py:samples", samples=3, index=index, directory=directory)
        return self.materialize(project, request)


class TestRunningAModel:
    def test_inputs_named_as_parameters_are_passed_by_name(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.load()

        ran = project.run(b=Y, a=X)
        call = one_call(ran.calls)

        assert (call.component, call.index, call.subject) == ("model", 0, "model")
        assert list(values(call.outputs)) == ["diff", "sums.0"]
        np.testing.assert_array_equal(values(call.outputs)["diff"], X - Y)
        assert ran.outputs is None
        assert ran.seconds > 0
        assert ran.peak_rss_bytes > 1_000_000
        assert ran.peak_device_bytes is None

    def test_other_names_go_by_the_order_of_the_set_when_the_file_is_exported(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.load()

        call = one_call(project.run(image=X, mask=Y).calls)

        np.testing.assert_array_equal(values(call.outputs)["diff"], X - Y)

    def test_other_names_go_by_the_order_of_the_onnx_file(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        write_onnx(tmp_path / "model.onnx", {"image": (FLOAT, ["n", 3]), "mask": (FLOAT, ["n", 3])})
        project.load(project.component(export=None))

        call = one_call(project.run(mask=Y, image=X).calls)

        np.testing.assert_array_equal(values(call.outputs)["diff"], X - Y)

    def test_some_names_that_match_and_would_be_swapped_are_refused(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        write_onnx(tmp_path / "model.onnx", {"b": (FLOAT, ["n", 3]), "other": (FLOAT, ["n", 3])})
        project.load(project.component(export=None))

        error = unable(lambda: project.run(b=X, other=Y))

        assert error.reason == "specification"
        assert "the input 'b' would be passed to the model as 'a'" in error.problem

    def test_some_names_that_match_in_their_place_are_taken(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.load()

        call = one_call(project.run(a=X, other=Y).calls)

        np.testing.assert_array_equal(values(call.outputs)["diff"], X - Y)

    @pytest.mark.parametrize(
        ("declared", "arrays", "said", "fix"),
        [
            ({"a": (FLOAT, [2, 3])}, {"a": X, "b": Y}, "has no input 'b'", "names"),
            ({"image": (FLOAT, [2, 3])}, {"imag": X}, "has no input 'imag'", "did you mean 'image'?"),
            ({"a": (FLOAT, [2, 3]), "b": (FLOAT, [2, 3])}, {"a": X}, "'b' of", "every input"),
            (
                {"a": (FLOAT, [2, 3]), "b": (FLOAT, [2, 3])},
                {"a": X, "b": Y.astype(np.float64)},
                "'b' is float64[2, 3]",
                "dtype",
            ),
            (
                {"a": (FLOAT, [2, 3]), "b": (INT64, [2, 3])},
                {"a": X, "b": Y},
                "takes int64[2, 3]",
                "dtype",
            ),
            (
                {"a": (FLOAT, [2, 3]), "b": (FLOAT, ["n", 4])},
                {"a": X, "b": Y},
                "takes float32[n, 4]",
                "shape",
            ),
            ({"a": (FLOAT, [2, 3]), "b": (FLOAT, [3])}, {"a": X, "b": Y}, "takes float32[3]", "shape"),
        ],
    )
    def test_inputs_are_held_against_the_onnx_file(
        self, tmp_path: Path, declared: Any, arrays: Any, said: str, fix: str
    ) -> None:
        project = Project(tmp_path, ADD)
        write_onnx(tmp_path / "model.onnx", declared)
        project.load(project.component(export=None))

        error = unable(lambda: project.run(**arrays))

        assert error.reason == "specification"
        assert said in error.problem
        assert fix in error.fix

    def test_a_damaged_onnx_file_is_said(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        (tmp_path / "model.onnx").write_bytes(b"")
        project.load(project.component(export=None))

        assert unable(lambda: project.run(a=X, b=Y)).reason == "onnx"

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [({"a": X}, "needs 'b'"), ({"x": X, "y": Y, "z": Y}, "takes 'a', 'b'"), ({"c": X}, "needs 'b'")],
    )
    def test_too_many_and_too_few_inputs_are_said(self, tmp_path: Path, arrays: Any, said: str) -> None:
        project = Project(tmp_path, ADD)
        project.load()

        error = unable(lambda: project.run(**arrays))

        assert (error.reason, said in error.problem) == ("specification", True)

    def test_a_model_that_writes_into_its_inputs_hurts_nobody(self, tmp_path: Path) -> None:
        project = Project(
            tmp_path, "class Net(nn.Module):\n    def forward(self, x): return x.mul_(2)\nbuild = Net"
        )
        project.load()

        ran = [project.run(x=X) for _ in range(2)]
        project.measure(x=X)

        for one in ran:
            np.testing.assert_array_equal(values(one.calls[0].inputs)["x"], X)
            np.testing.assert_array_equal(values(one.calls[0].outputs)["output"], 2 * X)

    def test_what_the_forward_changes_is_set_back_for_the_next_run(self, tmp_path: Path) -> None:
        source = """
class Net(nn.Module):
    def forward(self, x):
        y = x * (2 if self.training else 1)
        self.train()
        torch.set_grad_enabled(True)
        return y
build = Net
"""
        project = Project(tmp_path, source)
        project.load()

        for _ in range(2):
            np.testing.assert_array_equal(values(project.run(x=X).calls[0].outputs)["output"], X)

    @pytest.mark.parametrize(
        ("body", "reason", "said"),
        [
            ("return x @ x", "user-code", "RuntimeError while running the model in PyTorch on cpu"),
            ("raise SystemExit(4)", "user-code", "sys.exit(4)"),
            ("return 'a', {x}", "model", "type set at '1'"),
            ("return None", "model", "returned no tensor"),
        ],
    )
    def test_a_forward_that_fails_is_the_users(
        self, tmp_path: Path, body: str, reason: str, said: str
    ) -> None:
        project = Project(tmp_path, f"class Net(nn.Module):\n    def forward(self, x): {body}\nbuild = Net")
        project.load()

        error = unable(lambda: project.run(x=X))

        assert (error.reason, said in error.problem) == (reason, True)

    def test_the_outputs_mapping_must_name_paths_that_exist(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.load(project.component(outputs={"y": "sums.O"}))

        error = unable(lambda: project.run(a=X, b=Y))

        assert (error.reason, error.fix) == ("specification", "did you mean 'sums.0'?")

    def test_latency_is_of_each_run(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        project.load()
        project.run(a=X, b=Y)

        latency = project.measure(runs=3, warmup=2, a=X, b=Y)

        assert len(latency.seconds) == 3
        assert latency.warmup == 2
        assert all(seconds > 0 for seconds in latency.seconds)


STAGES = """
class Encoder(nn.Module):
    def forward(self, points): return points * 2
class Head(nn.Module):
    def forward(self, features, scale): return features + scale, features * scale
"""
PIPELINE = """
def run(stages, inputs):
    features = stages["encoder"](inputs["points"])["features"]
    outputs = stages["head"](features, scale=inputs["scale"])
    return {"sum": outputs["sum"], "all": list(outputs.values())}
"""


class TestPipelines:
    def project(self, root: Path, pipeline: str = PIPELINE) -> Project:
        """The encoder has an ONNX file, the head is exported."""
        project = Project(root, STAGES)
        project.write("pipeline.py", pipeline)
        write_onnx(root / "encoder.onnx", {"raw": (FLOAT, ["n", 3])}, ["features"])
        project.load(
            project.component("encoder", "model.py:Encoder", export=None),
            project.component("head", "model.py:Head", outputs={"sum": "0", "product": "1"}),
            pipeline="pipeline.py:run",
        )
        return project

    def test_calls_and_chain_are_recorded_under_onnx_names(self, tmp_path: Path) -> None:
        ran = self.project(tmp_path).run(points=X, scale=Y)

        encoder, head = ran.calls
        assert [call.subject for call in ran.calls] == ["encoder", "head"]
        assert list(values(encoder.inputs)) == ["raw"]
        assert list(values(encoder.outputs)) == ["features"]
        assert list(values(head.inputs)) == ["features", "scale"]
        assert list(values(head.outputs)) == ["sum", "product"]
        np.testing.assert_array_equal(values(head.inputs)["features"], 2 * X)
        np.testing.assert_array_equal(values(ran.outputs)["sum"], 2 * X + Y)
        assert list(values(ran.outputs)) == ["sum", "all.0", "all.1"]

    def test_calls_of_one_component_are_numbered_and_kept_apart(self, tmp_path: Path) -> None:
        pipeline = """
def run(stages, inputs):
    x = stages["encoder"](raw=inputs["points"])["features"]
    return stages["encoder"](raw=x)["features"] + stages["head"](x, x)["sum"]
"""
        first, second, _ = self.project(tmp_path, pipeline).run(points=X).calls

        assert [(first.index, second.index)] == [(0, 1)]
        assert second.subject == "encoder#2"
        np.testing.assert_array_equal(values(first.inputs)["raw"], X)
        np.testing.assert_array_equal(values(second.outputs)["features"], 4 * X)

    def test_what_the_pipeline_changes_later_is_not_what_was_recorded(self, tmp_path: Path) -> None:
        pipeline = """
def run(stages, inputs):
    points = inputs["points"]
    features = stages["encoder"](points)["features"]
    points.zero_()
    out = stages["head"](features, points)
    features.zero_()
    return out["sum"].add_(1)
"""
        encoder, head = self.project(tmp_path, pipeline).run(points=X).calls

        np.testing.assert_array_equal(values(encoder.inputs)["raw"], X)
        np.testing.assert_array_equal(values(encoder.outputs)["features"], 2 * X)
        np.testing.assert_array_equal(values(head.outputs)["sum"], 2 * X)

    @pytest.mark.parametrize(
        ("body", "reason", "said"),
        [
            ('stages["decoder"](x)', "specification", "'decoder'; the components are 'encoder', 'head'"),
            ('stages["encoder"](x, x)', "specification", "it takes 'raw'"),
            ('stages["encoder"](rwa=x)', "specification", "has no input 'rwa'"),
            ('stages["encoder"]()', "specification", "'raw' of"),
            ('stages["encoder"](x, raw=x)', "specification", "it takes 'raw'"),
            ('stages["head"](x, x, x)', "specification", "it takes 'features', 'scale'"),
            ('stages["head"](x)', "user-code", "missing 1 required positional argument"),
            ('stages["encoder"](x.numpy())', "user-code", "object of type ndarray"),
            ('stages["encoder"](x)["out"]', "specification", "'out'; it has 'features'"),
            ("1 / 0", "user-code", "ZeroDivisionError while running the pipeline with PyTorch stages on cpu"),
            ("stages['encoder'](x)", "model", "the pipeline returned no tensor"),
        ],
    )
    def test_what_a_pipeline_does_wrong_is_said(
        self, tmp_path: Path, body: str, reason: str, said: str
    ) -> None:
        project = self.project(tmp_path, f"def run(stages, inputs):\n    x = inputs['points']\n    {body}")

        error = unable(lambda: project.run(points=X))

        assert error.reason == reason
        assert said in error.problem

    def test_a_pipeline_that_catches_everything_hides_nothing(self, tmp_path: Path) -> None:
        pipeline = """
def run(stages, inputs):
    try:
        return stages["encoder"](wrong=inputs["points"])
    except Exception:
        return inputs["points"]
"""
        error = unable(lambda: self.project(tmp_path, pipeline).run(points=X))

        assert "has no input 'wrong'" in error.problem

    def test_outputs_that_the_onnx_file_counts_otherwise_are_an_error(self, tmp_path: Path) -> None:
        project = Project(tmp_path, STAGES)
        project.write("pipeline.py", "def run(stages, inputs): return stages['head'](**inputs)")
        write_onnx(tmp_path / "head.onnx", {"features": (FLOAT, [2, 3]), "scale": (FLOAT, [2, 3])}, ["y"])
        project.load(project.component("head", "model.py:Head", export=None), pipeline="pipeline.py:run")

        error = unable(lambda: project.run(features=X, scale=Y))

        assert error.reason == "specification"
        assert "returns 2 tensors ('0', '1')" in error.problem
        assert "1 outputs ('y')" in error.problem

    def test_inputs_by_position_are_not_swapped_where_the_file_has_another_order(
        self, tmp_path: Path
    ) -> None:
        project = Project(tmp_path, STAGES)
        project.write("pipeline.py", "def run(s, inputs): return s['head'](inputs['a'], inputs['b'])")
        write_onnx(
            tmp_path / "head.onnx", {"scale": (FLOAT, [2, 3]), "features": (FLOAT, [2, 3])}, ["y", "z"]
        )
        project.load(project.component("head", "model.py:Head", export=None), pipeline="pipeline.py:run")

        error = unable(lambda: project.run(a=X, b=Y))

        assert "the input 'scale' would be passed to component 'head' as 'features'" in error.problem

    def test_an_output_that_the_mapping_leaves_out_is_an_error(self, tmp_path: Path) -> None:
        project = Project(tmp_path, STAGES)
        project.write("pipeline.py", "def run(stages, inputs): return stages['head'](**inputs)")
        write_onnx(
            tmp_path / "head.onnx", {"features": (FLOAT, [2, 3]), "scale": (FLOAT, [2, 3])}, ["y", "z"]
        )
        head = project.component("head", "model.py:Head", export=None, outputs={"y": "1"})
        project.load(head, pipeline="pipeline.py:run")

        error = unable(lambda: project.run(features=X, scale=Y))

        assert (error.reason, "outputs leaves out 'z'" in error.problem) == ("specification", True)

    def test_outputs_of_the_same_names_in_another_order_go_by_name(self, tmp_path: Path) -> None:
        source = "class Head(nn.Module):\n    def forward(self, x): return {'a': x, 'b': -x}"
        project = Project(tmp_path, source)
        project.write("pipeline.py", "def run(stages, inputs): return stages['head'](**inputs)")
        write_onnx(tmp_path / "head.onnx", {"x": (FLOAT, [2, 3])}, ["b", "a"])
        project.load(project.component("head", "model.py:Head", export=None), pipeline="pipeline.py:run")

        outputs = values(project.run(x=X).calls[0].outputs)

        assert list(outputs) == ["b", "a"]
        np.testing.assert_array_equal(outputs["b"], -X)

    def test_a_pipeline_with_other_parameters_is_refused_when_it_is_loaded(self, tmp_path: Path) -> None:
        error = unable(lambda: self.project(tmp_path, "def run(stages): pass"))

        assert (error.reason, "run(stages, inputs)" in error.problem) == ("specification", True)

    def test_timing_a_pipeline_records_nothing(self, tmp_path: Path) -> None:
        project = self.project(tmp_path)
        project.run(points=X, scale=Y)
        before = sorted(tmp_path.rglob("*.npy"))

        assert len(project.measure(runs=2, points=X, scale=Y).seconds) == 2
        assert sorted(tmp_path.rglob("*.npy")) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnTheGpu:
    def test_a_model_runs_and_its_memory_is_measured(self, tmp_path: Path) -> None:
        project = Project(tmp_path, ADD)
        assert project.load(device="cuda:0").device == torch.cuda.get_device_name(0)

        ran = project.run(a=X, b=Y)

        np.testing.assert_array_equal(values(ran.calls[0].outputs)["diff"], X - Y)
        assert ran.peak_device_bytes is not None
        assert ran.peak_device_bytes >= X.nbytes + Y.nbytes
        assert len(project.measure(runs=2, a=X, b=Y).seconds) == 2

    def test_a_tensor_left_on_the_cpu_gets_the_way_out(self, tmp_path: Path) -> None:
        source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.ones(3, 3)
    def forward(self, x): return x @ self.weights
build = Net
"""
        project = Project(tmp_path, source)
        assert "weights, a plain tensor attribute of shape" in project.load(device="cuda:0").notes[0]

        assert "register_buffer" in unable(lambda: project.run(x=X)).fix
