import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from support import onnx_models

from parity.artifacts import read_tensor, write_tensor
from parity.records.jobs import MODEL, ComponentJob, ModelJob, Numerics, OnnxRuntimeOptions
from parity.records.outcomes import Latency, Loaded, Ran, SessionOpened
from parity.records.requests import ExportOnnx, MeasureLatency, OpenSession, RunCandidate, StartCandidate
from parity.records.tensors import InputSet, StageCall, TensorRecord
from parity.worker.candidate import CandidateSide
from parity.worker.problems import Unable

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers() and torch.cuda.is_available()
CHAIN = """\
def run(stages, inputs):
    first = stages["double"](inputs["x"])["scaled"]
    second = stages["triple"](x=first + 1)["scaled"]
    return {"end": second, "parts": [first, second.sum()]}
"""


@pytest.fixture(autouse=True)
def gradients_as_before():
    """A pipeline's numerics are settings of the whole process."""
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


class Project:
    """Two ONNX components, doubling and tripling float32 (n, 2), a pipeline, and a candidate for them."""

    def __init__(self, folder: Path, chain: str = CHAIN, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        (folder / "chain.py").write_text(chain)
        paths = {
            "double": onnx_models.scale(folder / "double.onnx", 2),
            "triple": onnx_models.scale(folder / "triple.onnx", 3),
        }
        self.side = CandidateSide()
        self.started = self.side.handle(start(paths, pipeline="chain.py:run", folder=folder, device=device))
        for name in paths:
            self.side.handle(OpenSession(component=name))

    def run(self, x: np.ndarray, calls: tuple[StageCall, ...] = ()) -> Ran:
        request = RunCandidate(
            case="0", inputs=self.inputs(x), calls=calls, directory=str(self.folder / "candidate")
        )
        answer = self.side.handle(request)
        assert isinstance(answer, Ran)
        return answer

    def inputs(self, x: np.ndarray) -> InputSet:
        return InputSet(id="0", tensors=(write_tensor(self.folder / "inputs", "x", x),))

    def call(self, component: str, x: np.ndarray, index: int = 0, name: str = "x") -> StageCall:
        record = write_tensor(self.folder / f"reference-{component}-{index}", name, x)
        return StageCall(component=component, index=index, inputs=(record,), outputs=())

    def refusal(self, x: np.ndarray, calls: tuple[StageCall, ...] = ()) -> Unable:
        with pytest.raises(Unable) as caught:
            self.run(x, calls)
        return caught.value


def start(
    paths: dict[str, str], *, pipeline: str | None = None, folder: Path = Path("/"), device: str = "cpu"
) -> StartCandidate:
    model = ModelJob(loader="python", target="unused.py:build")
    return StartCandidate(
        components=tuple(ComponentJob(name=name, model=model, onnx=path) for name, path in paths.items()),
        pipeline=pipeline,
        device=device,
        numerics=Numerics(optimization="disable_all", grad=False),
        options=OnnxRuntimeOptions(),
        base_dir=str(folder),
    )


def single(path: str, device: str = "cpu") -> CandidateSide:
    side = CandidateSide()
    side.handle(start({MODEL: path}, device=device))
    side.handle(OpenSession(component=MODEL))
    return side


def run_single(side: CandidateSide, folder: Path, **tensors: np.ndarray) -> Ran:
    records = tuple(write_tensor(folder / "inputs", name, array) for name, array in tensors.items())
    call = StageCall(component=MODEL, index=0, inputs=records, outputs=())
    answer = side.handle(
        RunCandidate(
            case="0",
            inputs=InputSet(id="0", tensors=records),
            calls=(call,),
            directory=str(folder / "candidate"),
        )
    )
    assert isinstance(answer, Ran)
    return answer


def values(records: tuple[TensorRecord, ...] | None) -> dict[str, list[object]]:
    assert records is not None
    return {record.name: read_tensor(record).tolist() for record in records}


def row(*numbers: float) -> np.ndarray:
    return np.array([numbers], np.float32)


class TestOneModel:
    def test_starts_and_opens_with_what_was_read_back(self, tmp_path):
        side = CandidateSide()
        loaded = side.handle(start({MODEL: onnx_models.sum_and_double(tmp_path / "m.onnx")}))
        assert isinstance(loaded, Loaded)
        assert loaded.device == "cpu"
        assert loaded.versions == {"onnxruntime": onnxruntime.__version__}
        assert loaded.settings["onnxruntime.device"] == onnxruntime.get_device()
        opened = side.handle(OpenSession(component=MODEL))
        assert isinstance(opened, SessionOpened)
        assert [value.name for value in opened.inputs] == ["a", "b"]
        assert [value.name for value in opened.outputs] == ["total", "twice"]
        assert opened.settings["optimization"] == "disable_all"
        assert opened.providers == ("CPUExecutionProvider",)

    def test_runs_on_the_saved_inputs(self, tmp_path):
        side = single(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        ran = run_single(side, tmp_path, b=row(1, 2, 3), a=row(10, 20, 30))
        assert ran.outputs is None
        assert [(call.component, call.index) for call in ran.calls] == [(MODEL, 0)]
        assert values(ran.calls[0].outputs) == {"total": [[11, 22, 33]], "twice": [[20, 40, 60]]}
        assert [record.name for record in ran.calls[0].inputs] == ["b", "a"]
        assert ran.seconds > 0
        assert ran.peak_rss_bytes > 0
        assert ran.peak_device_bytes is None

    def test_takes_other_names_in_order(self, tmp_path):
        side = single(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        ran = run_single(side, tmp_path, first=row(10, 20, 30), second=row(1, 2, 3))
        assert values(ran.calls[0].outputs)["twice"] == [[20, 40, 60]]

    @pytest.mark.parametrize(
        ("tensors", "words"),
        [
            ({"a": row(1, 2, 3)}, "the model is given 1 input"),
            ({"a": row(1, 2, 3), "b": row(1, 2)}, "input 'b' is float32[1,2]"),
            ({"a": row(1, 2, 3), "b": row(1, 2, 3).astype(np.float64)}, "input 'b' is float64[1,3]"),
        ],
    )
    def test_wrong_inputs_are_the_specifications_fault(self, tmp_path, tensors, words):
        side = single(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        with pytest.raises(Unable) as caught:
            run_single(side, tmp_path, **tensors)
        assert caught.value.reason == "specification"
        assert words in caught.value.problem
        assert caught.value.fix

    def test_latency_writes_nothing(self, tmp_path):
        side = single(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        records = tuple(write_tensor(tmp_path / "in", name, row(1, 2, 3)) for name in "ab")
        before = sorted(tmp_path.rglob("*"))
        inputs = InputSet(id="0", tensors=records)
        latency = side.handle(MeasureLatency(case="0", inputs=inputs, warmup=1, runs=3))
        assert isinstance(latency, Latency)
        assert latency.warmup == 1
        assert len(latency.seconds) == 3
        assert all(0 < seconds < 5 for seconds in latency.seconds)
        assert sorted(tmp_path.rglob("*")) == before

    def test_torch_is_not_imported_on_the_cpu(self, tmp_path):
        """It takes longer to import than most models take to run."""
        path = onnx_models.identity(tmp_path / "m.onnx", shape=[2])
        code = f"""
import sys
from pathlib import Path
import numpy as np
from parity.artifacts import write_tensor
from parity.records.jobs import *
from parity.records.requests import *
from parity.records.tensors import InputSet
from parity.worker.candidate import CandidateSide
component = ComponentJob(name="model", model=ModelJob(loader="python", target="-"), onnx={path!r})
side = CandidateSide()
side.handle(StartCandidate(components=(component,), pipeline=None, device="cpu", numerics=Numerics(),
                           options=OnnxRuntimeOptions(), base_dir="/"))
side.handle(OpenSession(component="model"))
x = write_tensor(Path({str(tmp_path)!r}), "x", np.zeros(2, np.float32))
call = StageCall(component="model", index=0, inputs=(x,), outputs=())
side.handle(RunCandidate(case="0", inputs=InputSet(id="0", tensors=(x,)), calls=(call,),
                         directory={str(tmp_path)!r}))
side.handle(MeasureLatency(case="0", inputs=InputSet(id="0", tensors=(x,)), warmup=0, runs=1))
assert "torch" not in sys.modules, "torch was imported"
"""
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class TestPipeline:
    def test_versions_and_settings_of_torch_belong_to_it(self, tmp_path):
        started = Project(tmp_path).started
        assert isinstance(started, Loaded)
        assert started.versions.keys() == {"onnxruntime", "torch"}
        assert started.settings["torch.is_grad_enabled"] is False

    def test_chain_and_components_alone(self, tmp_path):
        project = Project(tmp_path)
        calls = (project.call("double", row(1, 2)), project.call("triple", row(100, 200)))
        ran = project.run(row(1, 2), calls)
        # 2 x = (2, 4); 3 (2 x + 1) = (9, 15)
        assert values(ran.outputs) == {"end": [[9, 15]], "parts.0": [[2, 4]], "parts.1": 24}
        assert [(call.component, call.index) for call in ran.calls] == [("double", 0), ("triple", 0)]
        assert values(ran.calls[0].outputs) == {"scaled": [[2, 4]]}
        assert values(ran.calls[1].outputs) == {"scaled": [[300, 600]]}  # not the chain's own
        assert [call.inputs for call in ran.calls] == [call.inputs for call in calls]

    def test_a_call_with_the_references_own_bits_is_not_run_twice(self, tmp_path, monkeypatch):
        project = Project(tmp_path)
        sessions = project.side._sessions
        alone = []
        for name, session in sessions.items():
            monkeypatch.setattr(
                session, "run", lambda feeds, n=name, run=session.run: alone.append(n) or run(feeds)
            )
        x = row(np.nan, 2)
        ran = project.run(x, (project.call("double", x), project.call("triple", row(3, 6))))
        assert alone == ["triple"]  # the chain gave it (nan, 5)
        assert values(ran.calls[0].outputs)["scaled"][0][1] == 4
        assert values(ran.calls[1].outputs) == {"scaled": [[9, 18]]}

    @pytest.mark.parametrize("given", [row(0.0, 2), row(-0.0, 2).repeat(2, axis=0)])
    def test_equal_numbers_of_other_bits_or_shape_are_run(self, tmp_path, given):
        project = Project(tmp_path)
        ran = project.run(row(-0.0, 2), (project.call("double", given),))
        output = read_tensor(ran.calls[0].outputs[0])
        assert output.tobytes() == (2 * given).tobytes()

    def test_a_stage_that_is_called_twice(self, tmp_path):
        chain = 'def run(stages, inputs):\n    f = stages["double"]\n    return f(f(inputs["x"])["scaled"])\n'
        project = Project(tmp_path, chain)
        calls = (project.call("double", row(1, 2)), project.call("double", row(2, 4), index=1))
        ran = project.run(row(1, 2), calls)
        assert values(ran.outputs) == {"scaled": [[4, 8]]}
        assert [values(call.outputs)["scaled"] for call in ran.calls] == [[[2, 4]], [[4, 8]]]

    def test_a_chain_that_leaves_a_stage_out_does_not_spare_it(self, tmp_path):
        project = Project(tmp_path, 'def run(stages, inputs):\n    return inputs["x"]\n')
        ran = project.run(row(1, 2), (project.call("triple", row(1, 2)),))
        assert values(ran.outputs) == {"output": [[1, 2]]}
        assert values(ran.calls[0].outputs) == {"scaled": [[3, 6]]}

    def test_outputs_are_saved_before_the_user_changes_them(self, tmp_path):
        chain = (
            "def run(stages, inputs):\n"
            '    out = stages["double"](inputs["x"])["scaled"]\n'
            "    inputs['x'].zero_()\n"
            "    return out.zero_()\n"
        )
        project = Project(tmp_path, chain)
        for _ in range(2):
            ran = project.run(row(1, 2), (project.call("double", row(1, 2)),))
            assert values(ran.calls[0].outputs) == {"scaled": [[2, 4]]}
            assert values(ran.outputs) == {"output": [[0, 0]]}

    def test_tensors_of_any_stride_and_without_gradients(self, tmp_path):
        chain = (
            "import torch\n"
            "def run(stages, inputs):\n"
            "    assert not torch.is_grad_enabled()\n"
            '    x = inputs["x"].repeat(3, 1).requires_grad_()\n'
            '    return stages["double"](x[::2].flip(1))\n'
        )
        assert values(Project(tmp_path, chain).run(row(1, 2)).outputs) == {"scaled": [[4, 2], [4, 2]]}

    def test_latency_of_the_whole_chain(self, tmp_path):
        chain = (
            "import time\n"
            "def run(stages, inputs):\n"
            "    time.sleep(0.02)\n"
            "    inputs['x'] += 1\n"
            '    return stages["double"](inputs["x"])\n'
        )
        project = Project(tmp_path, chain)
        project.run(row(1, 2))
        before = sorted(tmp_path.rglob("*"))
        inputs = project.inputs(row(1, 2))
        latency = project.side.handle(MeasureLatency(case="0", inputs=inputs, warmup=1, runs=2))
        assert isinstance(latency, Latency)
        assert all(0.02 <= seconds < 5 for seconds in latency.seconds)
        assert sorted(tmp_path.rglob("*")) == before


class TestFaultyPipelines:
    def refusal(self, folder: Path, body: str) -> Unable:
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        return Project(folder, f"import torch\ndef run(stages, inputs):\n{lines}\n").refusal(row(1, 2))

    def test_unknown_stage(self, tmp_path):
        error = self.refusal(tmp_path, 'return stages["quadruple"](inputs["x"])')
        assert error.reason == "specification"
        assert "'quadruple'" in error.problem
        assert "'double', 'triple'" in error.problem

    @pytest.mark.parametrize(
        "call",
        ["()", '(inputs["x"], inputs["x"])', '(y=inputs["x"])', '(inputs["x"], x=inputs["x"])'],
    )
    def test_wrong_arguments(self, tmp_path, call):
        error = self.refusal(tmp_path, f'return stages["double"]{call}')
        assert error.reason == "specification"
        assert "stage 'double'" in error.problem
        assert "declares x" in error.problem

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ('inputs["x"].double()', "is float64[1,2]"),
            ('inputs["x"].bfloat16()', "is bfloat16[1,2]"),
            ('inputs["x"].reshape(2, 1)', "is float32[2,1]"),
        ],
    )
    def test_wrong_dtype_or_shape(self, tmp_path, expression, words):
        error = self.refusal(tmp_path, f'return stages["double"]({expression})')
        assert error.reason == "specification"
        assert words in error.problem

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("[[1.0, 2.0]]", "an object of type list"),
            ('inputs["x"].numpy()', "an object of type ndarray"),
            ("None", "an object of type NoneType"),
            ('inputs["x"].to("meta")', "a tensor on meta"),
            ('inputs["x"].to_sparse()', "sparse"),
        ],
    )
    def test_what_is_no_plain_tensor_on_the_device(self, tmp_path, expression, words):
        error = self.refusal(tmp_path, f'return stages["double"]({expression})')
        assert error.reason == "user-code"
        assert words in error.problem
        assert "cpu" in error.fix

    def test_a_pipeline_that_hides_a_failed_stage(self, tmp_path):
        error = self.refusal(
            tmp_path,
            'try:\n    return stages["double"](1)\nexcept BaseException:\n    return inputs["x"] * 2',
        )
        assert "an object of type int" in error.problem

    def test_a_pipeline_that_hides_an_unknown_stage(self, tmp_path):
        error = self.refusal(
            tmp_path, 'try:\n    return stages["other"](1)\nexcept BaseException:\n    return inputs["x"]'
        )
        assert "'other'" in error.problem

    @pytest.mark.parametrize("code", ['raise ValueError("bad day")', "import sys; sys.exit(0)"])
    def test_exceptions_and_exits(self, tmp_path, code):
        error = self.refusal(tmp_path, code)
        assert error.reason == "user-code"
        assert "ONNX stages" in error.problem

    @pytest.mark.parametrize("result", ["{}", "None", "object()"])
    def test_no_tensor_returned(self, tmp_path, result):
        assert "the pipeline" in self.refusal(tmp_path, f"return {result}").problem

    def test_a_component_that_the_reference_calls_otherwise(self, tmp_path):
        project = Project(tmp_path)
        records = tuple(write_tensor(tmp_path / "r", name, row(1, 2)) for name in "xy")
        call = StageCall(component="triple", index=0, inputs=records, outputs=())
        error = project.refusal(row(1, 2), (call,))
        assert error.reason == "specification"
        assert "component 'triple' is given 2 inputs" in error.problem

    def test_no_such_function(self, tmp_path):
        (tmp_path / "chain.py").write_text("")
        with pytest.raises(Unable) as caught:
            CandidateSide().handle(start({}, pipeline="chain.py:run", folder=tmp_path))
        assert caught.value.reason == "specification"


class TestOrderOfRequests:
    """What the host must not do is a defect of the tool, and said so."""

    @pytest.mark.parametrize(
        "request_",
        [
            OpenSession(component=MODEL),
            RunCandidate(
                case="0",
                inputs=InputSet(id="0", tensors=()),
                calls=(StageCall(component=MODEL, index=0, inputs=(), outputs=()),),
                directory="/nowhere",
            ),
            MeasureLatency(case="0", inputs=InputSet(id="0", tensors=()), warmup=0, runs=1),
            ExportOnnx(component=MODEL, case="0"),
        ],
    )
    def test_before_the_start(self, request_):
        with pytest.raises(Unable) as caught:
            CandidateSide().handle(request_)
        assert caught.value.reason == "tool"

    def test_a_component_that_is_not_there(self, tmp_path):
        side = single(onnx_models.identity(tmp_path / "m.onnx"))
        with pytest.raises(Unable, match="'other'") as caught:
            side.handle(OpenSession(component="other"))
        assert caught.value.reason == "tool"


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device, a CUDA build of PyTorch and onnxruntime-gpu")
class TestOnCuda:
    def test_pipeline(self, tmp_path):
        project = Project(tmp_path, device="cuda:0")
        ran = project.run(row(1, 2), (project.call("double", row(1, 2)), project.call("triple", row(1, 2))))
        assert values(ran.outputs) == {"end": [[9, 15]], "parts.0": [[2, 4]], "parts.1": 24}
        assert values(ran.calls[1].outputs) == {"scaled": [[3, 6]]}
        latency = MeasureLatency(case="0", inputs=project.inputs(row(1, 2)), warmup=1, runs=2)
        assert len(project.side.handle(latency).seconds) == 2

    def test_a_stage_given_a_tensor_on_the_cpu(self, tmp_path):
        chain = 'def run(stages, inputs):\n    return stages["double"](inputs["x"].cpu())\n'
        error = Project(tmp_path, chain, device="cuda:0").refusal(row(1, 2))
        assert "a tensor on cpu" in error.problem

    def test_one_model(self, tmp_path):
        side = single(onnx_models.sum_and_double(tmp_path / "m.onnx"), device="cuda:0")
        ran = run_single(side, tmp_path, a=row(10, 20, 30), b=row(1, 2, 3))
        assert values(ran.calls[0].outputs) == {"total": [[11, 22, 33]], "twice": [[20, 40, 60]]}
