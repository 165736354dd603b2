"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models import backend, tables
from models.running import Row, run
from models.zoo import architectures

EXPORTERS = ("torchscript", "dynamo")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for and prints its table; 1 when a bar is missed."""
    known = architectures()
    parser = argparse.ArgumentParser(description="Real architectures through both exporters and the gate.")
    parser.add_argument("--models", nargs="+", choices=known, default=list(known), metavar="NAME")
    parser.add_argument("--exporters", nargs="+", choices=EXPORTERS, default=list(EXPORTERS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for specifications, ONNX files and reports")
    parser.add_argument("--backend-cases", action="store_true", help="ONNX's own cases instead")
    parser.add_argument("--write", action="store_true", help=f"the table into {PAGE.name}")
    asked = parser.parse_args(arguments)
    if asked.backend_cases:
        results = backend.run_all()
        name, text, sound = "backend", backend.table(results), not any(each.wrong for each in results)
    else:
        rows = collect(asked.models, asked.exporters, asked.keep, asked.jobs)
        name, text, sound = "models", tables.table(rows), not any(row.verdict in tables.BAD for row in rows)
    print(text)
    if asked.write:
        PAGE.write_text(tables.put(PAGE.read_text("utf-8"), name, text), "utf-8")
    return 0 if sound else 1


def collect(names: Sequence[str], exporters: Sequence[str], keep: Path | None, jobs: int = 1) -> list[Row]:
    """A row for each architecture and exporter, in this order; `keep` has what was made for them."""
    known = architectures()
    folder = keep or Path(tempfile.mkdtemp(prefix="parity-models-"))

    def one(name: str) -> list[Row]:
        rows = run(known[name], exporters, folder / name)
        for row in rows:
            print(f"{row.architecture:<20} {row.exporter:<12} {row.verdict} {row.why[:300]}", flush=True)
        return rows

    try:
        with ThreadPoolExecutor(jobs) as pool:
            return [row for rows in pool.map(one, names) for row in rows]
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
