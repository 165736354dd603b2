"""Realistic reports, as a run of the gate makes them: CenterPoint passed, failed and unjudged."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from parity.records.diagnosis import Budget, Cause, Diagnosis, Divergence, Leg, ModuleErrors, Statistics
from parity.records.matching import Matching
from parity.records.measurements import Check, Element, Measurement, Nonfinite, Tolerance
from parity.records.outcomes import Setting
from parity.records.placement import Crossings, Misplaced, Placement
from parity.records.results import (
    GROWTH,
    SCHEMA_VERSION,
    BaselineResult,
    CaseResult,
    Environment,
    Growth,
    LimitName,
    OutputResult,
    PerformanceCheck,
    Problem,
    Report,
    Repro,
    SidePerformance,
    SideSettings,
    Status,
    StepResult,
    SuiteResult,
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


def divergence(**changes: Any) -> Divergence:
    """A batch norm of the backbone whose epsilon is another in the file."""
    fields: dict[str, Any] = {
        "leg": "export",
        "node": "/backbone/blocks.1/blocks.1.4/BatchNormalization",
        "op_type": "BatchNormalization",
        "output": "/backbone/blocks.1/blocks.1.4/BatchNormalization_output_0",
        "module": "backbone.blocks.1.4",
        "source": "model.py:31",
        "shape": (1, 128, 64, 64),
        "local_error": 0.0312,
        "inherited_error": 2.1e-7,
        "expected": Statistics(minimum=-4.213, maximum=5.871, mean=0.0121, std=0.9982),
        "found": Statistics(minimum=-4.172, maximum=5.813, mean=0.0119, std=0.9884),
    }
    return Divergence(**{**fields, **changes})


def cause(kind: str = "attribute", leg: Leg = "export", share: float | None = 0.998, **changes: Any) -> Cause:
    fields: dict[str, Any] = {
        "kind": kind,
        "leg": leg,
        "message": "epsilon is 2e-3 in the file, 1e-3 in the module",
        "remedy": "export again: the file is stale",
        "share": share,
        "node": "/backbone/blocks.1/blocks.1.4/BatchNormalization",
    }
    return Cause(**{**fields, **changes})


def rounding(holds: str = "2e-4", **changes: Any) -> Cause:
    remedy = f"nothing to mend; a tolerance of at least {holds} holds"
    fields = {"message": "float32 rounding", "remedy": remedy, "share": None, "node": "", **changes}
    return cause("rounding", **{"leg": "reference", **fields})


def modules(peak: int = 20, count: int = 46) -> tuple[ModuleErrors, ...]:
    """A backbone in which one batch norm adds an error that all after it inherit."""
    kinds = ("Conv2d", "BatchNorm2d", "ReLU")
    found = []
    for i in range(count):
        inherited = 2e-8 if i <= peak else 9.1e-3 * 0.97 ** (i - peak)
        local = 9.1e-3 if i == peak else 1.3e-8 * (1 + i % 3)
        path = f"backbone.blocks.{i // 16}.{i % 16}"
        kind = kinds[(i - peak + 1) % 3]
        found.append(ModuleErrors(path, kind, f"model.py:{29 + i % 3}", local + inherited, inherited, local))
    return tuple(found)


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


def explained() -> Report:
    """An epsilon that is another in the file: six outputs of the component fail, and the chain's too."""
    cases: list[CaseResult] = []
    for i in range(3):
        voxel, backbone, pipeline = centerpoint_cases(input_set=str(i))
        wrong = [0.148, 0.0286, 0.071, 0.049, 0.066, 0.201]
        far = [
            output(head.name, error / (1 + i / 9), shape=head.shape, bound=5e-4)
            for head, error in zip(backbone.outputs, wrong, strict=True)
        ]
        found = {"first_divergence": divergence(), "causes": (cause(),)}
        heads = tuple(
            replaced(far_, diagnosis=replaced(diagnosis("export", far_.max_abs), **found)) for far_ in far
        )
        cases += [
            voxel,
            replaced(
                backbone,
                outputs=heads if i == 0 else tuple(far),
                status="failed",
                modules=modules() if i == 0 else (),
            ),
            replaced(pipeline, outputs=tuple(far), status="failed"),
        ]
    return report(tuple(cases), 1)


