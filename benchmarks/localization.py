"""Planted faults and sound files through the gate's own diagnosis: who is found, who is blamed.

    python benchmarks/localization.py [--architectures ...] [--exporters ...] [--faults ...] [--seeds 1]
                                      [--jobs 2] [--resume FILE] [--peers] [--write]
    python benchmarks/localization.py --unseen
    python benchmarks/localization.py --cost

Ends with 1 when a bar is missed. See README.md here, and docs/localization.md, which `--write` updates.
"""

from __future__ import annotations

import sys

# The package beside this file, which Python prefers to the file: imports look into this folder first.
from localization.main import main

if __name__ == "__main__":
    sys.exit(main())
