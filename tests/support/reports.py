"""Realistic reports, as a run of the gate makes them: CenterPoint passed, failed and unjudged."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from parity.records.diagnosis import Budget, Diagnosis, Leg
from parity.records.outcomes import Setting
from parity.records.results import (
    SCHEMA_VERSION,
    CaseResult,
    Check,
    Element,
    Environment,
    Measurement,
    Nonfinite,
    OutputResult,
    Problem,
    Report,
    SidePerformance,
    SideSettings,
    Status,
    SuiteResult,
    Tolerance,
)
from parity.records.tensors import TensorRecord

HEADS = {"heatmap": 5, "reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}
SUITE = "centerpoint"
SPEC = "examples/centerpoint/parity.yml"

# Each would do something in one report or another: markup, links, mentions, escapes, commands.
HOSTILE_NAMES = (
    "</code><img src=x onerror=alert(1)>",
    "a|b|c",
    "`` ` ``` code",
    "@octocat/team and user@example.com",
    "[click](javascript:alert(1)) ![x](https://example.com/x.png)",
    "https://example.com www.example.com ftp://example.com",
    "line\nbreak\r\n::error::hijacked",
    "##[error]hijacked",
    "::stop-commands::x",
    "::error::hijacked",
    "\x1b[31mred\x1b[0m\x07\x00",
    "\u202eesrever\u2066 \u200b\ufeff",
    "lone \ud800 surrogate \udfff",
    "<!-- --> <details> & &lt; ]]>",
    "{{7*7}} [bold red]rich[/] :smile: #1 GH-2",
    "~~~\n<script>\n~~~",
    "very " * 400 + "long",
)


def tolerance(**changes: Any) -> Tolerance:
    return Tolerance(**{"pattern": "*", "line": 31, "column": 8, "atol": 1e-4, "rtol": 1e-4, **changes})


def measurement(error: float, shape: tuple[int, ...], factor: float, **changes: Any) -> Measurement:
    """Figures that fit together for a greatest error at one place of a tensor."""
    elements = 1
    for axis in shape:
        elements *= axis
    index = tuple(axis * 2 // 3 for axis in shape)
    worst = Element(index=index, reference="1.2354279", candidate=f"{1.2354279 + error:.9g}", abs_error=error)
    figures: dict[str, Any] = {
        "elements": elements,
        "compared": elements,
        "max_abs": error,
        "mean_abs": error * 2.6e-4,
        "rms": error * 1.7e-3,
        "cosine": 1 - min(error, 1.0) ** 2 * 1e-2,
        "snr_db": 92.4,
        "mismatched": elements * 3 // 10 if factor > 1 else 0,
        "bound_factor": factor,
        "largest": worst,
        "worst": worst,
        "reference_max_abs": 8.37,
    }
    return Measurement(**{**figures, **changes})


def output(
    name: str, error: float, *, shape: tuple[int, ...] = (1, 2, 128, 128), bound: float = 1e-4, **changes: Any
) -> OutputResult:
    """An output with one elementwise check, judged by `error` against `bound`."""
    factor = error / bound
    passed = factor <= 1
    fields: dict[str, Any] = {
        "name": name,
        "status": "passed" if passed else "failed",
        "reference_path": f"preds.0.{name}",
        "dtype": "float32",
        "shape": shape,
        "max_abs": error,
        "factor": factor,
        "tolerance": tolerance(atol=bound, rtol=bound / 10),
        "checks": (
            Check(
                criterion="atol + rtol",
                limit=f"{bound:g} + {bound / 10:g} |reference|",
                measured=f"{error:.3g}",
                passed=passed,
                factor=factor,
            ),
        ),
        "measurement": measurement(error, shape, factor),
    }
    return OutputResult(**{**fields, **changes})


def diagnosis(
    leg: Leg | None = "export", total: float = 2.011e-3, dominance: float | None = None, **changes: Any
) -> Diagnosis:
    """A budget whose legs are those of float32 rounding, but for the one that stands out."""
    size = {leg: total} if leg else {}
    fields: dict[str, Any] = {
        "total": total,
        "reference_rounding": size.get("reference", 5.2e-5),
        "export_error": size.get("export", 2.2e-8),
        "runtime_error": size.get("runtime", 2.04e-5),
        "repeatability": size.get("repeatability", 0.0),
        "noise_floor": 5.2e-5,
    }
    return Diagnosis(budget=Budget(**{**fields, **changes}), dominant_leg=leg, dominance=dominance)


def undiagnosable(reason: str, total: float = 0.5) -> Diagnosis:
    """The ONNX graph could not be evaluated in float64: two legs are unknown."""
    unknown = {"export_error": reason, "runtime_error": reason}
    return diagnosis(None, total, export_error=None, runtime_error=None, unknown=unknown)


def unmeasured(name: str, problem: str, status: Status = "failed") -> OutputResult:
    """An output of the wrong shape or dtype, or that is missing."""
    return OutputResult(name=name, status=status, problem=problem, tolerance=tolerance())


def not_a_number(name: str = "vel") -> OutputResult:
    worst = Element(index=(0, 1, 64, 7), reference="0.41253", candidate="nan", abs_error=None)
    seen = Nonfinite(candidate_nan=412, candidate_inf=3, mismatched=415)
    figures = measurement(
        2e-5, (1, 2, 128, 128), 0.2, nonfinite=seen, mismatched=415, bound_factor=None, worst=worst
    )
    problem = "415 elements are not finite in the candidate, and are in the reference"
    return output(name, 2e-5, status="failed", factor=None, problem=problem, measurement=figures)


def case(
    subject: str,
    outputs: tuple[OutputResult, ...],
    *,
    input_set: str = "0",
    device: str = "cpu",
    **changes: Any,
) -> CaseResult:
    statuses = [entry.status for entry in outputs]
    status = next((s for s in ("failed", "error") if s in statuses), "passed")
    fields: dict[str, Any] = {
        "id": f"{SUITE}/{device}/{input_set}/{subject}",
        "suite": SUITE,
        "subject": subject,
        "device": device,
        "reference": f"torch@{device}",
        "candidate": f"onnxruntime@{device}",
        "input_set": input_set,
        "status": status,
        "inputs": (points(input_set),),
        "outputs": outputs,
        "duration_s": 0.8125,
        "reference_performance": SidePerformance(peak_rss_bytes=1_340_000_000),
        "candidate_performance": SidePerformance(peak_rss_bytes=910_000_000),
    }
    return CaseResult(**{**fields, **changes})


def points(input_set: str) -> TensorRecord:
    digest = hashlib.sha256(input_set.encode("utf-8", "backslashreplace")).hexdigest()
    return TensorRecord(
        name="points", dtype="float32", shape=(34_720, 5), file="/run/points.npy", sha256=digest
    )


def suite(**changes: Any) -> SuiteResult:
    strict: dict[str, Setting] = {"grad": False, "cudnn_benchmark": False, "tf32": False, "threads": 2}
    fields: dict[str, Any] = {
        "name": SUITE,
        "spec_file": SPEC,
        "numerics": "strict",
        "duration_s": 5.5,
        "sides": (
            SideSettings(
                side="torch@cpu",
                device_name="cpu",
                settings=strict,
                versions={"torch": "2.13.0+cpu", "numpy": "2.4.6"},
            ),
            SideSettings(
                side="onnxruntime@cpu",
                device_name="cpu",
                settings={
                    "graph_optimization_level": "ORT_DISABLE_ALL",
                    "tf32": False,
                    "intra_op_threads": 2,
                },
                versions={"onnxruntime": "1.31.1"},
            ),
        ),
        "exports": {"backbone_head": {"exporter": "torchscript", "opset": 16, "constant_folding": False}},
    }
    return SuiteResult(**{**fields, **changes})


def report(
    cases: tuple[CaseResult, ...], exit_code: int, suites: tuple[SuiteResult, ...] | None = None
) -> Report:
    return Report(
        schema_version=SCHEMA_VERSION,
        tool_version="0.1.0",
        started_at="2026-03-02T09:14:05Z",
        duration_s=6.21,
        exit_code=exit_code,
        environment=Environment(
            python="3.11.9",
            platform="Linux-6.8-x86_64",
            processor="AMD EPYC 9454",
            cores=16,
            memory_bytes=64 * 2**30,
            versions={"onnx-parity-action": "0.1.0", "onnx": "1.23.0"},
        ),
        suites=(suite(),) if suites is None else suites,
        cases=cases,
    )


def centerpoint_cases(
    scale: float = 1.0, *, input_set: str = "0", device: str = "cpu"
) -> tuple[CaseResult, ...]:
    """The pillar feature net, the backbone with its six heads, and the chain; errors of float32 rounding."""
    heads = tuple(
        output(name, scale * 1.1e-5 * (1 + i / 3), shape=(1, channels, 128, 128))
        for i, (name, channels) in enumerate(HEADS.items())
    )
    timed = {
        "reference_performance": SidePerformance(
            latency_ms=183.2, runs=5, warmup=2, peak_rss_bytes=1_420_000_000
        ),
        "candidate_performance": SidePerformance(
            latency_ms=214.9, runs=5, warmup=2, peak_rss_bytes=930_000_000
        ),
    }
    places = {"input_set": input_set, "device": device}
    return (
        case("voxel_encoder", (output("pillar_features", 1.43e-6, shape=(9_412, 32)),), **places),
        case("backbone_head", heads, **places),
        case("pipeline", heads, **places, **(timed if input_set == "0" else {})),
    )


def green() -> Report:
    return report(centerpoint_cases(), 0)


def green_sets(count: int = 40) -> Report:
    """Many input sets: rows are aggregated."""
    sets = (centerpoint_cases(1 + i / count, input_set=str(i)) for i in range(count))
    return report(tuple(entry for cases in sets for entry in cases), 0)


def one_fault() -> Report:
    """A fault in the heatmap's branch: twenty times the tolerance, in the component and in the chain."""
    voxel, backbone, pipeline = centerpoint_cases()
    far = output("heatmap", 2.011e-3, shape=(1, 5, 128, 128))
    diagnosed = replaced(far, diagnosis=diagnosis("export", 2.011e-3))
    broken = [
        replaced(entry, outputs=(head, *backbone.outputs[1:]), status="failed")
        for entry, head in ((backbone, diagnosed), (pipeline, far))
    ]
    return report((voxel, *broken), 1)