def puzzles() -> Report:
    """Several causes, none that settles it, TF32, NaN, rounding alone, and what could not be looked into."""
    several = [
        cause(share=0.62),
        cause("initializer", share=0.31, message="conv.weight is older", remedy="save it"),
    ]
    several += [
        cause("structure", share=0.02 / i, message=f"node {i} is new", node=f"node_{i}") for i in range(1, 6)
    ]
    unsettled = cause(
        "unknown", share=None, message="no probe explains it", remedy="send the file with a report"
    )
    fp16 = divergence(leg="runtime", effective_bits=10.8, expected=None, found=None, op_type="Conv")
    nans = Statistics(minimum=-1.0, maximum=1.0, mean=0.0, std=0.5, nonfinite=412)
    note = "the loop 'Loop_12' was not followed: its body is run as one"
    found: dict[str, dict[str, Any]] = {
        "several": {"leg": "export", "causes": tuple(several), "first_divergence": divergence()},
        "open": {
            "leg": "export",
            "causes": (unsettled,),
            "first_divergence": divergence(module="", source=""),
        },
        "tf32": {
            "leg": "runtime",
            "first_divergence": fp16,
            "causes": (
                cause("tf32", "runtime", 0.97, message="TF32 is on", remedy="numerics: {tf32: false}"),
            ),
        },
        "nan": {"leg": "export", "first_divergence": divergence(node="n" * 200, module="", found=nans)},
        "rounding": {"leg": "reference", "causes": (rounding(),)},
        "silent_0": {"leg": "export", "notes": (note,) * 5},
        "silent_1": {"leg": "export", "notes": (note,) * 5},
    }
    outputs = []
    for i, (name, fields) in enumerate(found.items()):
        told = replaced(diagnosis(fields.pop("leg"), 0.5 - i / 100), **fields)
        outputs.append(output(name, 0.5 - i / 100, diagnosis=told))
    unlike = diagnosis(None, 0.5, export_error=None, runtime_error=None)
    shape = unmeasured("shape", "the shape is [1, 1, 64, 64], the reference's is [1, 1, 128, 128]")
    place = divergence(shape=(1, 1, 64, 64), expected=None, found=None)
    told = replaced(unlike, budget=replaced(unlike.budget, total=None), first_divergence=place)
    outputs.append(replaced(shape, diagnosis=replaced(told, causes=(cause("structure", share=None),))))
    return report((case("model", tuple(outputs), modules=modules()),), 1)


def always() -> Report:
    """A sound run, diagnosed all the same; one output has a fault too small to fail."""
    voxel, backbone, pipeline = centerpoint_cases()
    small = {"first_divergence": divergence(), "causes": (cause(share=0.4),)}
    sound = [
        replaced(head, diagnosis=replaced(diagnosis("reference", head.max_abs), causes=(rounding(),)))
        for head in backbone.outputs[1:]
    ]
    first = replaced(backbone.outputs[0], diagnosis=replaced(diagnosis("export", 1.1e-5), **small))
    return report((voxel, replaced(backbone, outputs=(first, *sound), modules=modules()), pipeline), 0)


def grown(*, fail: bool = False) -> Report:
    """Errors beside those of a baseline: grown with a known cause, as they were, within rounding, and new."""
    voxel, backbone, pipeline = centerpoint_cases()
    found = {"first_divergence": divergence(), "causes": (cause(),)}
    held = [
        Growth(state="grown", before=1.1e-7, factor=1.1e-5 / 1.1e-7),
        Growth(state="kept", before=1.2e-5, factor=1.47e-5 / 1.2e-5),
        Growth(state="rounding", before=0.0),
        Growth(state="grown", before=0.0),
        Growth(state="new"),
        Growth(state="kept", before=2.93e-5, factor=1.0),
    ]
    heads = [replaced(head, growth=growth) for head, growth in zip(backbone.outputs, held, strict=True)]
    heads[0] = replaced(heads[0], diagnosis=replaced(diagnosis("export", 1.1e-5), **found))
    if fail:
        check = Check(criterion=GROWTH, limit="10 x 1.1e-07", measured="1.1e-05", passed=False, factor=10.0)
        failed = {"status": "failed", "factor": 10.0, "checks": (*heads[0].checks, check)}
        heads[0] = replaced(heads[0], **failed)
    status = "failed" if fail else "passed"
    told = BaselineResult(file="parity-baseline.json", max_growth=10.0, fail=fail)
    judged = (voxel, replaced(backbone, outputs=tuple(heads), status=status), pipeline)
    return report(judged, int(fail), (suite(baseline=told),))


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


