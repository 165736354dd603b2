"""What is compared with what: the two sides of a comparison, each a backend on a device.

The text of a side, ``torch@cpu``, is what every report calls it. `parity.comparisons` makes these.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from .jobs import ComponentJob, OnnxRuntimeOptions, Optimization, Variant
from .providers import own_provider, short_name
from .tensors import Record

_UNSAFE = re.compile(r"[^A-Za-z0-9._+@=,()~-]+")
_LONGEST = 160  # characters of a label: it names a folder

Role = Literal["reference", "candidate"]


class TorchSide(Record, tag="torch"):
    """The PyTorch modules of a suite on one device (``cpu``, ``cuda:0``)."""

    device: str
    variant: Variant | None = None
    name: str = ""  # the user's own, which tells two sides apart

    @property
    def text(self) -> str:
        """``torch@cuda:0``, ``torch+compile@cpu``."""
        variant = f"+{self.variant}" if self.variant else ""
        return f"torch{variant}{_bracketed(self.name)}@{self.device}"


class SavedSide(Record, tag="saved"):
    """Outputs on disk; `device` is where they are compared, since they know no other."""

    device: str

    @property
    def text(self) -> str:
        """The same whatever the device."""
        return "saved outputs"


class OnnxRuntimeSide(Record, tag="onnxruntime"):
    """ONNX files in ONNX Runtime on one device; `options` are all that hold for it."""

    device: str
    options: OnnxRuntimeOptions = OnnxRuntimeOptions()
    files: dict[str, str] = {}  # component -> absolute path of a file that stands for the suite's
    cast_inputs: bool = False  # floats are rounded to the dtype that a file declares
    name: str = ""  # what tells it from the plain side: ``model.int8.onnx, optimization=all``

    @property
    def text(self) -> str:
        """``onnxruntime@cuda:0``, ``onnxruntime+tensorrt@cuda:0``, ``onnxruntime(model.int8.onnx)@cpu``."""
        provider = f"+{short_name(self.options.provider)}" if self.options.provider else ""
        return f"onnxruntime{provider}{_bracketed(self.name)}@{self.device}"

    def components(self, of_suite: tuple[ComponentJob, ...]) -> tuple[ComponentJob, ...]:
        """The suite's components with this side's own files, which are never exported."""
        return tuple(self._component(one) for one in of_suite)

    def runs(self, of_suite: Mapping[str, str], level: Optimization | None) -> OnnxRuntimeSide:
        """What it comes to, whatever it is called and whether it says so: two that are equal run the same.

        `of_suite` has the suite's own files by component, `level` is that of its numerics.
        """
        files = {name: os.path.realpath(path) for name, path in {**of_suite, **self.files}.items()}
        options = replace(
            self.options,
            provider=self.options.provider or own_provider(self.device),
            optimization=self.options.optimization or level,
        )
        return replace(self, name="", files=files, options=options)

    def _component(self, one: ComponentJob) -> ComponentJob:
        if one.name in self.files:
            one = replace(one, onnx=self.files[one.name], export=None)
        return replace(one, cast_inputs=self.cast_inputs)


SideSpec = TorchSide | SavedSide | OnnxRuntimeSide


class Comparison(Record):
    """Two sides that a suite runs on the same inputs.

    `label` stands for it in the ids of cases, `key` is the key of the specification that asks for it.
    """

    label: str  # cpu, torch@cpu~onnxruntime@cuda-0
    reference: SideSpec
    candidate: OnnxRuntimeSide
    key: str = "devices"  # or comparisons.0

    @property
    def text(self) -> str:
        """``cpu`` for both sides on one of `devices`, else ``torch@cpu → onnxruntime@cuda:0``."""
        if self.key == "devices":
            return self.label
        return f"{self.reference.text} → {self.candidate.text}"

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return _safe(self.label)

    def key_of(self, side: Role) -> str:
        """The key of the specification that asks for a side."""
        return self.key if self.key == "devices" else f"{self.key}.{side}"


def on_device(device: str, options: OnnxRuntimeOptions, *, saved: bool = False) -> Comparison:
    """What `devices` asks for: both sides on one device, the reference `saved` or run in PyTorch."""
    return Comparison(
        label=device,
        reference=SavedSide(device=device) if saved else TorchSide(device=device),
        candidate=OnnxRuntimeSide(device=device, options=options),
    )


def paired(reference: SideSpec, candidate: OnnxRuntimeSide, key: str) -> Comparison:
    """What an item of `comparisons` asks for; its label says both sides, and can name a folder."""
    label = _safe(f"{reference.text}~{candidate.text}")
    if len(label) > _LONGEST:
        label = f"{label[:_LONGEST]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return Comparison(label=label, reference=reference, candidate=candidate, key=key)


def _bracketed(name: str) -> str:
    return f"({name})" if name else ""


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text)
