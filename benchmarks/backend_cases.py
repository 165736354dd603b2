"""ONNX's own `pytorch-converted` and `pytorch-operator` tests: the file against its saved outputs.

    python benchmarks/backend_cases.py [--write]

Each is a suite with `loader: saved-outputs`, ONNX's own tolerances and `numerics: strict`, run by the gate's
workers in this process. `--write` puts the table into docs/inputs.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
DOCUMENT = ROOT / "docs" / "inputs.md"
BEGIN, END = "<!-- tests: begin -->\n", "<!-- tests: end -->"


def main() -> None:
    from support.saved_cases import markdown, run_all

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    start = time.perf_counter()
    table = markdown(run_all())
    print(table)
    print(f"{time.perf_counter() - start:.0f} s")
    if write:
        head, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