def red() -> Report:
    """A fault in the head over four sweeps: far beyond, just beyond, NaN, and an output of another shape."""
    cases: list[CaseResult] = []
    for i in range(4):
        voxel, backbone, pipeline = centerpoint_cases(input_set=str(i))
        broken = {"heatmap": 2.374791 / (1 + i), "reg": 2.01e-3}
        if i == 2:
            broken["rot"] = 1.0004e-4
        legs: dict[str, Leg] = {"heatmap": "export", "reg": "runtime", "rot": "repeatability"}
        heads = tuple(
            output(
                head.name,
                broken[head.name],
                shape=head.shape,
                diagnosis=diagnosis(legs[head.name], broken[head.name]),
            )
            if head.name in broken
            else head
            for head in backbone.outputs
        )
        chained = tuple(replaced(head, diagnosis=None) for head in heads)
        worse = (
            *chained[:2],
            unmeasured("height", "the shape is [1, 1, 64, 64], the reference's is [1, 1, 128, 128]"),
        )
        cases += [
            voxel,
            replaced(backbone, outputs=heads, status="failed"),
            replaced(pipeline, outputs=(*worse, *chained[3:5], not_a_number()), status="failed"),
        ]
    noted = replaced(suite().sides[0], notes=("3 modules were in training mode; all run in eval mode",))
    return report(tuple(cases), 1, (replaced(suite(), sides=(noted, suite().sides[1])),))


