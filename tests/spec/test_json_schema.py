"""The JSON Schema says the same as the types that read the file, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.specs import SOUND

from parity.spec.json_schema import json_schema, schema_text
from parity.spec.messages import flow, type_at
from parity.spec.models import ModelSpec
from parity.spec.schema import Spec
from parity.spec.yaml_nodes import parse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def as_json(text: str) -> Any:
    return json.loads(json.dumps(parse(text, "f.yml").value))


def test_the_published_schema_is_up_to_date() -> None:
    published = (ROOT / "docs" / "parity.schema.json").read_text("utf-8")
    assert published == schema_text(), "run: python -m parity.spec.document"


def test_a_sound_specification_is_valid(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(as_json(SOUND))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples/centerpoint").glob("*.yml")), ids=lambda path: path.name
)
def test_the_examples_are_valid(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    validator.validate(as_json(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "tolerence: {}",
        "tolerances: {y: {atol: '1'}}",
        "tolerances: {y: {atol: -1}}",
        "tolerances: {y: {atol: }}",
        "numerics: strikt",
        "devices: []",
        "name: a/b",
        "limits: {timeout: 0}",
        "outputs: {y: 3}",
    ],
)
def test_a_wrong_one_is_not(validator: jsonschema.Draft202012Validator, line: str) -> None:
    assert not validator.is_valid(as_json(f"{SOUND}{line}\n"))


def test_every_key_has_a_description_and_an_example_that_is_valid() -> None:
    pending = [((), Spec)]
    count = 0
    while pending:
        path, model = pending.pop()
        for name, field in model.model_fields.items():
            count += 1
            assert field.description, f"{model.__name__}.{name}"
            assert field.examples, f"{model.__name__}.{name}"
            for example in field.examples:
                value = parse(flow({name: example}), "f.yml").value
                given = {"target": "model.py:build"} if model is ModelSpec else {}  # which its loader needs
                start = model.model_construct(**given)
                model.__pydantic_validator__.validate_assignment(start, name, value[name])
            below = (*path, name)
            inner = type_at(below) or type_at((*below, "name"))
            if inner is not None and inner is not model:
                pending.append((below if type_at(below) else (*below, "name"), inner))
    assert count > 60
