"""What is compared with what: the two sides of a comparison, each a backend on a device.

The text of a side, ``torch@cpu``, is what every report calls it. `parity.planning` makes these.
"""

from __future__ import annotations

import re

from .jobs import OnnxRuntimeOptions
from .tensors import Record

_UNSAFE = re.compile(r"[^A-Za-z0-9._+@=,()~-]+")


class TorchSide(Record, tag="torch"):
    """The PyTorch modules of a suite on one device (``cpu``, ``cuda:0``)."""

    device: str

    @property
    def text(self) -> str:
        """``torch@cuda:0``."""
        return f"torch@{self.device}"


class OnnxRuntimeSide(Record, tag="onnxruntime"):
    """The ONNX files of a suite in ONNX Runtime on one device; `options` are all that hold for it."""

    device: str
    options: OnnxRuntimeOptions = OnnxRuntimeOptions()

    @property
    def text(self) -> str:
        """``onnxruntime@cuda:0``."""
        return f"onnxruntime@{self.device}"


SideSpec = TorchSide | OnnxRuntimeSide


class Comparison(Record):
    """Two sides that a suite runs on the same inputs.

    `label` stands for it in the ids of cases, `key` is the key of the specification that asks for it.
    """

    label: str  # cpu, torch@cpu~onnxruntime@cuda-0
    reference: SideSpec
    candidate: SideSpec
    key: str = "devices"

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


def on_device(device: str, options: OnnxRuntimeOptions) -> Comparison:
    """What `devices` asks for: both sides on one device."""
    return Comparison(
        label=device,
        reference=TorchSide(device=device),
        candidate=OnnxRuntimeSide(device=device, options=options),
    )


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text)
