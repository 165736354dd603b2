"""ONNX's own `pytorch-converted` and `pytorch-operator` cases: ONNX Runtime against their saved outputs.

The reference is not run: it is the tensors that PyTorch gave when the case was made. From there on it is the
gate: tensors on disk, paired, measured and judged, at the tolerances of ONNX's own tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from support.backend_cases import Case, load_cases

from parity.artifacts import write_tensor
from parity.judging.outputs import compare_outputs
from parity.pairing import Pair
from parity.records.measurements import Tolerance
from parity.records.results import OutputResult

_OPSET = 7  # ONNX Runtime's oldest
KINDS = ("pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Result:
    """What became of one case: `problem` is empty when every output is within tolerance."""

    kind: str
    name: str
    outputs: int
    factor: float  # of its tolerance, of the output that uses most of it
    problem: str

    @property
    def wrong(self) -> bool:
        """Whether it ran, and an output is not within tolerance."""
        return self.outputs > 0 and bool(self.problem)


def run_all(kinds: Sequence[str] = KINDS) -> list[Result]:
    """Every case of these kinds."""
    return [run(kind, case) for kind in kinds for case in load_cases(kind)]


def run(kind: str, case: Case) -> Result:
    """One case, with every input set that it has."""
    name = case.name.rpartition("/")[2]
    rule = Tolerance(pattern="*", atol=case.atol, rtol=case.rtol, equal_nan=True)  # as in ONNX's own tests
    judged: list[OutputResult] = []
    try:
        session = _session(case.model)
        names = [value.name for value in session.get_inputs()]
        made = [session.run(None, dict(zip(names, inputs, strict=False))) for inputs, _ in case.data]
    except Exception as error:  # noqa: BLE001 - of two libraries, another for each model that they don't take
        return Result(kind, name, 0, 0.0, f"not run: {str(error).splitlines()[0]}")
    declared = [value.name for value in session.get_outputs()]
    for (_, saved), candidate in zip(case.data, made, strict=True):
        judged += _judged(declared, saved, candidate, rule)
    wrong = [
        f"{each.name}: {each.problem or f'{each.factor:.3g} x its tolerance'}"
        for each in judged
        if each.status != "passed"
    ]
    factor = max((each.factor or 0.0 for each in judged), default=0.0)
    problem = "; ".join(wrong) or ("" if judged else "nothing was compared")
    return Result(kind, name, len(judged), factor, problem)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Most of these models are of opset 6, which ONNX Runtime can't run: ONNX's converter raises it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what is wrong is raised
    (opset,) = (one.version for one in model.opset_import if one.domain in {"", "ai.onnx"})
    if opset < _OPSET:
        model = version_converter.convert_version(model, _OPSET)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _judged(
    names: Sequence[str], saved: Sequence[Any], made: Sequence[Any], rule: Tolerance
) -> tuple[OutputResult, ...]:
    if len(saved) != len(made):
        raise ValueError(f"{len(saved)} outputs are saved, {len(made)} came")
    with tempfile.TemporaryDirectory() as folder:
        pairs = tuple(
            Pair(
                name=name,
                reference_path=name,
                reference=write_tensor(Path(folder) / "saved", name, np.asarray(reference)),
                candidate=write_tensor(Path(folder) / "made", name, np.asarray(candidate)),
            )
            for name, reference, candidate in zip(names, saved, made, strict=True)
        )
        return compare_outputs(pairs, (rule,), "")


def table(results: Sequence[Result]) -> str:
    """The counts of each kind, and the reason of each case that is not within tolerance."""
    lines = [
        f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}:",
        "",
        "| kind | cases | outputs | within tolerance | most of a tolerance used |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        own = [each for each in results if each.kind == kind]
        if not own:
            continue
        sound = [each for each in own if not each.problem]
        used = max((each.factor for each in sound), default=0.0)
        outputs = sum(each.outputs for each in own)
        lines.append(f"| {kind} | {len(own)} | {outputs} | {len(sound)} | {100 * used:.2g} % |")
    reasons = [f"- `{each.name}`: {each.problem}" for each in results if each.problem]
    return "\n".join([*lines, *(["", *reasons] if reasons else []), ""])
