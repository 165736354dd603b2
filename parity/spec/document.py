"""Writes docs/specification.md and docs/parity.schema.json anew: ``python -m parity.spec.document``.

The prose of docs/specification.md is written by hand, in that file. Only what stands between
``<!-- begin NAME -->`` and ``<!-- end -->`` is made here, from the types of the schema.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from parity.errors import SpecError
from parity.spec import unsupported
from parity.spec.comparisons import ComparisonSpec, SideSpec
from parity.spec.images import ImagesSpec
from parity.spec.inputs import InputsSpec, LengthsSpec, PaddingSpec, TensorSpec
from parity.spec.json_schema import FILE_NAME, json_schema, schema_text
from parity.spec.messages import flow
from parity.spec.models import ComponentSpec, ExportSpec, LoopSpec, ModelSpec, OnnxSpec
from parity.spec.numerics import PRESETS
from parity.spec.schema import Spec
from parity.spec.settings import BaselineSpec, LimitsSpec, NumericsSpec, OnnxRuntimeSpec, PerformanceSpec
from parity.spec.tolerances import ToleranceSpec

# Mapping of the schema -> the heading that explains it.
_SECTIONS: dict[type[BaseModel], str] = {
    Spec: "top-level-keys",
    ModelSpec: "model",
    OnnxSpec: "onnx",
    ExportSpec: "export",
    ComponentSpec: "components-and-pipeline",
    LoopSpec: "loop",
    InputsSpec: "inputs",
    ImagesSpec: "images",
    ComparisonSpec: "comparisons",
    SideSpec: "sides",
    TensorSpec: "generated-tensors",
    LengthsSpec: "masks-and-what-follows-them",
    PaddingSpec: "masks-and-what-follows-them",
    NumericsSpec: "numerics",
    ToleranceSpec: "tolerances",
    OnnxRuntimeSpec: "onnxruntime",
    LimitsSpec: "limits",
    PerformanceSpec: "performance",
    BaselineSpec: "baseline",
}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}
_BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def document(text: str) -> str:
    """The text of docs/specification.md with every generated part made anew.

    Raises:
        SpecError: a part has an unknown name, or a mapping of the schema has no table.
    """
    parts = _parts()
    names = [found[2] for found in _BLOCK.finditer(text)]
    if sorted(names) != sorted(parts):
        odd = ", ".join(sorted(set(names) ^ set(parts))) or "a part is there twice"
        raise SpecError(f"the generated parts do not match the schema: {odd}", at="docs/specification.md")
    return _BLOCK.sub(lambda found: f"{found[1]}{parts[found[2]]()}{found[3]}", text)


def main(folder: str = "docs") -> None:
    """Writes both files in `folder`."""
    page = Path(folder) / "specification.md"
    page.write_text(document(page.read_text("utf-8")), "utf-8")
    (Path(folder) / FILE_NAME).write_text(schema_text(), "utf-8")


def _parts() -> dict[str, Callable[[], str]]:
    tables = {model.__name__: lambda model=model: _table(model) for model in _SECTIONS}
    return {**tables, "NumericsSpec": _numerics, "Later": _later}


def _table(model: type[BaseModel]) -> str:
    """One row for each key: its type, what it is when left out, what it means."""
    schema = json_schema()
    properties = (schema if model is Spec else schema["$defs"][model.__name__])["properties"]
    rows = [
        f"| `{name}` | {_type(properties[name])} | {_default(field)} | {_cell(field.description)} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _type(schema: dict[str, Any]) -> str:
    """A type of the JSON Schema as a reader of YAML would call it."""
    match schema:
        case {"anyOf": list(choices)}:
            text = " or ".join(map(_type, choices))
        case {"$ref": str(reference)}:
            text = f"[mapping](#{_section(reference.rpartition('/')[2])})"
        case {"const": value}:
            text = f"`{value}`"
        case {"enum": list(choices)}:
            text = ", ".join(f"`{choice}`" for choice in choices)
        case {"type": "array", "items": dict(items)}:
            text = f"list of {_type(items)}"
        case {"patternProperties": dict(values)}:
            text = f"mapping to {_type(next(iter(values.values())))}"
        case {"type": "object", "additionalProperties": dict(values)}:
            text = f"mapping to {_type(values)}"
        case _:
            text = _TYPES[schema["type"]]
    return text


def _section(model: str) -> str:
    return next(section for known, section in _SECTIONS.items() if known.__name__ == model)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):  # each of its keys has a default of its own
        return "`strict`" if isinstance(value, NumericsSpec) else ""
    if isinstance(value, dict):
        value = {key: item.model_dump(exclude_defaults=True) for key, item in value.items()}
    return f"`{flow(list(value) if isinstance(value, tuple) else value)}`" if value not in (None, {}) else ""


def _numerics() -> str:
    """Every setting with its value in each preset; a dash leaves the framework alone."""
    strict, default = (msgspec.structs.asdict(PRESETS[name]) for name in ("strict", "default"))
    properties = json_schema()["$defs"]["NumericsSpec"]["properties"]
    rows = [
        f"| `{name}` | {_type(properties[name])} | {_setting(strict, name)} | {_setting(default, name)} "
        f"| {_cell(field.description)} |"
        for name, field in NumericsSpec.model_fields.items()
    ]
    head = ["| key | type | `strict` | `default` | meaning |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _setting(preset: dict[str, object], name: str) -> str:
    value = preset.get(name)
    return "-" if value is None else f"`{flow(value)}`"


def _later() -> str:
    """Keys that are refused by name."""
    rows = [
        f"| `{key}` | [{_section(owner)}](#{_section(owner)}) | {_cell(meanwhile)} |"
        for owner, keys in unsupported.LATER_KEYS.items()
        for key, meanwhile in keys.items()
    ]
    return "\n".join(["| key | of | meanwhile |", "| --- | --- | --- |", *rows, ""])


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")  # a bar would end the cell, also in code


if __name__ == "__main__":
    main(*sys.argv[1:])
