"""What an unquoted YAML scalar means, by the core schema of YAML 1.2.

PyYAML reads YAML 1.1, where ``1e-4`` is text, ``no`` is false, ``012`` is ten and ``1:30`` is ninety. Here a
number is a number, only ``true`` and ``false`` are booleans, and what the two read differently is marked.
"""

from __future__ import annotations

import re

import yaml

Value = str | int | float | bool | None

_NAMED: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Ambiguous(str):
    """Unquoted text that other readers of YAML take for something else: ``no``, ``012``, the key ``1``."""

    __slots__ = ()


def resolve(text: str) -> Value:
    """The value of an unquoted scalar; text that YAML 1.1 reads as another type is `Ambiguous`.

    Raises:
        ValueError: an integer has more digits than Python converts.
    """
    if text in _NAMED:
        return _NAMED[text]
    if (number := _number(text)) is not None:
        return number
    return Ambiguous(text) if _is_typed_in_yaml_1_1(text) else text


def resolve_key(text: str) -> str:
    """The text of an unquoted key. Keys are always text here; one that looks like a value is `Ambiguous`."""
    looks_typed = text in _NAMED or _FLOAT.fullmatch(text) or _BASED.fullmatch(text)
    return Ambiguous(text) if looks_typed or _is_typed_in_yaml_1_1(text) else text


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if found := _SPECIAL.fullmatch(text):
        return float(f"{found[1]}inf") if found[2] else float("nan")
    return None


def _is_typed_in_yaml_1_1(text: str) -> bool:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return any(pattern.match(text) for _, pattern in resolvers)
