"""The tables that tell how the run was made: settings in force, placement, exports, inputs, environment."""

from __future__ import annotations

from parity.placement import crossing_text, operator_text
from parity.records.outcomes import Setting
from parity.records.results import Report, SuiteResult
from parity.reports import figures

from .cells import MOST_ROWS, Cell, Table, kind_of, table_of


def about_the_run(report: Report) -> list[Table]:
    """Effective settings, placement, exports, inputs, environment."""
    found: list[Table | None] = []
    for suite in report.suites:
        found += [_settings(suite), _placements(suite), _exports(suite)]
    found += [_inputs(report), _environment(report)]
    return [table for table in found if table is not None]


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
            Cell(", ".join(f"{operator_text(each)} on {each.provider}" for each in placed.elsewhere)),
            Cell(crossing_text(placed.crossings) if placed.crossings else ""),
        )
        for side in suite.sides
        for placed in side.placements
    ]
    columns = ("Side", "Component", "Requested", "Nodes", "Elsewhere", "Between providers")
    return table_of(f"Placement in {suite.name}", columns, lines)


def _counts(nodes: dict[str, int]) -> str:
    return ", ".join(f"{provider} {count:,}" for provider, count in nodes.items())


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
