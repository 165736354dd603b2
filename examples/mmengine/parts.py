"""What is exported as the second ONNX file: everything after the scatter."""

from __future__ import annotations

from torch import Tensor, nn


class BackboneHead(nn.Module):
    """`target: parts.py:BackboneHead` is given the detector that the config built, with its weights."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, canvas: Tensor) -> dict[str, Tensor]:
        return self.head(self.backbone(canvas))
