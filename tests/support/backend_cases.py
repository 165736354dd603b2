"""ONNX's own backend tests, which come with the package, run through the float64 evaluator."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, numpy_helper

from parity.diagnosis.onnx64 import Graph64

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")
Data = list[tuple[list[Any], list[Any]]]


@dataclass(frozen=True)
class Known:
    """Why tests whose name matches do not pass, and how far off they are allowed to be.

    Args:
        loosened: what the result must still meet, as a multiple of the model's own float type's precision;
            `None` when there is no result.
        codes: how far integers may be off then.
        always: whether it fails on every machine.
    """

    pattern: str
    reason: str
    loosened: float | None = None
    codes: int = 0
    always: bool = True


KNOWN = (
    Known(
        r"node/test_(attention_\w+_bf16|attention_4d_gqa_with_past_and_present_fp16|celu_bfloat16|"
        r"castlike_FLOAT_to_BFLOAT16)(_expanded)?",
        "float16 or bfloat16 model: raised to float64 as a whole, it lacks the rounding of its own type that "
        "the expected values carry",
        loosened=2,
    ),
    Known(
        r"node/test_dft_inverse(_opset19)?",
        "zeros, expected with the float32 rounding of the program that made the test (2e-7 at atol 1e-7)",
        loosened=8,
    ),
    Known(
        r"node/test_resize_downsample_scales_(linear|cubic)_align_corners",
        "the operator's text, PyTorch and ONNX Runtime align the corners of the resized tensor; the test "
        "those of input size times scale, a fraction here",
    ),
    Known(
        r"node/test_dynamicquantizelinear(_expanded)?",
        "one value lies half-way between two codes: float32 and float64 round it to different ones",
        loosened=8,
        codes=1,
    ),
    Known(
        r"node/test_(bernoulli.*|training_dropout_(default|mask|default_mask))|node/test_training_dropout",
        "random: unknown, and said so",
    ),
    Known(r"node/test_image_decoder_.*", "ImageDecoder needs Pillow, which is no requirement", always=False),
    Known(
        r"simple/test_gradient_of_.*", "Gradient (training) has no implementation, in onnx.reference neither"
    ),
)


@dataclass(frozen=True)
class Bound:
    """What counts as equal: floats within `atol + rtol * |expected|`, integers within `codes`."""

    rtol: float
    atol: float
    codes: int = 0


@dataclass(frozen=True)
class Case:
    """One test: `name` is ``kind/test_...``."""

    name: str
    model: ModelProto
    data: Data
    rtol: float
    atol: float

    @property
    def known(self) -> Known | None:
        """Why it is expected not to pass."""
        return next((known for known in KNOWN if re.fullmatch(known.pattern, self.name)), None)

    @property
    def enforced(self) -> bool:
        """Whether what is known of it holds on this machine."""
        return self.known is None or self.known.always or find_spec("PIL") is None

    def problem(self, device: str = "cpu", allowed: Known | None = None) -> str:
        """What is wrong with the evaluator's outputs, beyond what is `allowed`; empty when nothing is."""
        graph = Graph64(self.model, device)
        bound = Bound(self.rtol, self.atol)
        if allowed is not None and allowed.loosened is not None:
            loose = allowed.loosened * _PRECISION[graph.native]
            bound = Bound(loose, loose, allowed.codes)
        for inputs, expected in self.data:
            names = [value.name for value in self.model.graph.input]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # log of zero, and the like, inside onnx.reference
                evaluation = graph.run(dict(zip(names, inputs, strict=False)))
            if evaluation.unknown:
                return "; ".join(sorted(set(evaluation.unknown.values())))
            for output, value in zip(self.model.graph.output, expected, strict=True):
                if problem := _difference(evaluation.outputs[output.name], value, bound):
                    return f"{output.name}: {problem}"
        return ""


_RAISED = {
    "float16": "float64",
    "bfloat16": "float64",
    "float32": "float64",
    "complex64": "complex128",
}
_PRECISION = {
    TensorProto.DOUBLE: torch.finfo(torch.float64).eps,
    TensorProto.FLOAT: torch.finfo(torch.float32).eps,
    TensorProto.FLOAT16: torch.finfo(torch.float16).eps,
    TensorProto.BFLOAT16: torch.finfo(torch.bfloat16).eps,
}