def budgets() -> Report:
    """Every leg that can stand out, none, and unknown ones; tolerances far above the noise and below it."""
    nms = "node 'nms' (com.acme:Nms) can't be evaluated: there is no implementation for its domain"
    legs: tuple[Leg, ...] = ("export", "reference", "runtime", "repeatability")
    failing = [
        output(f"mostly_{leg}", 1.2e-2, shape=(1, 5, 128, 128), diagnosis=diagnosis(leg, 1.2e-2))
        for leg in legs
    ]
    even = diagnosis(None, 1.1e-4, export_error=4e-5, runtime_error=3e-5)
    failing.append(output("even", 1.1e-4, diagnosis=even))
    failing.append(output("boxes", 0.5, diagnosis=undiagnosable(nms)))
    known = {
        f"{name}_{i}": output(
            f"{name}_{i}",
            3e-5,
            bound=bound,
            tolerance=tolerance(atol=bound, rtol=0.0, line=line, pattern=f"{name}_*"),
            diagnosis=diagnosis(None, 3e-5, noise_floor=5.2e-5 / (1 + i)),
        )
        for name, bound, line in (("loose", 5e-2, 41), ("tight", 4e-5, 42), ("sound", 1e-3, 43))
        for i in range(2)
    }
    tight = replaced(known["tight_1"], diagnosis=diagnosis(None, 3e-5, noise_floor=4.4e-5))
    passing = ({**known, "tight_1": tight}).values()
    return report((case("model", (*failing, *passing)),), 1)


