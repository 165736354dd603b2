"""The command line: plans, runs, judges, shows."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .cases import EXPORTERS, Outcome, plan


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 when a bar is missed."""
    arguments = _parser().parse_args(argv)
    arguments.architectures = arguments.architectures or list(_unseen() if arguments.unseen else _subjects())
    if arguments.worker:
        from .trials import serve

        serve(sys.stdin.buffer)
        return 0
    if arguments.measure:
        from .cost import measure

        measure(*arguments.measure)
        return 0
    console = Console(width=150 if not sys.stdout.isatty() else None)
    if arguments.cost:
        from .cost import show_costs

        return show_costs(console, write=arguments.write)
    return _benchmark(arguments, console)


def _benchmark(arguments: argparse.Namespace, console: Console) -> int:
    from .scoring import judge
    from .tables import show, write

    started = time.perf_counter()
    outcomes = _outcomes(arguments, console)
    verdict = judge(outcomes)
    show(console, outcomes, verdict)
    console.print(f"{len(outcomes)} cases in {time.perf_counter() - started:.0f} s")
    if arguments.write:
        write(outcomes, verdict, "unseen" if arguments.unseen else "results")
    if arguments.peers:
        from .peers import show_peers

        show_peers(console, arguments.peer_python, arguments.architectures, write=arguments.write)
    return 1 if verdict.missed else 0


def _outcomes(arguments: argparse.Namespace, console: Console) -> list[Outcome]:
    """Those of an earlier run that is resumed, and all that was left to do."""
    from .running import run_all

    subjects = {name: planted for name, planted in _known().items() if name in arguments.architectures}
    planned = plan(subjects, tuple(arguments.exporters), tuple(arguments.faults), arguments.seeds)
    wanted = {case.id for cases in planned.values() for case in cases}
    outcomes = [one for one in _read(arguments.resume) if one.case.id in wanted]
    known = {one.case.id for one in outcomes}
    due = {
        combination: [case for case in cases if case.id not in known]
        for combination, cases in planned.items()
    }
    path = arguments.resume or Path(tempfile.gettempdir()) / f"localization-{os.getpid()}.jsonl"
    console.print(f"to go on with after an interruption: --resume {path}", highlight=False)
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with path.open("ab") as file, Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(wanted), completed=len(known))
        last = {"printed": time.monotonic()}

        def report(outcome: Outcome) -> None:
            outcomes.append(outcome)
            file.write(msgspec.json.encode(outcome) + b"\n")
            file.flush()
            bar.update(task, advance=1, description=outcome.case.id[:44])
            if not console.is_terminal and time.monotonic() - last["printed"] > 20:
                last["printed"] = time.monotonic()
                console.print(f"{len(outcomes)} of {len(wanted)}: {outcome.case.id}")

        run_all(due, report, jobs=arguments.jobs, timeout_s=arguments.timeout)
    return outcomes


def _read(path: Path | None) -> list[Outcome]:
    """An earlier run's outcomes; the last line may be half of one."""
    if path is None or not path.exists():
        return []
    outcomes = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            outcome = msgspec.json.decode(line, type=Outcome)
            outcomes[outcome.case.id] = outcome
    return list(outcomes.values())


def _subjects() -> dict[str, bool]:
    from .subjects import SUBJECTS

    return SUBJECTS


def _unseen() -> dict[str, bool]:
    from .unseen import UNSEEN

    return dict.fromkeys(UNSEEN, True)


def _known() -> dict[str, bool]:
    return _subjects() | _unseen()


def _parser() -> argparse.ArgumentParser:
    from parity.diagnosis.faults import FAULTS

    parser = argparse.ArgumentParser(
        prog="localization.py",
        description="Planted faults and sound files through the gate's own diagnosis. See README.md.",
    )
    parser.add_argument("--architectures", nargs="+", choices=list(_known()), metavar="NAME")
    parser.add_argument(
        "--unseen", action="store_true", help="networks of transformers, on which nothing was built, instead"
    )
    parser.add_argument("--exporters", nargs="+", choices=EXPORTERS, default=list(EXPORTERS))
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, help="sites of each fault, and further inputs")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one case")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="goes on with FILE, a JSON line a case")
    parser.add_argument("--write", action="store_true", help="brings docs/localization.md up to date")
    parser.add_argument(
        "--cost", action="store_true", help="measures time and memory of large networks alone"
    )
    parser.add_argument("--peers", action="store_true", help="a sample of the files by other tools as well")
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable), metavar="PATH")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    return parser
