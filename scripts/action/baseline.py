"""Errors that grew since an earlier run: a drift is seen before it reaches the tolerance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from messages import UNJUDGED, WRONG_SPEC, Stop

FACTOR = (
    2.0  # between runs on one machine rounding errors repeat; other hardware moves them by less than this
)
_SIZE_LIMIT = 64 * 2**20


@dataclass(frozen=True)
class Growth:
    """One output's greatest absolute error, then and now."""

    case: str
    output: str
    before: float
    now: float

    def __str__(self) -> str:
        """As in an annotation."""
        return (
            f"{self.output} of {self.case}: the greatest error was {self.before:.3g}, is now {self.now:.3g}"
        )


def growths(baseline: Path, results: Path) -> list[Growth]:
    """Every output whose error is more than `FACTOR` times the baseline's, the largest growth first.

    An output that was exact and no longer is has grown without bound. One that the baseline has not got is
    new and has not grown; one that could not be measured now is not this module's to judge.

    Args:
        baseline: a ``results.json`` of an earlier run.
        results: that of this run.

    Raises:
        Stop: one of them can't be read.
    """
    before = dict(_errors(_load(baseline, f"the input `baseline`: {baseline.name}", WRONG_SPEC)))
    now = dict(_errors(_load(results, "the results of this run", UNJUDGED)))
    grown = [
        Growth(*key, before=before[key], now=error)
        for key, error in now.items()
        if key in before and not error <= FACTOR * before[key]
    ]
    return sorted(grown, key=_ratio, reverse=True)


def _ratio(growth: Growth) -> float:
    return growth.now / growth.before if growth.before else math.inf


def _errors(results: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for case in results["cases"]:
        for output in case.get("outputs", ()):
            if isinstance(output.get("max_abs"), (int, float)):
                yield (str(case["id"]), str(output["name"])), float(output["max_abs"])


def _load(path: Path, whose: str, status: int) -> dict[str, Any]:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise Stop(f"{whose} has more than {_SIZE_LIMIT // 2**20} MiB", status=status)
        loaded = json.loads(path.read_bytes())
        if not isinstance(loaded, dict) or loaded.get("schema_version") != 1:
            raise Stop(f"{whose} holds no results of this version", "save the results.json of a run", status)
        list(_errors(loaded))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{whose} can't be read: {type(error).__name__}"
        raise Stop(problem, "save the results.json of a run that passed", status) from error
    return loaded
