"""What the benchmark knows of one architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """One model: its `model:` and `inputs.tensors` in the specification, and what kind of network it is."""

    name: str
    kind: str
    model: dict[str, Any]
    tensors: dict[str, Any]
    opset: dict[str, int] = field(default_factory=dict)  # exporter -> opset, where its default has not enough