def suspicious(name: str, total: float = 0.5) -> Diagnosis:
    """Place, causes and notes of that name."""
    place = divergence(node=name, op_type=name, output=name, module=name, source=name)
    told = tuple(
        cause(message=f"{name}{number or ''}", remedy=name, node=name, tensor=name) for number in range(6)
    )
    return replaced(undiagnosable(name, total), first_divergence=place, causes=told, notes=(name,) * 6)


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
            diagnosis=suspicious(name),
            growth=Growth(state="grown", before=1e-9, factor=5e8),
        )
        loose = tolerance(pattern=name, atol=0.5, rtol=0.0)
        passing = output(
            f"{name}!", 1e-6, shape=(), dtype=name, tolerance=loose, diagnosis=suspicious(name, 1e-6)
        )
        followed = tuple(ModuleErrors(name, name, name, 0.5, None, 0.5 / (1 + j)) for j in range(20))
        failing = replaced(failing, step=1, steps=steps((0.5, 0.6), 0.5))
        told = case(subject, (failing, passing), suite=name, input_set=name, reference=name, modules=followed)
        forged = [limit(status=status, problem=name, at=name) for status in ("failed", "passed", "error")]
        told = replaced(told, performance=tuple(forged), repro=Repro(folder=name, note=name))
        cases.append(replaced(told, id=name))
        problem = Problem(kind="crash", message=name, at=name, fix=name, detail=f"{name}\n" * 30)
        cases.append(case(subject, (), suite=name, status="error", problem=problem, id=f"{name}?"))
    suites = tuple(
        suite(
            name=name,
            spec_file=name,
            sides=(replaced(suite().sides[0], side=name, notes=(name,), settings={name: name}),),
            exports={name: {name: name}},
            baseline=BaselineResult(file=name, max_growth=10.0, fail=False),
        )
        for name in HOSTILE_NAMES
    )
    return report(tuple(cases), 1, suites)


def steps(errors: tuple[float, ...], alone: float, bound: float = 1e-4) -> tuple[StepResult, ...]:
    """Steps of a loop with these errors; by itself each has the error `alone`."""

    def status(error: float) -> Status:
        return "passed" if error <= bound else "failed"

    return tuple(
        StepResult(
            status=status(error),
            max_abs=error,
            factor=error / bound,
            alone_max_abs=alone,
            alone_factor=alone / bound,
            alone_status=status(alone),
        )
        for error in errors
    )


def looped(name: str, errors: tuple[float, ...], alone: float, **changes: Any) -> OutputResult:
    """An output of a loop, judged in the step with the greatest error."""
    fields = {"step": errors.index(max(errors)) + 1, "steps": steps(errors, alone), **changes}
    return output(name, max(errors), shape=(1, 2, 128, 128), **fields)


def loops() -> Report:
    """A recurrent network: one output adds up, one has a faulty step, one is sound."""
    growing = tuple(1e-6 * 2.5**step for step in range(8))
    found = diagnosis("export", 3e-4)
    outputs = (
        looped("adds_up", growing, 9e-7, diagnosis=found, diagnosed_step=4),
        looped("faulty", (2e-7, *[3e-4] * 7), 2.9e-4, diagnosis=found, diagnosed_step=4),
        looped("sound", (2e-7,) * 8, 1e-7),
    )
    return report((case("decoder", outputs),), 1)


def limit(
    name: LimitName = "max_latency_ratio", status: Status = "failed", **changes: Any
) -> PerformanceCheck:
    fields: dict[str, Any] = {
        "limit": 1.5,
        "ratio": 1.83,
        "at_least": 1.71,
        "reference": 220.0,
        "candidate": 402.6,
        "at": f"{SPEC}:88:3",
    }
    return PerformanceCheck(limit_name=name, status=status, **{**fields, **changes})


def limits() -> Report:
    """A limit that is exceeded, one in doubt, one that could not be judged; on a CPU and a GPU."""
    memory = {"reference": 2.0**30, "candidate": 2.0**31, "unit": "bytes on the device"}
    checks = {
        "cpu": (limit(), limit("max_memory_ratio", "error", ratio=None, problem="the driver does not tell")),
        "cuda:0": (
            limit(status="passed", at_least=1.2, problem="above the limit, but noise could make that of it"),
            limit("max_memory_ratio", "passed", ratio=1.4, **memory),
        ),
    }
    cases = []
    for device, milliseconds in (("cuda:0", (220.0, 260.0)), ("cpu", (2000.0, 2400.0))):
        sides = [
            SidePerformance(
                latency_ms=ms,
                runs=15,
                warmup=1,
                peak_rss_bytes=2**30,
                latency_min_ms=0.9 * ms,
                latency_p90_ms=1.3 * ms,
                own_bytes=300 * 2**20,
                device_bytes=2**31 if device == "cuda:0" else None,
            )
            for ms in milliseconds
        ]
        timed = {"reference_performance": sides[0], "candidate_performance": sides[1]}
        sound = (output("heatmap", 1e-5),)
        cases.append(case("model", sound, device=device, performance=checks[device], **timed))
    return report(tuple(cases), 1)


