"""The float64 evaluator of ONNX graphs: correctness, time and memory.

    python benchmarks/evaluator64.py [--rounds 5] [--write]

Runs ONNX's own backend tests, then CenterPoint's backbone, neck and head on a 128 x 128 canvas: PyTorch in
float32, PyTorch in float64, and the exported graph in float64, in turns. Peak memory is that of a process of
its own for each. `--write` puts the tables of the tests and of the operators into docs/float64.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples" / "centerpoint")]
DOCUMENT = ROOT / "docs" / "float64.md"
CONTENDERS = ("PyTorch, float32", "PyTorch, float64", "graph, float64")


def prepare(contender: str, path: Path) -> Callable[[], Any]:
    """A call that computes all outputs once."""
    import torch
    from model import build_backbone_head

    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    canvas = torch.rand(1, 32, 128, 128)
    if contender == "graph, float64":
        from parity.diagnosis.onnx64 import Graph64

        graph = Graph64(path)
        return lambda: graph.run({"spatial_features": canvas})
    network = build_backbone_head(ROOT / "examples/centerpoint/configs/small.yaml").eval()
    if contender == "PyTorch, float64":
        network, canvas = network.double(), canvas.double()
    return lambda: network(canvas)


def export(path: Path) -> None:
    """The ONNX file, as the example exports it."""
    import torch
    from model import build_backbone_head

    torch.manual_seed(0)
    network = build_backbone_head(ROOT / "examples/centerpoint/configs/small.yaml").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"input_names": ["spatial_features"], "do_constant_folding": False}
        torch.onnx.export(
            network, (torch.rand(1, 32, 128, 128),), path, dynamo=False, opset_version=16, **names
        )


def peak_mib(contender: str, path: Path) -> dict[str, float]:
    """Resident memory of a process that computes twice: before, and at its greatest."""
    command = [sys.executable, __file__, "--memory", contender, str(path)]
    report: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return report


def report_memory(contender: str, path: Path) -> None:
    """What `peak_mib` reads."""
    import torch

    torch.ones(1000).double().sum()  # libraries are loaded before the first look
    before = _high_water_kib()
    call = prepare(contender, path)
    call()
    call()
    peak = _high_water_kib()
    print(json.dumps({"before": before / 1024, "peak": peak / 1024}))


def _high_water_kib() -> int:
    """Greatest resident memory; getrusage would count the parent's, from before it became this program."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def speed_and_memory(rounds: int) -> None:
    """Prints one line for each contender."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(path)
        calls = {contender: prepare(contender, path) for contender in CONTENDERS}
        times: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
        for number in range(rounds + 1):
            for contender, call in calls.items():
                start = time.perf_counter()
                call()
                if number:  # the first round warms up
                    times[contender].append(time.perf_counter() - start)
        print("\n| computing | median | of float32 | extra memory |\n| --- | --- | --- | --- |")
        for contender, seconds in times.items():
            ratios = [own / base for own, base in zip(seconds, times[CONTENDERS[0]], strict=True)]
            memory = peak_mib(contender, path)
            extra = memory["peak"] - memory["before"]
            middle = statistics.median(ratios)
            print(f"| {contender} | {statistics.median(seconds):.2f} s | {middle:.1f} x | {extra:.0f} MiB |")


def operator_table() -> str:
    """How each operator of ONNX's own set is evaluated."""
    from onnx import defs
    from onnx.reference.ops import load_op

    from parity.diagnosis.onnx64.operators import ANY, CONTROL, TENSOR

    own = {*TENSOR, *ANY, *CONTROL} - {"Bernoulli", "Multinomial"}
    groups: dict[str, list[str]] = {"here, with PyTorch": [], "by the function that defines it": []}
    groups |= {"by `onnx.reference`, in NumPy": [], "random: unknown": [], "not at all: unknown": []}
    here, function, reference, random, missing = groups.values()
    version = defs.onnx_opset_version()
    for name in sorted({schema.name for schema in defs.get_all_schemas_with_history() if not schema.domain}):
        schemas = [s for s in defs.get_all_schemas_with_history() if s.name == name and not s.domain]
        latest = max(schemas, key=lambda schema: schema.since_version)
        if name in own and not name.startswith("Random"):
            here.append(name)
        elif name in ANY:
            random.append(name)
        elif latest.has_function or latest.has_context_dependent_function:
            function.append(name)
        else:
            try:
                load_op("", name, version)
                reference.append(name)
            except (NotImplementedError, RuntimeError):
                missing.append(name)
    lines = ["| evaluated | operators |", "| --- | --- |"]
    lines += [f"| {how} | {len(names)}: {', '.join(names)} |" for how, names in groups.items() if names]
    return "\n".join(lines) + "\n"


def conformance(*, write: bool) -> None:
    """Prints the share of the backend tests that pass."""
    from support.backend_cases import markdown, run_all

    start = time.perf_counter()
    table = markdown(run_all())
    print(table)
    print(f"{time.perf_counter() - start:.0f} s")
    if write:
        text = DOCUMENT.read_text()
        for name, content in (("tests", table), ("operators", operator_table())):
            begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
            head, _, rest = text.partition(begin)
            text = head + begin + "\n" + content + "\n" + end + rest.partition(end)[2]
        DOCUMENT.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        report_memory(arguments.memory[0], Path(arguments.memory[1]))
        return
    conformance(write=arguments.write)
    speed_and_memory(arguments.rounds)


if __name__ == "__main__":
    main()
