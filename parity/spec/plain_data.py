"""Mappings of the user's own, such as a model's arguments, as JSON carries them to a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from parity.spec.refusing import wrong
from parity.spec.scalars import Ambiguous

_LARGEST_INTEGER = 2**63 - 1  # of what JSON carries to a worker


def plain_data(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping of the user's own as plain JSON data: sequences are lists.

    Raises:
        PydanticCustomError: something in it would reach the model as another value than it was meant to be.
    """
    data: dict[str, Any] = _plain(value, ())
    return data


def _plain(value: Any, path: tuple[str | int, ...]) -> Any:
    match value:
        case dict():
            return {_plain_key(key, path): _plain(item, (*path, key)) for key, item in value.items()}
        case tuple():
            return [_plain(item, (*path, index)) for index, item in enumerate(value)]
        case Ambiguous():
            raise wrong(
                f"{value!r} without quotes is read differently by different readers of YAML",
                "quote it to have text; write true or false for a truth value",
                path,
            )
        case float() if not math.isfinite(value):
            raise wrong("a number must be finite here", "give it to the model as text or in a file", path)
        case int() if not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
            raise wrong("an integer must fit in 64 bits", "give it as text", path)
    return value


def _plain_key(key: str, path: tuple[str | int, ...]) -> str:
    if isinstance(key, Ambiguous):
        raise wrong(
            f"the key {str(key)!r} would reach the model as text",
            "quote it to have text; for other keys name a file of your own",
            (*path, key),
            on_key=True,
        )
    return key
