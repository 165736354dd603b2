"""CenterPoint on a GPU, with the frameworks' own numerics and with strict ones, and one planted fault.

    python benchmarks/gpu_results.py     on a machine with a GPU: writes docs/gpu-results.md
    python benchmarks/gpu_results.py --config small --devices cpu --document build/rehearsal.md

Every figure comes from the `results.json` of a real run of the gate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "centerpoint"
DOCUMENT = ROOT / "docs" / "gpu-results.md"
SPECS = {"full": "full.yml", "small": "parity.yml"}
FILES = {"voxel_encoder": "pts_voxel_encoder.onnx", "backbone_head": "pts_backbone_neck_head.onnx"}
# Of the team whose case this example is; see the head of the document.
MEASURED_BY_HAND = [
    ["before", "cuda:0", "2.374791", "", "220 ms", "260 ms"],
    ["before", "cpu", "0.050674", "", "2000 ms", "2400 ms"],
    ["after", "cuda:0", "0.056895", "0.000613", "", ""],
]
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", choices=SPECS, default="full", help="grid of the detector")
    parser.add_argument("--devices", default="cuda:0,cpu", help="as `parity run --devices` takes them")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where the tables go")
    asked = parser.parse_args()
    _call([sys.executable, str(EXAMPLE / "prepare.py"), "--config", f"{EXAMPLE}/configs/{asked.config}.yaml"])
    first = asked.devices.split(",")[0]
    with tempfile.TemporaryDirectory(prefix="gpu-results-") as temporary:
        directory = Path(temporary)
        runs = {
            numerics: _gate(_spec(asked.config, numerics, broken=False), asked.devices, directory / numerics)
            for numerics in ("default", "strict")
        }
        broken = _gate(_spec(asked.config, "strict", broken=True), first, directory / "broken")
    asked.document.write_text("\n".join(_document(asked.config, runs, broken)) + "\n", encoding="utf-8")
    print(f"wrote {asked.document}")


def _spec(config: str, numerics: str, *, broken: bool) -> Path:
    """The example's specification with other numerics, and with the file that has a fault or without."""
    spec = yaml.safe_load((EXAMPLE / SPECS[config]).read_text(encoding="utf-8"))
    name = f"gpu-{config}-{numerics}{'-broken' if broken else ''}"
    spec |= {"name": name, "numerics": numerics, "diagnose": "always"}
    spec["performance"] = {"runs": 20, "warmup": 3}
    for component, file in FILES.items():
        if broken:
            spec["components"][component]["onnx"] = f"build/{config}/broken/{file}"
    # Relative paths start at the specification's folder, so it has to lie beside the example's files.
    path = EXAMPLE / f".{name}.yml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return path


def _gate(spec: Path, devices: str, report: Path) -> Json:
    """What a run of the gate found; a difference is a finding, anything else ends here."""
    command = [
        sys.executable,
        "-m",
        "parity",
        "run",
        str(spec),
        "--devices",
        devices,
        "--report-dir",
        str(report),
    ]
    try:
        _call(command, accepted=(0, 1))
    finally:
        spec.unlink()
    found: Json = json.loads((report / "results.json").read_text(encoding="utf-8"))
    return found


def _call(command: list[str], accepted: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode not in accepted:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}")


def _document(config: str, runs: dict[str, Json], broken: Json) -> Iterator[str]:
    strict = runs["strict"]
    sides = {side["side"]: side for side in strict["suites"][0]["sides"]}
    versions = {**strict["environment"]["versions"]}
    for side in sides.values():
        versions |= side["versions"]
    devices = ", ".join(dict.fromkeys(side["device_name"] for side in sides.values()))
    yield "# CenterPoint on a GPU"
    yield ""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {devices}, grid `{config}`; "
        + ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))
        + "."
    )
    yield ""
    yield "Made by `python benchmarks/gpu_results.py`; every figure is from a `results.json`."
    yield ""
    yield "## What a team measured by hand, over days"
    yield ""
    headings = ["settings", "device", "max difference", "mean difference", "PyTorch", "ONNX Runtime"]
    yield from _table(headings, MEASURED_BY_HAND)
    yield "## The same from the gate"
    yield ""
    headings = ["numerics", "device", "worst output", "max difference", "mean difference", "noise floor"]
    headings += ["PyTorch", "ONNX Runtime", "memory PyTorch", "memory ONNX Runtime"]
    yield from _table(headings, [row for name, run in runs.items() for row in _figures(name, run)])
    yield "## Where the differences come from"
    yield ""
    headings = [
        "numerics",
        "device",
        "output",
        "total",
        "reference rounding",
        "export",
        "runtime",
        "mostly",
        "why",
    ]
    yield from _table(headings, [row for name, run in runs.items() for row in _budgets(name, run)])
    yield "## A planted fault"
    yield ""
    yield "One epsilon of one batch norm in the file, `numerics: strict`:"
    yield ""
    yield from _fault(broken)


