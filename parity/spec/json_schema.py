"""The JSON Schema of the specification, for editors and for docs/specification.md."""

from __future__ import annotations

import json
from typing import Any

from parity.spec.schema import Spec

FILE_NAME = "parity.schema.json"


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a specification file."""
    made = _tidied(Spec.model_json_schema())
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": FILE_NAME,
        "title": "Specification of onnx-parity-action",
    }
    return {**head, **{key: value for key, value in made.items() if key != "title"}}


def schema_text() -> str:
    """`json_schema` as text, as `parity schema` prints it and docs/parity.schema.json holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _tidied(part: Any) -> Any:
    """Without what pydantic adds for Python's sake: nulls, which no file may have, and titles of fields."""
    if isinstance(part, list):
        return [_tidied(item) for item in part]
    if not isinstance(part, dict):
        return part
    tidy = {key: _tidied(value) for key, value in part.items()}
    if isinstance(tidy.get("properties"), dict):
        for field in tidy["properties"].values():
            field.pop("title", None)
    if "anyOf" in tidy:
        choices = [choice for choice in tidy.pop("anyOf") if choice != {"type": "null"}]
        tidy = {**choices[0], **tidy} if len(choices) == 1 else {"anyOf": choices, **tidy}
    if tidy.get("default", ...) is None:
        del tidy["default"]
    if "patternProperties" in tidy:  # the pattern of a mapping's keys holds for all of them
        tidy["additionalProperties"] = False
    return tidy