STDERR = """\
Traceback (most recent call last):
  File "model.py", line 12, in forward
    return self.head(x) @ self.weight
RuntimeError: Expected all tensors to be on the same device, but got mat2 is on cuda:0
\x1b[31m::error::not a command\x1b[0m"""


def errors() -> Report:
    """Every kind of "could not be judged", beside cases that pass."""
    problems = {
        "crash": Problem(
            kind="crash", message="the candidate's process was killed by SIGSEGV", detail=STDERR
        ),
        "timeout": Problem(
            kind="timeout", message="no answer within 600 s", fix="raise limits.timeout", at=f"{SPEC}:52:12"
        ),
        "memory": Problem(kind="memory", message="the process reached 8.1 GiB of the 8 GiB allowed"),
        "user-code": Problem(kind="user-code", message="RuntimeError while running the model", detail=STDERR),
        "input": Problem(
            kind="input", message="'points' has 4 columns, the model takes 5", at="samples/3.npz"
        ),
    }
    broken = tuple(
        case("pipeline", (), input_set=str(i + 1), status="error", problem=problem)
        for i, problem in enumerate(problems.values())
    )
    again = tuple(
        case("pipeline", (), input_set=str(i), status="error", problem=problems["crash"])
        for i in range(6, 30)
    )
    single = case(
        "backbone_head", (unmeasured("vel", "the tensor's file is damaged", "error"),), input_set="1"
    )
    skipped = case(
        "pipeline",
        (),
        input_set="31",
        status="skipped",
        problem=Problem(kind="input", message="declared as skipped: no sweep at night"),
    )
    device = Problem(
        kind="device",
        message="the device cuda:0 is not there: PyTorch sees no CUDA device",
        at=f"{SPEC}:14:10",
        fix="remove cuda:0 from devices, or run where a GPU is",
    )
    on_gpu = suite(name="centerpoint-gpu", problem=device, sides=(), exports={})
    return report((*centerpoint_cases(), *broken, *again, single, skipped), 3, (suite(), on_gpu))


def wrong_spec() -> Report:
    """Nothing ran at all."""
    problem = Problem(
        kind="specification", message="the pattern 'heatmpa' matches no output", at=f"{SPEC}:33:3"
    )
    return report((), 2, (suite(problem=problem, sides=(), exports={}),))


def hostile() -> Report:
    """Names and messages that try to break out of every report."""
    cases = []
    for i, name in enumerate(HOSTILE_NAMES):
        subject = name if i % 2 else "model"
        said = Element(index=(1, 2), reference=name, candidate=name, abs_error=0.5)
        check = Check(criterion=name, limit=name, measured=name, passed=False, factor=None)
        failing = output(
            name,
            0.5,
            problem=name,
            dtype=name,
            tolerance=tolerance(pattern=name, quantile={name: 1.0}),
            checks=(check, check),
            measurement=measurement(0.5, (8, 8), 5.0, worst=said, quantile={name: 0.5}),
            diagnosis=undiagnosable(name),
        )
        loose = tolerance(pattern=name, atol=0.5, rtol=0.0)
        passing = output(
            f"{name}!", 1e-6, shape=(), dtype=name, tolerance=loose, diagnosis=undiagnosable(name, 1e-6)
        )
        cases.append(case(subject, (failing, passing), suite=name, input_set=name, reference=name, id=name))
        problem = Problem(kind="crash", message=name, at=name, fix=name, detail=f"{name}\n" * 30)
        cases.append(case(subject, (), suite=name, status="error", problem=problem, id=f"{name}?"))
    suites = tuple(
        suite(
            name=name,
            spec_file=name,
            sides=(replaced(suite().sides[0], side=name, notes=(name,), settings={name: name}),),
            exports={name: {name: name}},
        )
        for name in HOSTILE_NAMES
    )
    return report(tuple(cases), 1, suites)


def all_kinds() -> dict[str, Report]:
    return {
        "green": green(),
        "sets": green_sets(),
        "one-fault": one_fault(),
        "red": red(),
        "budgets": budgets(),
        "errors": errors(),
        "wrong-spec": wrong_spec(),
        "hostile": hostile(),
        "empty": report((), 3, ()),
    }


def replaced(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)
