"""What a specification comes to: every path absolute, every rule with its line."""

from __future__ import annotations

import msgspec
import pytest
from support.specs import SOUND, SpecFolder

from parity.errors import SpecError
from parity.planning import plan, suite_name
from parity.records.loops import LoopJob
from parity.records.plan import ProviderPlan, SuitePlan
from parity.records.sides import OnnxRuntimeSide, TorchSide

COMPONENTS = """\
version: 1
name: chain
components:
  encoder:
    model: {target: model.py:build, config: config.yaml, args: {n: [1, 2]}, checkpoint: weights.pth}
    onnx: {path: build/encoder.onnx, export: {exporter: torchscript, dynamic_shapes: {x: {0: n}}}}
    outputs: {features: 0.features}
    tolerances:
      feat*: {atol: 1e-3, equal_nan: true}
  head:
    model: {target: package.module:build, config: {depth: 3}, checkpoint: weights.pth, checkpoint_key: ema}
    onnx: model.onnx
pipeline: pipeline.py:run
inputs: {samples: 3, provider: data.py:samples}
devices: [cpu, cuda]
tolerances:
  "*": {quantile: {0.999: 1e-3}, mismatch: 0.01}
  labels: {exact: true}
onnxruntime: {optimization: basic, provider_options: {a: true}, session_config: {b: 2}}
limits: {timeout: 30, memory: 2GiB}
performance: {runs: 0, warmup: 2}
diagnose: always
"""


@pytest.fixture
def chain(folder: SpecFolder) -> SuitePlan:
    return plan(folder.load(COMPONENTS))


def test_components(chain: SuitePlan, folder: SpecFolder) -> None:
    encoder, head = chain.components
    root = str(folder.root)
    assert chain.base_dir == root
    assert chain.spec_file == f"{root}/suite.yml"
    assert chain.subjects == ("encoder", "head", "pipeline")
    assert chain.pipeline == "pipeline.py:run"
    assert encoder.model.target == "model.py:build"
    assert encoder.model.config == f"{root}/config.yaml"
    assert encoder.model.args == {"n": [1, 2]}
    assert encoder.model.checkpoint == f"{root}/weights.pth"
    assert encoder.onnx == f"{root}/build/encoder.onnx"
    assert encoder.outputs == {"features": "0.features"}
    assert head.model.config == {"depth": 3}
    assert head.model.checkpoint_key == "ema"
    assert head.export is None


def test_strict_decides_how_an_export_folds_constants_unless_it_says(folder: SpecFolder) -> None:
    def folding(export: str, numerics: str) -> bool | None:
        text = SOUND.replace("model.onnx", f"{{path: a.onnx, export: {export}}}")
        job = plan(folder.load(f"{text}numerics: {numerics}\n")).components[0].export
        assert job is not None
        return job.constant_folding

    assert folding("{}", "strict") is False
    assert folding("{}", "default") is None
    assert folding("{constant_folding: true}", "strict") is True
    assert folding("{constant_folding: false}", "default") is False
    assert folding("{}", "{preset: strict, constant_folding: true}") is True


def test_an_export_keeps_its_dynamic_axes(chain: SuitePlan) -> None:
    export = chain.components[0].export
    assert export is not None
    assert export.exporter == "torchscript"
    assert export.opset is None
    assert export.dynamic_shapes == {"x": {0: "n"}}


def test_one_model_is_a_component_of_its_own(folder: SpecFolder) -> None:
    planned = plan(folder.load(SOUND))
    assert [component.name for component in planned.components] == ["model"]
    assert planned.pipeline is None
    assert planned.subjects == ("model",)
    (rule,) = planned.tolerances["model"]
    assert (rule.pattern, rule.line, rule.atol, rule.exact) == ("*", None, None, None)


def test_tolerances_know_their_lines(chain: SuitePlan) -> None:
    (features,) = chain.tolerances["encoder"]
    assert (features.pattern, features.line, features.column) == ("feat*", 9, 7)
    assert (features.atol, features.rtol, features.equal_nan) == (1e-3, None, True)
    (default,) = chain.tolerances["head"]
    assert (default.pattern, default.line) == ("*", None)
    every, labels = chain.tolerances["pipeline"]
    assert every.quantile == {"0.999": 1e-3}
    assert every.mismatch == 0.01
    assert (labels.exact, labels.line) == (True, 18)