ROWS = Matching(
    kind="rows",
    reference=12,
    candidate=11,
    moved=3,
    lone_reference=2,
    lone_candidate=1,
    optional=1,
    examples=("row 7 of the reference has no counterpart: boxes [1.0, 2.0], \x1b[2J::error::scores\n 0.31",),
)


def matched() -> Report:
    """An output with rows that have no counterpart and its worst element at another place; an empty one."""
    boxes, none = output("boxes", 5e-5, shape=(12, 4)), output("none", 0.0, shape=(0, 4))
    assert boxes.measurement is not None
    assert boxes.measurement.worst is not None
    worst = replaced(boxes.measurement.worst, index=(2, 0), candidate_index=(5, 0))
    measured = replaced(boxes.measurement, matching=ROWS, worst=worst)
    rows = Check(
        criterion="rows",
        limit="each has a counterpart",
        measured="2 without, of 12 in the reference and 11 in the candidate",
        passed=False,
        factor=None,
    )
    failed = replaced(
        boxes,
        status="failed",
        factor=None,
        measurement=measured,
        checks=(rows, *boxes.checks),
        tolerance=tolerance(match="rows", together=("scores",), optional_below=0.051),
    )
    return report((case("backbone_head", (failed, none)),), 1)


def compared() -> Report:
    """Three pairs of sides: another dtype, nodes on another provider, a folder to see a failure again."""
    elsewhere = Misplaced(op_type="Det", provider="CPUExecutionProvider", count=3, nodes=("head/Det", ""))
    crossings = Crossings(input_set="0", count=2, bytes=3 * 2**20, unknown="the shape of 'x' is not known")
    placed = Placement(
        component="backbone_head",
        requested="CUDAExecutionProvider",
        nodes={"CUDAExecutionProvider": 40, "CPUExecutionProvider": 3},
        elsewhere=(elsewhere,),
        crossings=crossings,
    )
    told = "3 of 43 nodes are not on CUDAExecutionProvider: Det x 3 (head/Det, ...)"
    reference, candidate = suite().sides
    on_gpu = replaced(candidate, side="onnxruntime+cuda@cuda:0", notes=(told,), placements=(placed,))
    half = output("heatmap", 4e-3, bound=1e-3, dtype="float16", reference_dtype="float32")
    gpu: dict[str, Any] = {"device": "cuda:0", "candidate": "onnxruntime+cuda@cuda:0"}
    saved = Repro(folder="repro/centerpoint-cuda-0-1-backbone_head")
    unlike = Problem(
        kind="device",
        message="the reference, running: RuntimeError: two devices; anchors is on cpu, the module on cuda:0",
        fix="register anchors with register_buffer",
        causes=(
            cause(
                "device",
                "reference",
                None,
                message="anchors [3, 4] is on cpu, the module on cuda:0 (model.py:40)",
                remedy="register anchors with register_buffer",
                tensor="head.anchors",
            ),
        ),
    )
    return report(
        (
            case("backbone_head", (output("heatmap", 1e-5),)),
            case("backbone_head", (half,), **gpu),
            case(
                "backbone_head",
                (replaced(half, max_abs=5e-3, factor=5.0),),
                input_set="1",
                repro=saved,
                **gpu,
            ),
            case(
                "backbone_head", (), input_set="2", status="error", problem=unlike, reference="torch@cuda:0"
            ),
        ),
        1,
        (suite(sides=(reference, candidate, on_gpu)),),
    )


def all_kinds() -> dict[str, Report]:
    return {
        "green": green(),
        "sets": green_sets(),
        "one-fault": one_fault(),
        "red": red(),
        "budgets": budgets(),
        "explained": explained(),
        "puzzles": puzzles(),
        "always": always(),
        "grown": grown(),
        "grown-failed": grown(fail=True),
        "errors": errors(),
        "wrong-spec": wrong_spec(),
        "hostile": hostile(),
        "loops": loops(),
        "limits": limits(),
        "matched": matched(),
        "compared": compared(),
        "empty": report((), 3, ()),
    }


def replaced(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)
