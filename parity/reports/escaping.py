"""Names and messages come from models and from user code, and hold anything. Here they become inert.

`visible` first, always: it leaves no control, bidirectional or other unseen character in a text, none that
XML forbids, and no workflow command that a CI runner would obey. `code`, `prose` and `fenced` then do
what Markdown needs, as GitHub renders it.
"""

from __future__ import annotations

import re
import string
import unicodedata

NAME_LIMIT = 160  # characters of a name or a value in a report
TEXT_LIMIT = 2_000  # of a message

# No underscore: _two_ of them are an emphasis, within <code> too.
_PLAIN = frozenset(string.ascii_letters + string.digits + " .+=/,-")
_ANSI_STYLE = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")
_ZERO_WIDTH_SPACE = "&#8203;"


def visible(text: str, limit: int = NAME_LIMIT) -> str:
    """The text on one line, of at most `limit` characters as they come in; what can't be seen is escaped."""
    if len(text) > limit:
        text = f"{text[: limit - limit // 3]}…{text[-(limit // 3) :]}"
    line = "".join(map(_seen, " ".join(text.splitlines())))
    return line.replace("##[", "## [")  # the runner obeys ##[command] anywhere in a line


def lines_of(text: str, count: int = 20, width: int = 400) -> list[str]:
    """The last `count` lines of a traceback or of stderr, each made visible."""
    # A worker's last words can be megabytes without a line feed; only the tail is ever shown.
    tail = _ANSI_STYLE.sub("", text[-count * width :]).expandtabs(4)
    return [visible(line, width).rstrip() for line in tail.strip("\r\n").splitlines()[-count:]]


def code(text: str, limit: int = NAME_LIMIT) -> str:
    """A name as inline code for Markdown, also inside a table."""
    return f"<code>{_referenced(visible(text, limit).strip() or ' ')}</code>"


def prose(text: str, limit: int = TEXT_LIMIT) -> str:
    """A message for Markdown, also inside a table: no markup, link, mention or reference comes of it."""
    apart = rf"\1{_ZERO_WIDTH_SPACE}"  # no @user, no #1
    return re.sub(rf"(&#(?:35|64);)(?!{_ZERO_WIDTH_SPACE})", apart, _referenced(visible(text, limit).strip()))


def unbroken(text: str) -> str:
    """Figures of our own, with spaces at which no line is broken."""
    return text.replace(" ", "&nbsp;")


def fenced(lines: list[str]) -> str:
    """Lines as a fenced block, in a fence longer than any run of backticks in them."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _seen(character: str) -> str:
    """The character, or its escape when it is a control, format, surrogate, private or unassigned one."""
    if unicodedata.category(character)[0] != "C":
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _referenced(text: str) -> str:
    """Every character with a meaning in Markdown or HTML as a numeric reference."""
    plain = "".join(c if c in _PLAIN else f"&#{ord(c)};" for c in text)
    # Within <code> too, GitHub makes links of www. and of mail addresses, whose @ it finds as a reference.
    plain = re.sub(r"&#64;(?=\S*\.)", f"&#64;{_ZERO_WIDTH_SPACE}", plain)
    return re.sub(r"(?i)w(?=ww\.)", lambda found: f"&#{ord(found[0])};", plain)