def test_the_rest(chain: SuitePlan) -> None:
    assert chain.name == "chain"
    assert _labels(chain) == ["cpu", "cuda:0"]
    assert chain.inputs == ProviderPlan(target="data.py:samples", samples=3)
    candidate = chain.comparisons[0].candidate
    assert isinstance(candidate, OnnxRuntimeSide)
    options = candidate.options
    assert options.optimization == "basic"
    assert options.provider_options == {"a": "1"}
    assert options.session_config == {"b": "2"}
    assert (chain.limits.timeout_s, chain.limits.memory_bytes) == (30, 2 * 2**30)
    assert (chain.latency.runs, chain.latency.warmup) == (0, 2)
    assert chain.diagnose == "always"
    assert chain.at("components.head.onnx") == f"{chain.spec_file}:12:5"
    assert chain.at("components.head.onnx.export") == f"{chain.spec_file}:12:5"


def test_a_plan_survives_the_way_to_a_worker(chain: SuitePlan, folder: SpecFolder) -> None:
    for planned in (chain, plan(folder.load(SOUND))):
        assert msgspec.json.decode(msgspec.json.encode(planned), type=SuitePlan) == planned


def test_text_that_looks_like_a_value_survives_too(folder: SpecFolder) -> None:
    planned = plan(folder.load(f"{SOUND}outputs: {{1374: no}}\ntolerances: {{1374: {{}}}}\n"))
    copy = msgspec.json.decode(msgspec.json.encode(planned), type=SuitePlan)
    assert copy.components[0].outputs == {"1374": "no"}
    assert copy.tolerances["model"][0].pattern == "1374"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.yml", "model"),
        ("centerpoint/parity.yml", "centerpoint"),
        ("my folder/parity.yaml", "my_folder"),
        ("größe.yml", "gr_e"),
        ("a/…/parity.yml", "suite"),
        ("x.y.yml", "x.y"),
    ],
)
def test_the_name_of_a_suite_that_has_none(file: str, name: str) -> None:
    assert suite_name(file) == name


def _labels(planned: SuitePlan) -> list[str]:
    return [comparison.label for comparison in planned.comparisons]


def test_a_device_is_a_comparison_of_both_sides_on_it(folder: SpecFolder) -> None:
    (comparison,) = plan(folder.load(f"{SOUND}devices: [cuda]\n")).comparisons
    assert (comparison.label, comparison.text, comparison.folder) == ("cuda:0", "cuda:0", "cuda-0")
    assert comparison.reference == TorchSide(device="cuda:0")
    assert isinstance(comparison.candidate, OnnxRuntimeSide)
    assert (comparison.reference.text, comparison.candidate.text) == ("torch@cuda:0", "onnxruntime@cuda:0")


def test_devices_of_the_command_line_win(folder: SpecFolder) -> None:
    loaded = folder.load(f"{SOUND}devices: [cpu]\n")
    assert _labels(plan(loaded, ("cuda", "cuda:1"))) == ["cuda:0", "cuda:1"]
    assert _labels(plan(loaded)) == ["cpu"]


@pytest.mark.parametrize("devices", [(), ("gpu",), ("cpu", "cpu"), ("cuda", "cuda:0"), ("",)])
def test_wrong_devices_of_the_command_line(folder: SpecFolder, devices: tuple[str, ...]) -> None:
    with pytest.raises(SpecError) as raised:
        plan(folder.load(SOUND), devices)
    assert raised.value.at == "--devices"
    assert raised.value.fix


@pytest.mark.parametrize(
    ("performance", "runs"),
    [("{warmup: 2}", 5), ("{max_latency_ratio: 1.5}", 15), ("{max_memory_ratio: 2, runs: 3}", 3)],
)
def test_a_limit_has_more_runs_unless_it_says_how_many(
    folder: SpecFolder, performance: str, runs: int
) -> None:
    latency = plan(folder.load(f"{SOUND}performance: {performance}\n")).latency
    assert latency.runs == runs
    assert latency.is_judged == ("ratio" in performance)


def test_a_loop_is_planned_as_it_is_written(folder: SpecFolder) -> None:
    loop = "{steps: 3, state: {y: x}}"
    (component,) = plan(folder.load(f"{SOUND}loop: {loop}\n")).components
    assert component.loop == LoopJob(steps=3, state={"y": "x"})
