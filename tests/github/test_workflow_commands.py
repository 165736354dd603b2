from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports as made
from support.runner import parse

from parity.github.workflow_commands import MESSAGE_LIMIT, command, commands_stopped, warning

TEXTS = st.text(max_size=80) | st.sampled_from(made.HOSTILE_NAMES) | st.text("%:,\r\n#[]=e0AD", max_size=40)


def test_as_the_runner_reads_it() -> None:
    line = command(
        "error", "50 % off\nsee below", {"file": "a:b,c.yml", "line": 12, "col": None, "title": ""}
    )
    assert line == "::error file=a%3Ab%2Cc.yml,line=12::50 %25 off%0Asee below"
    (read,) = parse(line)
    assert read.name == "error"
    assert read.properties == {"file": "a:b,c.yml", "line": "12"}
    assert read.message == "50 % off\nsee below"


@given(TEXTS, TEXTS)
def test_any_text_is_one_command(title: str, message: str) -> None:
    line = command("error", message, {"title": title, "line": 3})
    assert len(line.splitlines()) == 1
    assert "##[" not in line
    (read,) = parse(line)
    assert read.name == "error"
    assert read.properties["line"] == "3"
    assert set(read.properties) <= {"line", "title"}


def test_a_long_message_is_cut() -> None:
    (read,) = parse(command("error", "%\n" * 10_000))
    assert 1_000 < len(read.message) <= MESSAGE_LIMIT


def test_a_warning_belongs_to_parity() -> None:
    assert warning("no comment") == "::warning title=parity::no comment"


@pytest.mark.parametrize("text", [*made.HOSTILE_NAMES, "no line feed"])
def test_nothing_inside_is_obeyed(text: str) -> None:
    stream = io.StringIO()
    with commands_stopped(stream):
        stream.write(text)
    print("::notice::after", file=stream)
    assert [read.name for read in parse(stream.getvalue())] == ["notice"]


def test_the_word_is_another_each_time_and_ends_after_an_error() -> None:
    words = set()
    for _ in range(3):
        stream = io.StringIO()
        with pytest.raises(ValueError, match="inside"), commands_stopped(stream):
            raise ValueError("inside")
        first, _, last = stream.getvalue().strip().splitlines()
        assert first == f"::stop-commands::{last.strip(':')}"
        words.add(last)
    assert len(words) == 3
