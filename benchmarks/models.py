"""Real architectures through both exporters and the gate; ONNX's own cases against their saved outputs.

    python benchmarks/models.py [--models ...] [--exporters ...] [--jobs 2] [--write]
    python benchmarks/models.py --backend-cases [--write]

Ends with 1 when an architecture that exports is not green. See README.md here, and docs/models.md, which
`--write` updates.
"""

from __future__ import annotations

import sys

# The package beside this file, which Python prefers to the file: imports look into this folder first.
from models.main import main

if __name__ == "__main__":
    sys.exit(main())