def load_cases(kind: str) -> Iterator[Case]:
    """All tests of one kind, in their order."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some node tests overflow while they are made
        found = load_model_tests(kind=kind)
    for test in found:
        model, data = (
            (test.model, _plain(test.data_sets)) if test.model else _from_folder(Path(test.model_dir))
        )
        yield Case(f"{kind}/{test.name}", model, data, test.rtol, test.atol)


def _plain(data: Any) -> Data:
    def plain(values: Any) -> list[Any]:
        return [numpy_helper.to_array(v) if isinstance(v, TensorProto) else v for v in values]

    return [(plain(inputs), plain(outputs)) for inputs, outputs in data]


def _from_folder(folder: Path) -> tuple[ModelProto, Data]:
    model = onnx.load(folder / "model.onnx")

    def values(directory: Path, role: str, declared: Any) -> list[Any]:
        paths = [directory / f"{role}_{index}.pb" for index in range(len(declared))]
        return [_value(path, value) for path, value in zip(paths, declared, strict=True) if path.exists()]

    return model, [
        (values(directory, "input", model.graph.input), values(directory, "output", model.graph.output))
        for directory in sorted(folder.glob("test_data_set_*"))
    ]


def _value(path: Path, declared: onnx.ValueInfoProto) -> Any:
    data = path.read_bytes()
    match declared.type.WhichOneof("value"):
        case "sequence_type":
            return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
        case "optional_type":
            return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
        case _:
            return numpy_helper.to_array(TensorProto.FromString(data))


def _difference(actual: Any, expected: Any, bound: Bound) -> str:
    if isinstance(expected, list | tuple):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return f"a sequence of {len(expected)} is expected"
        problems = (_difference(a, e, bound) for a, e in zip(actual, expected, strict=True))
        return next(filter(None, problems), "")
    if actual is None or expected is None:
        return "" if actual is expected else "a value is missing, or none is expected"
    expected = np.asarray(expected)
    dtype = _RAISED.get(expected.dtype.name, expected.dtype.name)
    if (actual.shape, actual.dtype.name) != (expected.shape, dtype) and expected.dtype.kind != "U":
        return f"{actual.dtype}{actual.shape}, expected {dtype}{expected.shape}"
    if expected.dtype.kind in "OU":
        return "" if (actual.astype(str) == expected.astype(str)).all() else "other strings"
    return _numbers(actual, expected, bound)


def _numbers(actual: Any, expected: Any, bound: Bound) -> str:
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, e = actual.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore"):
        error = np.abs(a - e)
        same = (a == e) | (np.isnan(a) & np.isnan(e)) | (error <= bound.atol + bound.rtol * np.abs(e))
    if expected.dtype.kind in "iub":
        same = (actual == expected) | (error <= bound.codes)
    if same.all():
        return ""
    return f"{int((~same).sum())} of {same.size} elements differ, by {np.max(error[~same]):.3g} at most"


@dataclass(frozen=True)
class Result:
    """A test and what is wrong with the evaluator's outputs in it."""

    case: Case
    problem: str


def run_all() -> list[Result]:
    """Every test of every kind."""
    return [Result(case, case.problem()) for kind in KINDS for case in load_cases(kind)]


def markdown(results: list[Result]) -> str:
    """The share that passes, and a reason for every test that does not, as the documentation shows it."""
    lines = [
        f"onnx {onnx.__version__}:",
        "",
        "| kind | tests | pass | share |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        own = [result for result in results if result.case.name.startswith(f"{kind}/")]
        passed = sum(not r.problem and r.case.known is None for r in own)
        lines.append(f"| {kind} | {len(own)} | {passed} | {100 * passed / len(own):.1f} % |")
    lines += ["", "| tests that do not pass | why |", "| --- | --- |"]
    for known in KNOWN:
        names = [result.case.name.split("/")[1] for result in results if result.case.known == known]
        lines.append(f"| {len(names)}: {', '.join(f'`{name}`' for name in names)} | {known.reason} |")
    return "\n".join(lines) + "\n"