def _figures(numerics: str, run: Json) -> Iterator[list[str]]:
    """One row for each device: of the chain's worst output, over all input sets."""
    chains = [case for case in run["cases"] if case["subject"] == "pipeline"]
    for device in dict.fromkeys(case["device"] for case in chains):
        of_device = [case for case in chains if case["device"] == device]
        case, worst = max(
            ((case, output) for case in of_device for output in case["outputs"] if output["measurement"]),
            key=lambda found: float(found[1]["max_abs"]),
        )
        timed = [case for case in of_device if case["reference_performance"]["latency_ms"] is not None]
        reference = (timed or [case])[0]["reference_performance"]
        candidate = (timed or [case])[0]["candidate_performance"]
        floors = [
            budget["noise_floor"]
            for part in run["cases"]
            for output in part["outputs"]
            if part["device"] == device and output["name"] == worst["name"]
            if (budget := (output["diagnosis"] or {}).get("budget")) and budget["noise_floor"] is not None
        ]
        yield [
            numerics,
            device,
            worst["name"],
            f"{worst['max_abs']:.3g}",
            f"{worst['measurement']['mean_abs']:.3g}",
            f"{max(floors):.3g}" if floors else "unknown",
            _milliseconds(reference),
            _milliseconds(candidate),
            _memory(reference),
            _memory(candidate),
        ]


def _budgets(numerics: str, run: Json) -> Iterator[list[str]]:
    """One row for each device: the diagnosed output with the greatest difference."""
    found = [
        (case, output)
        for case in run["cases"]
        for output in case["outputs"]
        if output["diagnosis"] and output["diagnosis"]["budget"]["total"] is not None
    ]
    for device in dict.fromkeys(case["device"] for case, _ in found):
        case, output = max(
            ((case, output) for case, output in found if case["device"] == device),
            key=lambda pair: float(pair[1]["diagnosis"]["budget"]["total"]),
        )
        diagnosis = output["diagnosis"]
        budget = diagnosis["budget"]
        legs = ("total", "reference_rounding", "export_error", "runtime_error")
        yield [
            numerics,
            device,
            f"{case['subject']} / {output['name']}",
            *("unknown" if budget[leg] is None else f"{budget[leg]:.3g}" for leg in legs),
            diagnosis["dominant_leg"] or "no leg",
            "; ".join(_cause(cause) for cause in diagnosis["causes"]) or "-",
        ]


def _cause(cause: Json) -> str:
    share = "" if cause["share"] is None else f" ({cause['share']:.1%})"
    return f"{cause['kind']}{share}: {cause['message']}"


def _fault(broken: Json) -> Iterator[str]:
    outputs = [
        (case, output)
        for case in broken["cases"]
        for output in case["outputs"]
        if output["status"] == "failed"
    ]
    diagnosed = [(case, output) for case, output in outputs if output["diagnosis"]]
    if not diagnosed:
        yield "NOT FOUND: no failed output has a diagnosis."
        return
    case, output = max(diagnosed, key=lambda pair: float(pair[1]["factor"] or 0))
    diagnosis = output["diagnosis"]
    place = diagnosis["first_divergence"]
    rows = [
        ["output", f"{case['subject']} / {output['name']}, {output['factor']:.3g} x its tolerance"],
        ["mostly", diagnosis["dominant_leg"] or "no leg"],
        ["starts at", f"{place['module']} ({place['op_type']}, {place['source']})" if place else "not found"],
        *(["because", _cause(cause)] for cause in diagnosis["causes"]),
        *(["mend", cause["remedy"]] for cause in diagnosis["causes"][:1]),
    ]
    yield from _table(["", ""], rows)


def _table(headings: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


def _milliseconds(performance: Json) -> str:
    latency = performance["latency_ms"]
    return "not timed" if latency is None else f"{latency:.3g} ms"


def _memory(performance: Json) -> str:
    device, resident = performance["peak_device_bytes"], performance["peak_rss_bytes"]
    if device is not None:
        return f"{device / 2**20:,.0f} MiB on the device"
    return "unknown" if resident is None else f"{resident / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
