"""Baselines: the errors of an earlier run on disk, read and written.

The file is a `results.json` of which only ids, names, greatest errors and noise floors are read. What is
written here has nothing else in it, so that it can be committed and its differences be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from parity.errors import CannotJudge, SpecError
from parity.records.plan import DEFAULT_GROWTH, BaselineFigure, BaselinePlan, SuitePlan
from parity.records.results import SCHEMA_VERSION, CaseResult, OutputResult, Report

SIZE_LIMIT = 64 * 2**20  # bytes, as of results
_DIGITS = 6  # of an error; more would only make two files differ


class _Floor(msgspec.Struct):
    noise_floor: float | None = None


class _Diagnosis(msgspec.Struct):
    budget: _Floor


class _Output(msgspec.Struct):
    """The keys that are read. A noise floor stands in one of three places, or nowhere."""

    name: str
    max_abs: float | None = None
    noise_floor: float | None = None
    tolerance: _Floor | None = None
    diagnosis: _Diagnosis | None = None

    @property
    def floor(self) -> float | None:
        of_rule = self.tolerance.noise_floor if self.tolerance else None
        of_budget = self.diagnosis.budget.noise_floor if self.diagnosis else None
        return next((value for value in (self.noise_floor, of_rule, of_budget) if value is not None), None)


class _Case(msgspec.Struct):
    id: str
    outputs: tuple[_Output, ...] = ()


class _File(msgspec.Struct):
    schema_version: int
    cases: tuple[_Case, ...]


def with_baseline(plan: SuitePlan, file: str = "", *, fail: bool = False) -> SuitePlan:
    """The plan with the figures of its baseline.

    Args:
        plan: of a specification, which may name a baseline.
        file: to take instead, from the command line.
        fail: growth fails, whatever the specification says.

    Raises:
        SpecError: the file is missing or holds no baseline, or growth is to fail and there is none.
    """
    asked, at = plan.baseline, plan.at("baseline.path")
    if file:
        rule = asked or BaselinePlan(file="", path="", max_growth=DEFAULT_GROWTH, fail=False)
        asked, at = replace(rule, file=file, path=str(Path(file).absolute())), "--baseline"
    if asked is None:
        if fail:
            fix = "give --baseline FILE, or name one in the specification: `baseline: parity-baseline.json`"
            raise SpecError("growth is to fail, and there is no baseline", at=plan.spec_file, fix=fix)
        return plan
    place = file or Path(plan.spec_file).parent / asked.file
    make = f"make it from a run that passes: parity run {plan.spec_file} --write-baseline {place}"
    figures = _figures(_read(Path(asked.path), asked.file, at, make))
    return replace(plan, baseline=replace(asked, figures=figures, fail=asked.fail or fail))


def write_baseline(report: Report, path: Path) -> None:
    """Writes the errors of a report, for later runs to be held against.

    Raises:
        CannotJudge: the file can't be written.
    """
    floors = _floors(report.cases)
    cases = ",\n".join(_case_text(case, floors) for case in report.cases)
    head = f'{{"schema_version": {SCHEMA_VERSION}, "cases": ['
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}\n{cases}\n]}}\n", "utf-8")
    except OSError as error:
        raise CannotJudge(
            f"the baseline can't be written: {error.strerror or error}", at=str(path)
        ) from error


def check_writable(path: Path) -> None:
    """Lets a baseline be written over another one, and over nothing else.

    Raises:
        SpecError: there is something else.
    """
    if path.exists():
        _read(path, str(path), "--write-baseline", "name a file that is not there, or a baseline")


def _read(path: Path, shown: str, at: str, fix: str) -> _File:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError as error:
        raise SpecError(f"there is no baseline {shown!r}", at=at, fix=fix) from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SpecError(f"the baseline {shown!r} can't be read: {why}", at=at, fix=fix) from error
    try:
        if len(data) > SIZE_LIMIT:
            raise ValueError(f"it has more than {SIZE_LIMIT // 2**20} MiB")
        found = msgspec.json.decode(data, type=_File)
        if found.schema_version != SCHEMA_VERSION:
            raise ValueError(f"it is of version {found.schema_version}, not {SCHEMA_VERSION}")
        _check_numbers(found)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SpecError(f"{shown!r} is no baseline: {error}", at=at, fix=fix) from error
    return found


def _check_numbers(found: _File) -> None:
    """A negative or infinite figure would let any growth pass, or none."""
    for case in found.cases:
        for output in case.outputs:
            for value in (output.max_abs, output.floor):
                if value is not None and not 0 <= value < math.inf:
                    raise ValueError(f"{value:g} is no error that {output.name[:80]!r} can have")


def _figures(found: _File) -> dict[str, dict[str, BaselineFigure]]:
    return {
        case.id: {
            output.name: BaselineFigure(max_abs=output.max_abs, noise_floor=output.floor)
            for output in case.outputs
            if output.max_abs is not None
        }
        for case in found.cases
    }


def _floors(cases: Iterable[CaseResult]) -> dict[tuple[str, ...], float]:
    """The greatest noise floor of each output over its input sets: one of them alone is diagnosed."""
    found: dict[tuple[str, ...], float] = {}
    for case in cases:
        for output in case.outputs:
            key = _key(case, output)
            for floor in _known_floors(output):
                found[key] = max(floor, found.get(key, 0.0))
    return found


def _known_floors(output: OutputResult) -> list[float]:
    of_rule = output.tolerance.noise_floor if output.tolerance else None
    of_budget = output.diagnosis.budget.noise_floor if output.diagnosis else None
    return [floor for floor in (of_rule, of_budget) if floor is not None]


def _key(case: CaseResult, output: OutputResult) -> tuple[str, ...]:
    return (case.suite, case.reference, case.candidate, case.subject, output.name)


def _case_text(case: CaseResult, floors: dict[tuple[str, ...], float]) -> str:
    """One line for each output, so that a change can be read."""
    outputs = ",\n".join(
        f"  {json.dumps(_entry(output, floors.get(_key(case, output))), ensure_ascii=False)}"
        for output in case.outputs
    )
    return f' {{"id": {json.dumps(_plain(case.id), ensure_ascii=False)}, "outputs": [\n{outputs}\n ]}}'


def _entry(output: OutputResult, floor: float | None) -> dict[str, str | float | None]:
    entry: dict[str, str | float | None] = {"name": _plain(output.name), "max_abs": _rounded(output.max_abs)}
    return entry if floor is None else {**entry, "noise_floor": _rounded(floor)}


def _plain(text: str) -> str:
    """Without lone surrogates, which user code may put into a name and no reader of JSON takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
