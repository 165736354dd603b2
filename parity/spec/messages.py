"""What is wrong with a specification, in its reader's words: pydantic's findings, each at its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from parity.errors import SpecError
from parity.spec import refusing, unsupported
from parity.spec.places import Path, Places
from parity.spec.schema import Spec
from parity.spec.yaml_nodes import Place

_KEY = "[key]"  # pydantic's mark for an error of a mapping's key

# pydantic's type of error -> what it expected.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


class Finding(NamedTuple):
    """What is wrong with the value at `path`; with `on_key`, with the key itself."""

    path: Path
    problem: str
    fix: str
    on_key: bool = False

    def place(self, places: Places) -> Place:
        """Line and column of it."""
        return places.key(self.path) if self.on_key else places.value(self.path)

    def error(self, places: Places) -> SpecError:
        """The same as an error that names the file."""
        return SpecError(self.problem, at=places.at(self.place(places)), fix=self.fix)


def findings(error: ValidationError) -> Iterator[Finding]:
    """Everything that pydantic found, one finding for each."""
    for details in error.errors(include_url=False):
        # Pydantic also calls a list too short when it is the items that are wrong.
        if details["type"] != "too_short" or not details["input"]:
            yield _finding(details)


def _finding(details: ErrorDetails) -> Finding:
    path: Path = tuple(part for part in details["loc"] if part != _KEY)
    on_key = _KEY in details["loc"]
    match details["type"]:
        case refusing.ERROR_TYPE:
            own = details["ctx"]
            return Finding((*path, *own["path"]), own["problem"], own["fix"], on_key or own["on_key"])
        case "extra_forbidden":
            return _unknown_key(path)
        case "missing":
            return Finding(path[:-1], f"{str(path[-1])!r} is missing", f"add {example(path)}", on_key=True)
        case "literal_error":
            return _no_choice(path, details["input"])
        case "string_pattern_mismatch":
            fix = "use letters, digits and '_', and for suites and components also '.' and '-', but not first"
            return Finding(path, f"{details['input']!r} can't be used as a name", fix, on_key)
    shown = example(path)
    return Finding(path, _problem(details), f"for example {shown}" if shown else "", on_key)


def _problem(details: ErrorDetails) -> str:
    """What is wrong with a value that is of the wrong type or out of bounds."""
    kind, value = details["type"], details["input"]
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {described(value)}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"it must be {words} {details['ctx'][key]:g}, not {value:g}"
    if kind in {"too_short", "string_too_short"}:
        return "it must not be empty"
    return details["msg"][:1].lower() + details["msg"][1:]


def _unknown_key(path: Path) -> Finding:
    key, owner = str(path[-1]), type_at(path[:-1])
    known = list(owner.model_fields) if owner else []
    later = unsupported.LATER_KEYS.get(owner.__name__, {}) if owner else {}
    if key in later:
        return Finding(path, f"{key!r} is not supported yet", later[key], on_key=True)
    fix = f"the keys here are {', '.join(known)}"
    if near := difflib.get_close_matches(key, known, 1):
        fix = f"did you mean {near[0]!r}?"
    elif home := _home_of(key):
        fix = f"it belongs under {home!r}"
    return Finding(path, f"unknown key {key!r}", fix, on_key=True)


def _no_choice(path: Path, value: object) -> Finding:
    field = _field_at(path)
    choices = [str(choice) for choice in _choices(field.annotation if field else None)]
    near = difflib.get_close_matches(str(value), choices, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"write {_either(choices)}"
    return Finding(path, f"expected {_either(choices)}, not {described(value)}", fix)


def described(value: object) -> str:
    """A value as a reader of YAML calls it."""
    match value:
        case None:
            words = "nothing"
        case bool():
            words = f"the truth value {str(value).lower()}"
        case int() | float():
            words = f"the number {value}"
        case str():
            words = f"the text {_shortened(str(value))!r}"
        case Mapping():
            words = "a mapping"
        case _:
            words = "a list"
    return words


def type_at(path: Path) -> type[BaseModel] | None:
    """The model whose keys are at `path`; None where there is none."""
    model: type[BaseModel] | None = Spec
    named = False  # the next part names an entry of a mapping or an item of a list, no field
    for part in path:
        if named:
            named = False
        elif model is not None and part in model.model_fields:
            model, named = _model_in(model.model_fields[str(part)].annotation)
        else:
            return None
    return None if named else model


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that an annotation is about, and whether it is that of entries of a mapping or list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return _model_in(arguments[1])[0], True
    if get_origin(annotation) is tuple:
        return _model_in(arguments[0])[0], True
    found = ((model, named) for model, named in map(_model_in, arguments) if model is not None)
    return next(found, (None, False))


def _field_at(path: Path) -> FieldInfo | None:
    """The field of which `path` is the value or a part."""
    for end in range(len(path), 0, -1):
        owner = type_at(path[: end - 1])
        if owner is not None and path[end - 1] in owner.model_fields:
            return owner.model_fields[str(path[end - 1])]
    return None


def example(path: Path) -> str:
    """How the field at `path` could look, as YAML on one line."""
    for end in range(len(path), 0, -1):
        owner = type_at(path[: end - 1])
        if owner is None or path[end - 1] not in owner.model_fields:
            continue
        examples = owner.model_fields[str(path[end - 1])].examples
        return f"`{path[end - 1]}: {flow(examples[0])}`" if examples else ""
    return f"`{path[-1]}: {{atol: 1.0e-4}}`" if path[:1] == ("tolerances",) else ""


def flow(value: object) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _home_of(key: str) -> str:
    """Where a key belongs that is known elsewhere; a few names are in several places: the outermost wins."""
    pending: list[tuple[str, type[BaseModel]]] = [("", Spec)]
    while pending:
        where, model = pending.pop(0)
        if where and key in model.model_fields:
            return where
        for name, field in model.model_fields.items():
            inner, named = _model_in(field.annotation)
            if inner is not None:
                pending.append((f"{where}.{name}".lstrip(".") + (".NAME" if named else ""), inner))
    return ""


def _choices(annotation: Any) -> Iterator[object]:
    for argument in get_args(annotation):
        if isinstance(argument, str | int):
            yield argument
        else:
            yield from _choices(argument)


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
