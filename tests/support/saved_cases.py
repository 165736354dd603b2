"""ONNX's own `pytorch-converted` and `pytorch-operator` tests as suites: the file against its saved outputs.

All of them run through the gate's own planning, workers, pairing and judging; only that both workers answer
in this process, so that 117 models are a matter of seconds.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

import onnx
import yaml
from onnx import version_converter

from parity.execution.side import A
from parity.pipeline import run_suite
from parity.planning import plan
from parity.records.outcomes import Failed, Unanswered
from parity.records.plan import Limits
from parity.records.requests import Request
from parity.records.results import CaseResult
from parity.registry import SIDES, resolve
from parity.spec.loading import load_spec
from parity.worker.serving import answer

KINDS = ("pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Known:
    """Why tests whose name matches do not pass as they are.

    Args:
        pattern: of the names.
        reason: for the document.
        converted: the status after `onnx.version_converter` has raised them to `OPSET`.
    """

    pattern: str
    reason: str
    converted: str


OPSET = 13  # one that ONNX Runtime has kernels for
_NO_KERNEL = "opset 6: ONNX Runtime has no kernel for {} of before opset 7"
KNOWN = (
    Known(r"pytorch-converted/test_AvgPool.*", _NO_KERNEL.format("AveragePool"), "passed"),
    Known(r"pytorch-converted/test_BatchNorm.*", _NO_KERNEL.format("BatchNormalization"), "passed"),
    Known(r"pytorch-converted/test_PReLU_[123]d", _NO_KERNEL.format("PRelu"), "passed"),
    Known(
        r"pytorch-converted/test_PReLU_[123]d_multiparam",
        _NO_KERNEL.format("PRelu")
        + "; converted, the slopes of the channels are taken for those of the last axis: since opset 7 they "
        "need a shape that broadcasts, which the converter does not give them",
        "error",
    ),
    Known(
        r"pytorch-(converted/test_(GLU|GLU_dim|Linear|PoissonNLLLLoss_no_reduce|Softsign)"
        r"|operator/test_operator_(add.*|basic|mm|non_float_params|params|pow))",
        _NO_KERNEL.format("Add, Mul, Pow and Gemm"),
        "passed",
    ),
)


@dataclass(frozen=True)
class SavedCase:
    """One test of ONNX: `name` is ``kind/test_...``, `folder` holds model.onnx and test_data_set_0."""

    name: str
    folder: Path
    rtol: float
    atol: float

    @property
    def known(self) -> Known | None:
        """Why it is expected not to pass."""
        return next((known for known in KNOWN if re.fullmatch(known.pattern, self.name)), None)

    @property
    def spec(self) -> dict[str, Any]:
        """The specification that runs it, with ONNX's own tolerances."""
        return {
            "version": 1,
            "name": self.name.replace("/", "."),
            "model": {"loader": "saved-outputs"},
            "onnx": str(self.folder / "model.onnx"),
            "inputs": {"files": str(self.folder / "test_data_set_*")},
            "tolerances": {"*": {"atol": self.atol, "rtol": self.rtol, "equal_nan": True}},
        }


def saved_cases() -> Iterator[SavedCase]:
    """All of them, in the order of ONNX."""
    from onnx.backend.test.loader import load_model_tests

    for kind in KINDS:
        for test in load_model_tests(kind=kind):
            yield SavedCase(f"{kind}/{test.name}", Path(test.model_dir), test.rtol, test.atol)


class InProcess:
    """Stands for `parity.execution.side.Side`: the same worker, without a process of its own."""

    def __init__(self, name: str, log: Path, limits: Limits) -> None:
        self._side = resolve(SIDES[name])()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def start(self) -> None:
        """Nothing needs to be warm."""

    def abandon(self) -> None:
        """Nothing is left running."""

    def set_up(self, request: Request, expected: type[A]) -> A | Unanswered:
        """Asks as `ask` does."""
        return self.ask(request, expected)

    def ask(self, request: Request, expected: type[A]) -> A | Unanswered:
        """The worker's own answer."""
        reply = answer(self._side, request)
        assert isinstance(reply, expected | Failed)
        return reply


def run_saved(case: SavedCase) -> list[CaseResult]:
    """The judged cases of one test: one for each data set."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "parity.yml").write_text(yaml.safe_dump(case.spec))
        suite = plan(load_spec(str(folder / "parity.yml")))
        with mock.patch("parity.execution.suite.Side", InProcess):
            result, judged = run_suite(suite, folder / "run", "*", lambda *_: None)
    assert result.problem is None
    return judged


@dataclass(frozen=True)
class SavedResult:
    """A test and the worst that became of it; `why` is empty when it passed.

    `converted` is the status after a conversion to `OPSET`; empty where there was no need.
    """

    case: SavedCase
    status: str
    why: str
    converted: str = ""


def run_all() -> list[SavedResult]:
    """Every test of both kinds."""
    results = []
    for case in saved_cases():
        status, why = _worst(run_saved(case))
        converted = _converted(case) if "Could not find an implementation" in why else ""
        results.append(SavedResult(case, status, why, converted))
    return results


def _worst(judged: list[CaseResult]) -> tuple[str, str]:
    assert judged
    for one in judged:
        if one.status != "passed":
            why = one.problem.message if one.problem else "; ".join(o.problem for o in one.outputs)
            return one.status, why or f"{one.outputs[0].factor} times the tolerance"
    return "passed", ""


def _converted(case: SavedCase) -> str:
    """The status of the same data with the model raised to `OPSET`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(case.folder, folder, dirs_exist_ok=True)
        model = version_converter.convert_version(onnx.load(case.folder / "model.onnx"), OPSET)
        onnx.save(model, folder / "model.onnx")
        return _worst(run_saved(replace(case, folder=folder)))[0]


def markdown(results: list[SavedResult]) -> str:
    """The share that passes, and a reason for every test that does not."""
    lines = [
        f"onnx {onnx.__version__}:",
        "",
        f"| kind | tests | pass as they are | pass converted to opset {OPSET} | do not pass |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        own = [result for result in results if result.case.name.startswith(f"{kind}/")]
        passed = sum(result.status == "passed" for result in own)
        later = sum(result.converted == "passed" for result in own)
        lines.append(f"| {kind} | {len(own)} | {passed} | {later} | {len(own) - passed - later} |")
    lines += ["", "| tests that do not pass as they are | converted | why |", "| --- | --- | --- |"]
    for known in KNOWN:
        names = [result.case.name.split("/")[1] for result in results if result.case.known == known]
        listed = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| {len(names)}: {listed} | {known.converted} | {known.reason} |")
    return "\n".join(lines) + "\n"
