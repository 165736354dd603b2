"""`parity check SPEC...`: validates specifications without running a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from parity.baselines import with_baseline
from parity.commands.rendering import green, prepare, print_error, wants_colour
from parity.errors import ExitCode, SpecError, SpecErrors, worst
from parity.planning import plan
from parity.records.measurements import Tolerance
from parity.records.plan import ProviderPlan, SuitePlan
from parity.reports.escaping import visible
from parity.spec.loading import load_spec

_CRITERIA = (
    "atol",
    "rtol",
    "max_abs",
    "noise_factor",
    "mean_abs",
    "rms",
    "cosine",
    "snr_db",
    "ulp",
    "mismatch",
)


def run(specs: list[str]) -> ExitCode:
    """Prints one line for each valid specification on stdout, and every error of the others on stderr."""
    prepare(sys.stdout)
    plans, errors = _read(specs, None, BaselineOptions())
    mark = green("ok", colour=wants_colour(sys.stdout))
    for suite in plans:
        print(f"{visible(suite.spec_file)}: {mark}  {visible(summary(suite), 1000)}")  # noqa: T201
    sys.stdout.flush()  # before what goes to stderr
    for error in errors:
        print_error(error)
    return worst([error.exit_code for error in errors]) if errors else ExitCode.PASSED


@dataclass(frozen=True)
class BaselineOptions:
    """What errors are held against, beside what the specifications say.

    Args:
        file: instead of that of the specifications; empty: theirs.
        fail: growth fails, whatever they say.
        write: where to write a new one; None: not. Then no baseline is read.
    """

    file: str = ""
    fail: bool = False
    write: Path | None = None


def load_plans(
    specs: Sequence[str],
    devices: tuple[str, ...] | None = None,
    baseline: BaselineOptions = BaselineOptions(),
) -> list[SuitePlan]:
    """The plan of every specification; all are read before any error is raised.

    Args:
        specs: paths of specification files.
        devices: instead of those of the specifications.
        baseline: of the command line.

    Raises:
        SpecError: a specification or `devices` is wrong, or two suites have one name; `SpecErrors` when
            several things are.
    """
    plans, errors = _read(specs, devices, baseline)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SpecErrors(errors)
    return plans


def _read(
    specs: Sequence[str], devices: tuple[str, ...] | None, baseline: BaselineOptions
) -> tuple[list[SuitePlan], list[SpecError]]:
    """The plans of the specifications that are right, and each single error of the others."""
    plans: list[SuitePlan] = []
    errors: list[SpecError] = []
    for path in specs:
        try:
            planned = _with_figures(plan(load_spec(path), devices), baseline)
        except SpecErrors as several:
            errors.extend(several.errors)
        except SpecError as error:
            if str(error) not in map(str, errors):  # a wrong device is wrong once
                errors.append(error)
        else:
            same = next((known for known in plans if known.name == planned.name), None)
            if same is None:
                plans.append(planned)
                continue
            problem = f"the suite {planned.name!r} is in {same.spec_file} already"
            fix = "give each specification a `name` of its own"
            errors.append(SpecError(problem, at=planned.at("name"), fix=fix))
    return plans, errors


def _with_figures(planned: SuitePlan, baseline: BaselineOptions) -> SuitePlan:
    """The plan with what its errors are held against; with nothing where that is about to be written."""
    if baseline.write is not None:
        return replace(planned, baseline=None)
    return with_baseline(planned, baseline.file, fail=baseline.fail)


def summary(suite: SuitePlan) -> str:
    """What will be judged, on one line: subjects, comparisons, cases, tolerances."""
    subjects = ", ".join(suite.subjects)
    comparisons = ", ".join(comparison.text for comparison in suite.comparisons)
    return f"{suite.name}: {subjects} on {comparisons}; {_cases(suite)}; {_rules(suite)}"


def _cases(suite: SuitePlan) -> str:
    each = len(suite.comparisons) * len(suite.subjects)
    if isinstance(suite.inputs, ProviderPlan):
        most = suite.inputs.samples
        sets = f"up to {most} input sets" if most else "the input sets"
        return f"{each} {'case' if each == 1 else 'cases'} for each of {sets} of {suite.inputs.target}"
    count = each * len(suite.inputs)
    # A pipeline may call a component more than once, which only running it shows.
    least = "at least " if suite.pipeline else ""
    return f"{least}{count} {'case' if count == 1 else 'cases'}"


def _rules(suite: SuitePlan) -> str:
    texts = []
    for subject, rules in suite.tolerances.items():
        shown = ", ".join(f"{rule.pattern} ({_criteria(rule)})" for rule in rules)
        texts.append(f"{subject}: {shown}" if suite.pipeline else shown)
    return f"tolerances {'; '.join(texts)}"


def _criteria(rule: Tolerance) -> str:
    parts = [f"{name} {value:g}" for name in _CRITERIA if (value := getattr(rule, name)) is not None]
    parts += [f"quantile {share} {value:g}" for share, value in rule.quantile.items()]
    if rule.exact is not None:
        parts.append("exact" if rule.exact else "not exact")
    if not [part for part in parts if part != "not exact"]:
        parts.insert(0, "defaults of the dtype")
    parts += ["NaN equal"] if rule.equal_nan else []
    return ", ".join([*parts, "any float dtype"] if rule.dtype == "any" else parts)
