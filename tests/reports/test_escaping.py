from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import HOSTILE_NAMES

from parity.reports.escaping import fenced, lines_of, visible

anything = st.text(st.characters(), max_size=300)


@given(anything)
def test_nothing_unseen_is_left(text: str) -> None:
    line = visible(text, limit=10_000)
    assert not any(unicodedata.category(character)[0] == "C" for character in line)
    assert len(line.splitlines()) <= 1
    assert "##[" not in line
    line.encode()  # no lone surrogate


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_fit_in_a_cell(name: str) -> None:
    assert len(visible(name)) <= 6 * 160


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("pts_bbox_head/task_heads.0/heatmap", "出力", "a b", "Δx"):
        assert visible(name) == name


def test_a_long_name_keeps_both_ends() -> None:
    short = visible("encoder." + "x" * 500 + ".weight", limit=30)
    assert short.startswith("encoder.")
    assert short.endswith(".weight")
    assert len(short) == 31


def test_last_words_are_the_last_and_lose_their_colours() -> None:
    text = "\n".join(f"\x1b[31mline {i}\x1b[0m" for i in range(100)) + "\n\n"
    assert lines_of(text, count=3) == ["line 97", "line 98", "line 99"]
    assert lines_of("") == []


def test_megabytes_of_last_words_are_bounded() -> None:
    assert sum(map(len, lines_of("\x00" * 5_000_000))) < 100_000


@given(st.lists(st.text("`~a \n", max_size=20), max_size=5))
def test_no_line_closes_its_fence(lines: list[str]) -> None:
    first, *_, last = fenced(lines).splitlines()
    fence = first.removesuffix("text")
    assert last == fence
    assert all(fence not in line for line in lines)
