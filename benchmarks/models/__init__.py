"""Architectures of transformers and plain PyTorch through the gate; see ../models.py."""

from __future__ import annotations

import sys
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[2] / "tests"
"""Where the plain networks and the readers of ONNX's cases are; on the path for all of this package."""

if str(SUPPORT) not in sys.path:
    sys.path.append(str(SUPPORT))
