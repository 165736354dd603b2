from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made

from parity.records.diagnosis import ModuleErrors
from parity.reports.modules import Gap, Row, around_the_worst

ERRORS = st.none() | st.floats(-1e308, 1e308) | st.sampled_from([0.0, 1e-320, 1e-8, 0.5])


def module(name: str, local: float | None) -> ModuleErrors:
    return ModuleErrors(name, "Conv2d", "model.py:1", local, None, local)


def shown(modules: tuple[ModuleErrors, ...], most: int = 12) -> list[str]:
    return [
        entry.module.module if isinstance(entry, Row) else str(entry)
        for entry in around_the_worst(modules, most)
    ]


def test_the_rows_around_the_worst_in_the_order_of_the_forward() -> None:
    modules = made.modules(peak=24, count=46)
    assert shown(modules, 5) == [
        "and 22 sound modules before, none adds more than 3.90e-8",
        *(entry.module for entry in modules[22:27]),
        "and 19 sound modules after, none adds more than 3.90e-8",
    ]
    bars = {e.module.module: len(e.bar) for e in around_the_worst(modules, 5) if isinstance(e, Row)}
    assert bars == {
        entry.module: 8 * (place == 24) for place, entry in enumerate(modules) if 22 <= place < 27
    }


def test_a_second_fault_far_away_is_shown_too() -> None:
    local = [1e-8] * 100
    local[10], local[90] = 0.5, 0.25
    told = shown(tuple(module(f"m{i}", size) for i, size in enumerate(local)), 4)
    assert told[0] == "and 9 sound modules before, none adds more than 1.00e-8"
    assert told[1:4] == ["m9", "m10", "m11"]
    assert told[4:] == [
        "and 78 sound modules between, none adds more than 1.00e-8",
        "m90",
        "and 9 sound modules after, none adds more than 1.00e-8",
    ]


def test_modules_are_called_sound_only_if_all_were_followed_and_add_next_to_nothing() -> None:
    lost = Gap((module("a", None), module("b", 1e-9)), "before", 0.5)
    loud = Gap((module("a", 0.4),), "after", 0.5)
    dark = Gap((module("a", None),), "before", 0.5)
    assert str(lost) == "and 2 modules before, none adds more than 1.00e-9, 1 could not be followed"
    assert str(loud) == "and 1 module after, none adds more than 0.400"
    assert str(dark) == "and 1 module before, 1 could not be followed"


@pytest.mark.parametrize("local", [None, 0.0, -1.0])
def test_there_is_no_table_where_no_module_adds_an_error(local: float | None) -> None:
    assert shown((module("a", local), module("b", local))) == []
    assert shown(()) == []


@given(st.lists(ERRORS, max_size=40), st.integers(1, 12))
def test_whatever_the_errors_the_rows_are_few_in_order_and_none_is_lost(
    local: list[float | None], most: int
) -> None:
    modules = tuple(module(str(i), size) for i, size in enumerate(local))
    found = around_the_worst(modules, most)
    rows = [entry for entry in found if isinstance(entry, Row)]
    assert len(rows) <= most
    assert all(len(row.bar) <= 8 for row in rows)
    if found:
        every = [m for e in found for m in ((e.module,) if isinstance(e, Row) else e.modules)]
        assert every == list(modules)
        worst = max(size for size in local if size is not None)
        assert worst in [row.module.local for row in rows]


def test_a_module_is_left_to_what_is_inside_of_it_unless_it_adds_more_by_itself() -> None:
    nested = (module("", 0.5), module("a", 0.4), module("a.norm", 0.3), module("a.act", 1e-9))
    assert shown(nested) == ["a.norm", "a.act"]
    own = (module("attention", 0.5), module("attention.q", 1e-9), module("attention.k", 1e-9))
    assert shown(own) == ["attention", "attention.q", "attention.k"]
