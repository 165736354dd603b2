"""argv -> one command -> exit status."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from parity import __version__
from parity.errors import ExitCode, ParityError

if TYPE_CHECKING:
    from parity.commands.publish import Options as PublishOptions
    from parity.commands.run import Options

_EXIT_CODES = """\
exit status:
  0  every output of every case is within tolerance
  1  at least one output is not, or a limit is exceeded
  2  the specification or the arguments are wrong
  3  it could not be judged: a model would not load, a device is absent, a process crashed or ran out of time
  4  a defect of the tool itself
"""


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _end)  # so that workers and temporary files go as well
    try:
        return int(_dispatch(arguments))
    except ParityError as error:
        from parity.commands.rendering import print_error

        print_error(error)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("parity: interrupted", file=sys.stderr)  # noqa: T201
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001 - the last resort: exit status 4 says that it is our fault
        traceback.print_exc()
        print("parity: this is a defect of parity itself; please report it", file=sys.stderr)  # noqa: T201
        return int(ExitCode.TOOL_DEFECT)


def _dispatch(arguments: argparse.Namespace) -> ExitCode:  # noqa: PLR0911 - one for each command
    """Imports no more than the one command needs: `check` answers at once."""
    match arguments.command:
        case "run":
            from parity.commands import run

            return run.run(arguments.specs, _options(arguments), diagnose=arguments.diagnose)
        case "diagnose":
            from parity.commands import diagnose

            return diagnose.run(arguments.specs, _options(arguments))
        case "check":
            from parity.commands import check

            return check.run(arguments.specs)
        case "report":
            from parity.commands import report

            return report.run(arguments.results, arguments.report_dir)
        case "doctor":
            from parity.commands import doctor

            return doctor.run(arguments.devices)
        case "publish":
            from parity.commands import publish

            return publish.run(arguments.results, _publish_options(arguments))
        case _:
            from parity.commands import schema

            return schema.run()


def _options(arguments: argparse.Namespace) -> Options:
    """Of `run` and `diagnose`."""
    from parity.commands.check import BaselineOptions
    from parity.commands.run import Options

    return Options(
        devices=arguments.devices,
        report_dir=arguments.report_dir,
        select=arguments.case,
        keep=arguments.keep,
        export_dir=arguments.export_dir,
        baseline=BaselineOptions(
            file=arguments.baseline, fail=arguments.fail_on_growth, write=arguments.write_baseline
        ),
    )


def _publish_options(arguments: argparse.Namespace) -> PublishOptions:
    from parity.commands.publish import Options

    return Options(
        comment=arguments.comment,
        key=arguments.comment_key,
        matrix=arguments.matrix,
        exit_status=arguments.exit_status,
        pull_request=arguments.pull_request,
        shown_as=arguments.shown_as,
        summary=arguments.summary,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parity",
        description="Tells whether an ONNX model still computes what the PyTorch model computes.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"parity {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run both sides and judge them: the gate")
    _add_run_options(run)
    run.add_argument(
        "--diagnose", choices=("on-failure", "always", "never"), help="instead of the specification's"
    )

    diagnose = commands.add_parser(
        "diagnose", help="the same, and say where every difference comes from, also within tolerance"
    )
    _add_run_options(diagnose)

    check = commands.add_parser("check", help="validate specifications without running a model")
    check.add_argument("specs", nargs="+", metavar="SPEC", help="specification files")

    report = commands.add_parser("report", help="make every report again from saved results")
    report.add_argument("results", metavar="RESULT", help="a results.json")
    _add_report_dir(report)

    publish = commands.add_parser(
        "publish", help="on GitHub: saved results as summary, annotations, outputs and comment"
    )
    _add_publish_options(publish)

    doctor = commands.add_parser(
        "doctor", help="what this machine has: driver, CUDA, providers that really load"
    )
    doctor.add_argument("--devices", type=_devices, metavar="LIST", help="that must be usable: cpu,cuda:0")

    commands.add_parser("schema", help="print the JSON Schema of the specification, for editors")
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("specs", nargs="+", metavar="SPEC", help="specification files")
    parser.add_argument(
        "--devices", type=_devices, metavar="LIST", help="instead of the specification's: cpu,cuda:0"
    )
    parser.add_argument(
        "--case", default="*", metavar="ID", help="only the case of this id, or those that a glob matches"
    )
    _add_report_dir(parser)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep all tensors and the workers' logs there"
    )
    parser.add_argument(
        "--export-dir",
        type=Path,
        metavar="DIR",
        help="export ONNX files there, not to the specification's paths",
    )
    baseline = parser.add_mutually_exclusive_group()
    baseline.add_argument(
        "--baseline",
        default="",
        metavar="FILE",
        help="hold errors against this one, not the specification's",
    )
    baseline.add_argument(
        "--write-baseline", type=Path, metavar="FILE", help="when all passed, write the errors as a baseline"
    )
    parser.add_argument(
        "--fail-on-growth", action="store_true", help="what has grown since the baseline fails"
    )


def _add_publish_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", metavar="RESULT", help="the results.json of the gate; it need not be there"
    )
    parser.add_argument(
        "--comment",
        choices=("always", "changes", "failures", "off"),
        default="always",
        help="when to write the pull request's comment; default: %(default)s",
    )
    parser.add_argument("--comment-key", default="", metavar="KEY", help="tells comments of a job apart")
    parser.add_argument("--matrix", default="", metavar="JSON", help="the job's values of its matrix")
    parser.add_argument("--exit-status", type=int, metavar="N", help="that the gate ended with")
    parser.add_argument("--pull-request", type=int, metavar="N", help="where the event names none")
    parser.add_argument("--shown-as", type=Path, metavar="DIR", help="the reports' folder for later steps")
    parser.add_argument("--no-summary", dest="summary", action="store_false", help="write no step summary")


def _add_report_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-dir", type=Path, default=Path("parity-report"), metavar="DIR", help="default: %(default)s"
    )


def _devices(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
