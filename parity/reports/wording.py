"""Records in words: what every report says about an output, its figures and its tolerance.

The words hold texts of models as they are; each report makes them inert in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable

from parity.records.jobs import MODEL
from parity.records.measurements import Element, Measurement, Tolerance
from parity.records.results import GROWTH, OutputResult, Report, SidePerformance

from . import figures, matching, steps
from .selection import OutputRow, PerformanceRow, listed, skipped


def label(subject: str, output: str) -> str:
    """``backbone_head / heatmap``; the output alone in a suite without components."""
    return output if subject == MODEL else f"{subject} / {output}"


def how_far(output: OutputResult) -> str:
    """``20.1 x its tolerance in step 3 of 8``; empty where nothing was measured: the problem says it all."""
    measured = output.measurement
    if measured is None:
        return ""
    if output.growth and failed_by_growth_alone(output):
        return f"grown {figures.factor(output.growth.factor)}" if output.growth.before else "no longer exact"
    where = f" in {steps.place(output)}" if output.steps else ""
    if measured.nonfinite.mismatched:
        return f"non-finite values{where}"
    if lone := matching.lone(measured.matching):
        return f"{figures.counted(lone, 'row')} without a counterpart{where}"
    if output.factor is None and output.tolerance and output.tolerance.exact:
        return f"exact required{where}"
    return f"{figures.factor(output.factor)} its tolerance{where}"


def failed_by_growth_alone(output: OutputResult) -> bool:
    """Whether an output is within its tolerance, and fails since its error has grown."""
    criteria = {check.criterion for check in output.checks if not check.passed}
    return output.status == "failed" and criteria == {GROWTH}


def worst_element(output: OutputResult) -> Element | None:
    """The element furthest beyond its bound, the greatest error where no bound tells."""
    measured = output.measurement
    return (measured.worst or measured.largest) if measured else None


def values(element: Element) -> str:
    """``reference 1.25, candidate 3.62, error 2.37``."""
    error = f", error {figures.number(element.abs_error, 6)}" if element.abs_error is not None else ""
    return f"reference {element.reference}, candidate {element.candidate}{error}"


def largest_elsewhere(output: OutputResult) -> str:
    """The greatest absolute error, where it isn't at the worst element; else empty."""
    worst = worst_element(output)
    largest = output.measurement.largest if output.measurement else None
    if worst is None or largest is None or largest.index == worst.index:
        return ""
    return f"{figures.number(largest.abs_error, 6)} at {located(largest)}"


def located(element: Element) -> str:
    """``[2, 0]``; ``[2, 0] ↔ [1, 0]`` where it is matched with one at another place of the candidate."""
    ours = figures.bracketed(element.index)
    return (
        ours if element.candidate_index is None else f"{ours} ↔ {figures.bracketed(element.candidate_index)}"
    )


def mismatched(measured: Measurement) -> str:
    """``48,211 of 81,920 elements (58.9 %)``."""
    part = figures.share(measured.mismatched, measured.elements)
    return f"{measured.mismatched:,} of {figures.counted(measured.elements, 'element')} ({part})"


def statistics(measured: Measurement) -> str:
    """Errors over all finite elements: ``max 2.37479, mean 6.13e-4, rms 0.00412, cosine 0.99981``."""
    said = [
        f"max {figures.number(measured.max_abs, 6)}",
        f"mean {figures.number(measured.mean_abs)}",
        f"rms {figures.number(measured.rms)}",
        f"cosine {figures.cosine(measured.cosine)}",
    ]
    if measured.snr_db is not None:
        said.append(f"snr {figures.number(measured.snr_db)} dB")
    if measured.ulp is not None:
        said.append(f"ulp {figures.number(measured.ulp)}")
    said += [
        f"{figures.quantile(share)} {figures.number(error)}" for share, error in measured.quantile.items()
    ]
    return ", ".join(said)


def nonfinite(measured: Measurement) -> str:
    """``NaN 0 → 12, inf 0 → 3, 15 unmatched``, reference → candidate; empty when all is finite."""
    seen = measured.nonfinite
    said = [
        f"{name} {reference:,} → {candidate:,}"
        for name, reference, candidate in (
            ("NaN", seen.reference_nan, seen.candidate_nan),
            ("inf", seen.reference_inf, seen.candidate_inf),
        )
        if reference or candidate
    ]
    return ", ".join([*said, f"{seen.mismatched:,} unmatched"]) if said or seen.mismatched else ""


def failed_checks(output: OutputResult) -> list[str]:
    """The criteria that were not met, where there are several: ``cosine: 0.9981, limit 0.9999``."""
    if len(output.checks) == 1 and output.checks[0].criterion != "argmax":
        return []  # the error and the tolerance say it already; of decisions they tell nothing
    return [f"{c.criterion}: {c.measured}, limit {c.limit}" for c in output.checks if not c.passed]


