"""The part of the schema about what is compared with what."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from parity.records.jobs import MODEL, Optimization, Variant
from parity.records.providers import PROVIDERS, SUFFIX
from parity.spec.fields import Device, Name, Option, SpecModel, Text, TextFor
from parity.spec.refusing import wrong

_SIDE = re.compile(r"(?P<backend>[^+@]*)(?:\+(?P<how>[^@]*))?(?:@(?P<device>.*))?", re.DOTALL)
_FULL_NAME = re.compile(rf"[A-Za-z]\w*{SUFFIX}", re.ASCII)
_FORM = "torch[+variant]@device or onnxruntime[+provider]@device"


def _provider(text: str) -> str:
    """The provider's full name."""
    if text in PROVIDERS:
        return PROVIDERS[text]
    if _FULL_NAME.fullmatch(text):
        return text
    near = difflib.get_close_matches(text, PROVIDERS, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"write {', '.join(PROVIDERS)}, or its full name"
    raise wrong(f"there is no execution provider {text!r}", fix)


@dataclass(frozen=True)
class _SideText:
    """Lets text such as ``torch@cpu`` stand for the mapping of a side."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_mapping, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^(torch|onnxruntime)(\+[A-Za-z0-9_-]+)?@(cpu|cuda(:[0-9]+)?)$"}
        return {"anyOf": [text, handler(schema)]}


def _mapping(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIDE.fullmatch(value)
    assert found is not None
    backend, how, device = found["backend"], found["how"], found["device"]
    if not backend:
        raise wrong(f"{value!r} names no backend", f"write {_FORM}")
    if not device:
        known = backend if backend in ("torch", "onnxruntime") else "torch"
        raise wrong(f"{value!r} names no device", f"write {known}@cpu or {known}@cuda:0")
    side = {"backend": backend, "device": device}
    if how is not None:
        side["variant" if backend == "torch" else "provider"] = how
    return side


class SideSpec(SpecModel):
    """One side of a comparison, where text can't hold all of it."""

    backend: Literal["torch", "onnxruntime"] = Field(description="What runs it.", examples=["onnxruntime"])
    device: Device = Field(description="cpu, cuda or cuda:N.", examples=["cpu"])
    name: Name | None = Field(
        None,
        description="Tells this side from others in reports and ids. Its files and options otherwise.",
        examples=["int8"],
    )
    variant: Variant | None = Field(
        None,
        description="Of torch: through torch.compile, or under torch.autocast of this dtype.",
        examples=["compile"],
    )
    provider: Annotated[Text, AfterValidator(_provider)] | None = Field(
        None,
        description="Of onnxruntime: the execution provider, by its short or full name. The device's own "
        "otherwise.",
        examples=["tensorrt"],
    )
    onnx: Annotated[dict[Name, Text], Field(min_length=1), TextFor(MODEL)] | None = Field(
        None,
        description="Of onnxruntime: another ONNX file than the suite's; with `components`, a mapping of "
        "some of them to files.",
        examples=["build/model.int8.onnx"],
    )
    cast_inputs: bool = Field(
        False,
        description="Of onnxruntime: float inputs are rounded to the float dtype that the file declares, "
        "such as that of a file in float16.",
        examples=[True],
    )
    optimization: Optimization | None = Field(
        None, description="Of onnxruntime: graph optimization level of this side.", examples=["all"]
    )
    provider_options: dict[Text, Option] = Field(
        default_factory=dict,
        description="Of onnxruntime: options of this side's provider.",
        examples=[{"trt_fp16_enable": "1"}],
    )
    session_config: dict[Text, Option] = Field(
        default_factory=dict,
        description="Of onnxruntime: configuration entries of this side's sessions.",
        examples=[{"session.disable_prepacking": "1"}],
    )


Side = Annotated[SideSpec, _SideText()]


class ComparisonSpec(SpecModel):
    """Two sides that run on the same inputs."""

    reference: Side = Field(
        description=f"What is taken for right: {_FORM}, or a mapping.", examples=["torch@cpu"]
    )
    candidate: Side = Field(
        description="What is held against it: onnxruntime[+provider]@device, or a mapping.",
        examples=["onnxruntime@cpu"],
    )


ONNXRUNTIME_KEYS = ("provider", "onnx", "cast_inputs", "optimization", "provider_options", "session_config")
"""Keys of a side that have no meaning with torch."""
