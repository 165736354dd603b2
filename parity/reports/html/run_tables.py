"""The tables that tell how the run was made: latency, settings in force, exports, inputs, environment."""

from __future__ import annotations

from parity.records.outcomes import Setting
from parity.records.placement import Crossings
from parity.records.results import Report, SuiteResult
from parity.reports import figures, selection, wording

from .cells import MOST_ROWS, Cell, Table, kind_of, table_of


def about_the_run(report: Report) -> list[Table]:
    """Latency, effective settings, exports, inputs, environment."""
    found = [_performance(report)]
    for suite in report.suites:
        found += [_settings(suite), _placements(suite), _exports(suite)]
    found += [_inputs(report), _environment(report)]
    return [table for table in found if table is not None]


def _performance(report: Report) -> Table | None:
    lines = [
        (
            Cell(row.subject, code=True),
            Cell(figures.milliseconds(row.reference.latency_ms), sort=row.reference.latency_ms),
            Cell(figures.milliseconds(row.candidate.latency_ms), sort=row.candidate.latency_ms),
            Cell(figures.ratio(row.candidate.latency_ms, row.reference.latency_ms)),
            Cell(wording.peak_memory(row.reference)),
            Cell(wording.peak_memory(row.candidate)),
            Cell(wording.timed_set(row), code=True),
            Cell(str(row.pair), code=True),
        )
        for row in selection.performance_rows(report)
    ]
    numeric = ("Reference", "Candidate", "Ratio", "Memory, reference", "Memory, candidate")
    return table_of("Latency and peak memory", ("Timed", *numeric, "Input set", "Sides"), lines, numeric)


def _settings(suite: SuiteResult) -> Table | None:
    """What was in force on each side, as it was read back."""
    names = dict.fromkeys(name for side in suite.sides for name in side.settings)
    lines = [
        (Cell("device"), *(Cell(side.device_name, code=True) for side in suite.sides)),
        (Cell("versions"), *(Cell(_versions(side.versions)) for side in suite.sides)),
        *(
            (
                Cell(name, code=True),
                *(
                    Cell(_value(side.settings[name]) if name in side.settings else "", code=True)
                    for side in suite.sides
                ),
            )
            for name in names
        ),
    ]
    title = f"Effective settings of {suite.name}, {suite.numerics} numerics"
    return table_of(title, ("Setting", *(side.side for side in suite.sides)), lines if suite.sides else [])


def _placements(suite: SuiteResult) -> Table | None:
    """Which execution provider runs how many nodes of each session."""
    lines = [
        (
            Cell(side.side, code=True),
            Cell(placed.component, code=True),
            Cell(placed.requested, code=True),
            Cell(placed.unknown or _counts(placed.nodes)),
            Cell(", ".join(f"{each.count} {each.op_type} on {each.provider}" for each in placed.elsewhere)),
            Cell(_crossing(placed.crossings)),
        )
        for side in suite.sides
        for placed in side.placements
    ]
    columns = ("Side", "Component", "Requested", "Nodes", "Elsewhere", "Crosses in each run")
    return table_of(f"Placement in {suite.name}", columns, lines)


def _counts(nodes: dict[str, int]) -> str:
    return ", ".join(f"{provider} {count:,}" for provider, count in nodes.items())


def _crossing(found: Crossings | None) -> str:
    """``3 tensors, 1.25 MiB``."""
    if found is None or not found.count:
        return ""
    told = f"{figures.counted(found.count, 'tensor')}, {figures.size(found.bytes)}"
    return f"{told} ({found.unknown})" if found.unknown else told


def _exports(suite: SuiteResult) -> Table | None:
    lines = [
        (
            Cell(component, code=True),
            Cell(", ".join(f"{key} {_value(value)}" for key, value in settings.items()), code=True),
        )
        for component, settings in suite.exports.items()
    ]
    return table_of(f"Exports of {suite.name}", ("Component", "Settings"), lines)


def _inputs(report: Report) -> Table | None:
    found = dict.fromkeys(
        (
            case.suite,
            case.input_set,
            tensor.name,
            kind_of(tensor.dtype, tensor.shape),
            tensor.sha256,
        )
        for case in report.cases
        for tensor in case.inputs
    )
    lines = [tuple(Cell(text, code=True) for text in entry[1:]) for entry in found]
    return table_of("Inputs", ("Set", "Input", "Type", "SHA-256"), lines[:MOST_ROWS], (), len(lines))


def _environment(report: Report) -> Table | None:
    here = report.environment
    facts = {
        "parity": report.tool_version,
        "started": report.started_at,
        "Python": here.python,
        "platform": here.platform,
        "processor": f"{here.processor}, {figures.counted(here.cores, 'core')}",
        "memory": figures.size(here.memory_bytes),
        "packages": _versions(here.versions),
    }
    return table_of("Environment", ("", "value"), [(Cell(name), Cell(text)) for name, text in facts.items()])


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _value(value: Setting) -> str:
    return "true" if value is True else "false" if value is False else "null" if value is None else str(value)