def dtypes(output: OutputResult) -> str:
    """``float32``; of two that are compared all the same ``float32 → float16``, reference → candidate."""
    return " → ".join(filter(None, (output.reference_dtype, output.dtype)))


def held_against_baseline(output: OutputResult) -> str:
    """``was 3.10e-5, grown 645 x``; empty where there is no baseline."""
    growth = output.growth
    if growth is None:
        return ""
    was = f"was {figures.number(growth.before)}"
    return {
        "grown": f"{was}, grown {figures.factor(growth.factor)}" if growth.before else f"{was}: exact",
        "kept": was,
        "rounding": f"{was}; what it has grown by is within rounding",
        "new": "it does not know this output",
        "unmeasured": was,
    }[growth.state]


def facts(output: OutputResult, spec: str) -> list[tuple[str, str]]:
    """All figures of an output, (name, text); a fact that does not apply has no text.

    `spec` is the specification's path, for the place of the tolerance.
    """
    measured, element, stated = output.measurement, worst_element(output), output.tolerance
    told = [("tensor", f"{dtypes(output)} {figures.bracketed(output.shape)}" if output.dtype else "")]
    if element:
        told.append(("worst at", f"{located(element)}  {values(element)}"))
    if measured:
        told += [
            *matching.facts(measured.matching),
            ("largest", largest_elsewhere(output)),
            ("mismatched", mismatched(measured)),
            ("non-finite", nonfinite(measured)),
            ("error", statistics(measured) if measured.compared else ""),
        ]
    told += steps.facts(output)
    told += [("criterion", check) for check in failed_checks(output)]
    told.append(("baseline", held_against_baseline(output)))
    if stated:
        place = f'for "{stated.pattern}" at {tolerance_place(stated, spec)}'
        told.append(("tolerance", f"{figures.tolerance(stated)} {place}"))
    return told


def tolerance_place(stated: Tolerance, spec: str) -> str:
    """Where the specification states the tolerance: ``parity.yml:31``; the file alone for a default."""
    return f"{spec}:{stated.line}" if stated.line is not None else spec


def spec_file(report: Report, suite: str) -> str:
    """The specification of a suite, as it was given on the command line."""
    return next((entry.spec_file for entry in report.suites if entry.name == suite), "")


def peak_memory(side: SidePerformance) -> str:
    """``1.25 GiB``; with an accelerator ``1.25 GiB + 3.1 GiB on the device``."""
    host = figures.size(side.peak_rss_bytes)
    return (
        f"{host} + {figures.size(side.peak_device_bytes)} on the device" if side.peak_device_bytes else host
    )


def failing_sets(row: OutputRow) -> str:
    """``3 of 40 beyond tolerance: 0, 7, 12; worst: 7``; empty for a single input set."""
    if len(row.cases) < 2:
        return ""
    worst = f"; worst: {row.worst_case.input_set}" if len(row.failing) > 1 else ""
    if len(row.failing) == len(row.cases):
        return f"all {len(row.cases):,} beyond tolerance{worst}"
    sets = listed(case.input_set for case in row.failing)
    return f"{len(row.failing):,} of {len(row.cases):,} beyond tolerance: {sets}{worst}"


def timed_set(row: PerformanceRow) -> str:
    """``sweep-1, slowest of 3``."""
    return f"{row.input_set}, slowest of {row.timed:,}" if row.timed > 1 else row.input_set


def notes(report: Report) -> list[tuple[str, str]]:
    """What the two sides had to say, (side, note), each once."""
    said = [(side.side, note) for suite in report.suites for side in suite.sides for note in side.notes]
    return list(dict.fromkeys(said))


def never_compared(rows: Iterable[OutputRow]) -> list[tuple[str, str]]:
    """Outputs that passed although nothing was compared, or rows are missing, (outputs, what to know)."""
    empty, missing = [], dict[int, list[str]]()
    for row in rows:
        measured = _measured(row) if row.status == "passed" else []
        name = label(row.subject, row.name)
        if row.status == "passed" and not sum(each.elements for each in measured):
            empty.append(name)
        elif optional := sum(each.matching.optional for each in measured if each.matching):
            missing.setdefault(optional, []).append(name)
    note = "empty on both sides in every input set: nothing of it was compared"
    told = [(listed(empty, most=3), note)] if empty else []
    for count, names in missing.items():
        counted = figures.counted(count, "row")
        told.append((listed(names, most=3), f"{counted} without a counterpart, which optional_below allows"))
    return told


def _measured(row: OutputRow) -> list[Measurement]:
    return [output.measurement for output, _ in row.results if output.measurement]


def skips(report: Report) -> list[tuple[str, str]]:
    """What was skipped and why, (cases, reason)."""
    return [(listed(entry.cases), f"skipped: {entry.problem.message}") for entry in skipped(report)]
