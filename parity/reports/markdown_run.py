"""The folded sections of `summary.md` that tell how the run was made."""

from __future__ import annotations

from collections.abc import Iterator

from parity.records.outcomes import Setting
from parity.records.results import Report, SideSettings, SuiteResult

from . import figures, limits, selection, wording
from .document import Section, folded, row, table
from .escaping import code, prose, unbroken


def about_the_run(report: Report) -> Iterator[Section]:
    """Latency, effective settings of both sides, notes, inputs with their hashes, and the environment."""
    yield from _performance(report)
    for suite in report.suites:
        yield from _settings(suite)
    yield from _notes(report)
    yield from _inputs(report)
    yield _environment(report)


def _performance(report: Report) -> Iterator[Section]:
    rows = selection.performance_rows(report)
    if not rows:
        return
    on_gpu = limits.has_device_memory(rows)
    # Columns that are there only where the rows differ in them.
    subjects, suites = (
        len({entry.subject for entry in rows}) > 1,
        len({entry.pair.suite for entry in rows}) > 1,
    )
    numeric = ["Min", "Median", "90 %", "Ratio", "Own memory", *(["On the GPU"] if on_gpu else [])]
    numeric.append("Peak memory")
    lines = []
    for entry in rows:
        for side in limits.side_rows(entry):
            told = [side.least, side.median, side.p90, side.ratio, side.host]
            told += [*([side.device] if on_gpu else []), side.peak]
            places = [code(entry.subject)] * subjects + [code(entry.pair.suite)] * suites
            cells = [code(side.side), *map(unbroken, told), code(wording.timed_set(entry)), *places]
            lines.append(row(cells))
    columns = ["Side", *numeric, "Input set", *["Timed"] * subjects, *["Suite"] * suites]
    head = f"{limits.how_measured(rows)}\n\n{table(columns, numeric)}"
    yield folded("Latency and peak memory", head, lines, weight=60)


def _settings(suite: SuiteResult) -> Iterator[Section]:
    """What was in force on each side, as it was read back."""
    title = f"Effective settings of {suite.name[:80]}, {suite.numerics[:80]} numerics"
    if suite.sides:
        names = dict.fromkeys(name for side in suite.sides for name in side.settings)
        lines = [row(["device", *(code(side.device_name) for side in suite.sides)])]
        lines += [row(["versions", *(_versions(side.versions) for side in suite.sides)])]
        lines += [row([code(name), *(_setting(side, name) for side in suite.sides)]) for name in names]
        yield folded(title, table(["Setting", *(code(side.side) for side in suite.sides)]), lines, weight=50)
    exports = [
        row([code(component), ", ".join(f"{code(key)} {_value(value)}" for key, value in settings.items())])
        for component, settings in suite.exports.items()
    ]
    if exports:
        yield folded(f"Exports of {suite.name[:80]}", table(["Component", "Settings"]), exports, weight=45)


def _notes(report: Report) -> Iterator[Section]:
    asides = [*wording.notes(report), *wording.skips(report), *limits.doubts(report)]
    lines = [f"- {code(subject)}: {prose(note)}\n" for subject, note in asides]
    if lines:
        yield folded("Notes", "", lines, weight=70)


def _inputs(report: Report) -> Iterator[Section]:
    found = dict.fromkeys(
        (case.suite, case.input_set, tensor.name, tensor.dtype, tensor.shape, tensor.sha256)
        for case in report.cases
        for tensor in case.inputs
    )
    lines = [
        row([code(input_set), code(name), code(f"{dtype}{figures.bracketed(shape)}"), code(sha256)])
        for _, input_set, name, dtype, shape, sha256 in found
    ]
    if lines:
        yield folded("Inputs", table(["Set", "Input", "Type", "SHA-256"]), lines, weight=20)


def _environment(report: Report) -> Section:
    here = report.environment
    facts = {
        "started": report.started_at,
        "Python": here.python,
        "platform": here.platform,
        "processor": f"{here.processor}, {figures.counted(here.cores, 'core')}",
        "memory": figures.size(here.memory_bytes),
    }
    lines = [row([name, prose(text)]) for name, text in facts.items()]
    lines.append(row(["packages", _versions(here.versions)]))
    return folded("Environment", table(["parity", prose(report.tool_version)]), lines, weight=30)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(prose(f"{name} {version}") for name, version in versions.items())


def _setting(side: SideSettings, name: str) -> str:
    return _value(side.settings[name]) if name in side.settings else ""


def _value(value: Setting) -> str:
    return code(
        "true" if value is True else "false" if value is False else "null" if value is None else str(value)
    )
