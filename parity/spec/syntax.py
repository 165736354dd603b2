"""What libyaml and PyYAML say about a file that is not YAML, in a reader's words."""

from __future__ import annotations

import re

import yaml

from parity.errors import SpecError

# Words of the parser's -> what to do about it.
_SYNTAX_FIXES = (
    ("mapping values are not allowed", "check the indentation; text that holds ': ' must be quoted"),
    ("cannot start any token", "quote the text"),
    ("unexpected end of stream", "close the quote"),
    ("expected ',' or", "close the bracket, or add the comma"),
    ("did not find expected key", "check the indentation and the quotes above"),
    ("escape", "use single quotes for text with backslashes"),
)


def syntax_error(error: yaml.YAMLError, text: str, file: str) -> SpecError:
    """The error at its place; `text` is the whole file."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return SpecError(f"this is not YAML: {error}", at=file, fix="save it as plain text in UTF-8")
    problem = error.problem or "it can't be read"
    mark = error.problem_mark or error.context_mark
    # libyaml says what is wrong where it noticed; an open quote or bracket is better shown where it starts.
    if error.context_mark is not None and ("end of stream" in problem or "expected ',' or" in problem):
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    at = f"{file}:{line + 1}:{column + 1}"
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    here = lines[line][column : column + 1] if line < len(lines) else ""
    if here == "\t" or "tab" in problem.split():
        return SpecError("a tab is used for indentation", at=at, fix="indent with spaces")
    fix = next(
        (fix for words, fix in _SYNTAX_FIXES if words in problem), "check quotes, brackets and indentation"
    )
    context = f" {error.context}" if error.context else ""
    return SpecError(f"this is not YAML: {problem}{context}", at=at, fix=fix)
