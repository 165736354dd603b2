"""The kinds of single values in a specification: each checks one value and says what it expected."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema

from parity.spec.plain_data import plain_data
from parity.spec.refusing import wrong
from parity.spec.scalars import Ambiguous

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_DEVICE = re.compile(r"cpu|cuda(:(0|[1-9][0-9]?))?")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|[KMGT]i?B)")
_SYMBOL = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_SIZE = 2**40


class SpecModel(BaseModel):
    """A mapping of the specification: nothing is converted, nothing unknown is let through."""

    # Validators of the parts are built with that of the whole: a bad file is to be answered at once.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def parse_device(text: str) -> str:
    """``cpu`` or ``cuda:N``; a bare ``cuda`` is ``cuda:0``, so that a case has one name.

    Raises:
        ValueError: it is neither.
    """
    if not _DEVICE.fullmatch(text):
        raise ValueError(text)
    return "cuda:0" if text == "cuda" else text


def _device(text: str) -> str:
    try:
        return parse_device(text)
    except ValueError as error:
        raise wrong(f"there is no device {text!r}", "write cpu, cuda or cuda:N, such as cuda:0") from error


def parse_target(text: str, path: tuple[str | int, ...] = ()) -> str:
    """``file.py:callable`` or ``package.module:callable``.

    Raises:
        PydanticCustomError: it is neither; `path` leads to it from the value that is being validated.
    """
    place, _, attribute = text.rpartition(":")
    named = (place.endswith(".py") and len(place) > 3) or _MODULE.fullmatch(place)
    if not (named and _MODULE.fullmatch(attribute)):
        fix = "write file.py:callable or package.module:callable"
        raise wrong(f"{text!r} names no Python callable", fix, path)
    return text


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if not found:
        raise wrong(f"{value!r} is no size", "write a number with its unit, such as 8GiB or 512MiB")
    base = 1024 if "i" in found[2] else 1000
    return round(float(found[1]) * base ** "BKMGT".index(found[2][0]))


def _axis(text: object) -> object:
    if isinstance(text, str) and re.fullmatch("[0-9]{1,2}", text):
        return int(text)
    raise wrong(f"{text!r} is no axis", "number the axes from 0: {x: {0: batch}}")


def _share(text: str) -> str:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise wrong(f"{text!r} is no quantile", "write a share above 0 and at most 1, such as 0.999")
    return text


def _option(value: object) -> object:
    """ONNX Runtime takes its options as text; it reads 1 and 0 as true and false everywhere."""
    if isinstance(value, Ambiguous):
        raise wrong(
            f"{value!r} without quotes may be text or a truth value", "write true or false, or quote it"
        )
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else value
    return str(value) if isinstance(value, int) else value


def _switch_or_folder(value: object) -> object:
    if isinstance(value, Ambiguous):
        raise wrong(
            f"{value!r} without quotes may be a folder or a truth value", "write true or false, or quote it"
        )
    if isinstance(value, bool) or (isinstance(value, str) and value):
        return value
    raise wrong(f"{value!r} is neither a switch nor a folder", "write true, false or the path of a folder")


def _config(value: object) -> object:
    if isinstance(value, str) and value:
        return str(value)
    if isinstance(value, dict):
        return plain_data(value)
    raise wrong("expected a file's path or a mapping", "for example `config: configs/pillar.yaml`")


def _version(value: object) -> object:
    if value is True or isinstance(value, float):  # both equal 1 to Python
        raise wrong("the version of the format is the number 1", "write `version: 1`")
    return value


def _extent(value: object) -> object:
    if isinstance(value, str) and _SYMBOL.fullmatch(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_SIZE:
        return value
    raise wrong(f"{value!r} is no size", "write a whole number, or the name of one of `dims`")


def _quantity(value: object) -> object:
    if isinstance(value, str) and _SYMBOL.fullmatch(value):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise wrong(f"expected a finite number, not {value}", "write a number")
        return float(value)
    raise wrong(f"{value!r} is no number", "write a number, or the name of one of `dims`")


def _one_or_more(value: object) -> object:
    return value if isinstance(value, tuple | dict) else (value,)


@dataclass(frozen=True)
class TextFor:
    """Lets plain text stand for a mapping that has only `key`; with `choices`, it is one of them."""

    key: str
    choices: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._mapping, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text: dict[str, Any] = {"type": "string", **({"enum": list(self.choices)} if self.choices else {})}
        return {"anyOf": [text, handler(schema)]}

    def _mapping(self, value: object) -> object:
        return {self.key: value} if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]
"""Safe as the name of a folder and as a part of a case's id."""

Symbol = Annotated[str, StringConstraints(pattern=f"^{_SYMBOL.pattern}$", max_length=40)]
"""The name of a dimension."""

Text = Annotated[str, StringConstraints(min_length=1)]
Target = Annotated[str, AfterValidator(parse_target)]
Device = Annotated[str, AfterValidator(_device)]
ByteSize = Annotated[int, Field(gt=0), BeforeValidator(_bytes, json_schema_input_type=int | str)]
Axis = Annotated[int, BeforeValidator(_axis, json_schema_input_type=str)]
Size = Annotated[int, Field(ge=0, le=_LARGEST_SIZE)]
Extent = Annotated[int | str, PlainValidator(_extent, json_schema_input_type=int | str)]
Quantity = Annotated[float | str, PlainValidator(_quantity, json_schema_input_type=float | str)]
Version = Annotated[Literal[1], BeforeValidator(_version)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[str, AfterValidator(_share)]
Option = Annotated[str, BeforeValidator(_option, json_schema_input_type=str | int | float | bool)]
FreeMapping = Annotated[dict[str, Any], AfterValidator(plain_data)]
Config = Annotated[str | dict[str, Any], PlainValidator(_config, json_schema_input_type=str | dict[str, Any])]
SwitchOrFolder = Annotated[bool | str, PlainValidator(_switch_or_folder, json_schema_input_type=bool | str)]
AnyTexts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more, json_schema_input_type=str | list[str])]
Texts = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_more, json_schema_input_type=str | list[str]),
]
Sizes = Annotated[
    tuple[Size, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_more, json_schema_input_type=int | list[int]),
]
