from __future__ import annotations

import io
from pathlib import Path

import pytest

from parity.commands.rendering import print_error, render, wants_colour
from parity.errors import CannotJudge, SpecError, SpecErrors


def excerpt(path: Path, text: str, line: int, column: int) -> list[str]:
    """The lines between the problem and the fix."""
    path.write_bytes(text.encode())
    return render(SpecError("wrong", at=f"{path}:{line}:{column}", fix="mend it")).splitlines()[1:-1]


@pytest.mark.parametrize(
    ("text", "line", "column", "shown"),
    [
        ("a: 1\nb: 2\n", 2, 4, ["  2 | b: 2", "    |    ^"]),
        ("a: 1\r\nb: 2\r\n", 2, 1, ["  2 | b: 2", "    | ^"]),
        ("\ufeffa: 1\n", 1, 1, ["  1 | a: 1", "    | ^"]),
        ("\tx: 1\n", 1, 2, ["  1 |  x: 1", "    |  ^"]),
        ("名前: x\n", 1, 5, ["  1 | 名前: x", "    |       ^"]),
        ("a: e\u0301 x\n", 1, 7, ["  1 | a: e\u0301 x", "    |      ^"]),
        ("a: \x1b[31m\n", 1, 4, ["  1 | a: \ufffd[31m", "    |    ^"]),
        ("a: 1", 1, 5, ["  1 | a: 1", "    |     ^"]),
        ("a\n" * 99 + "b: 1\n", 100, 1, ["  100 | b: 1", "      | ^"]),
        ("a: 1\n", 7, 1, []),
        ("\n", 1, 1, []),
    ],
)
def test_the_line_and_a_caret_under_the_column(
    tmp_path: Path, text: str, line: int, column: int, shown: list[str]
) -> None:
    assert excerpt(tmp_path / "f.yml", text, line, column) == shown


def test_of_a_long_line_the_part_around_the_column(tmp_path: Path) -> None:
    source, caret = excerpt(tmp_path / "f.yml", "a" * 5000 + "X" + "b" * 500_000, 1, 5001)
    assert len(source) < 150
    assert source[caret.index("^")] == "X"


@pytest.mark.parametrize("at", ["", "--devices", "absent.yml", "absent.yml:1:1", ".:1:1", "a\0b:1:1"])
def test_a_place_that_is_no_line_of_a_file(at: str) -> None:
    lines = render(CannotJudge("wrong", at=at, fix="mend it")).splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("wrong")
    assert lines[1] == "  fix: mend it"


def test_each_of_several_errors() -> None:
    errors = SpecErrors([SpecError("one", at="a:1:1"), SpecError("two", fix="mend it")])
    assert render(errors) == "a:1:1: one\ntwo\n  fix: mend it"


def test_messages_can_not_steer_the_terminal() -> None:
    text = render(SpecError("a\x1b[2J\rb", at="c\x1b[1m", fix="d\ne"))
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("\n") == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        print_error(SpecError("wrong"), stream)
        assert ("\x1b[" in stream.getvalue()) is coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())


def test_a_locale_without_the_characters_does_not_end_the_program() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_error(SpecError("größe"), stream)
    stream.flush()
    assert b"gr\\xf6\\xdfe" in stream.buffer.getvalue()  # type: ignore[attr-defined]
