"""A folder for each failed component that reproduces its worst case with nothing but NumPy and ONNX Runtime.

Inputs and what both sides gave are copied as `.npy`, beside a script that runs the ONNX file on them again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from parity.judging.loops import loops_of, step_to_look_into
from parity.records.jobs import PIPELINE
from parity.records.outcomes import Ran, SessionOpened
from parity.records.plan import SuitePlan
from parity.records.results import CaseResult, OutputResult, Repro
from parity.records.runs import ComparisonRun, SetRun
from parity.records.tensors import StageCall, TensorRecord, ValueInfo

FOLDER = "repro"  # in the folder of the reports
SCRIPT = "repro.py"
_NAME_LIMIT = 100  # characters of a folder's name
_MARK = '"""Written by parity.'  # how a script of ours begins
# What NumPy alone can load and ONNX Runtime's `run` takes and gives.
_PLAIN = frozenset(
    ["float16", "float32", "float64", "bool", "string"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def save_repros(
    plan: SuitePlan, run: ComparisonRun, cases: list[CaseResult], report_dir: Path
) -> list[CaseResult]:
    """The cases in their order; the worst failed one of each component says where it was saved, or why not.

    Args:
        plan: has the components, and the size beyond which nothing is saved.
        run: what the cases were judged by; its tensors must still be there.
        cases: of this run.
        report_dir: where the reports go.
    """
    due = _worst_of_each_component(cases)
    sets = {set_run.id: set_run for set_run in run.sets}
    done = {case.id: _save(plan, run, sets[case.input_set], case, report_dir) for case in due}
    return [replace(case, repro=done.get(case.id)) for case in cases]


def clear_repros(report_dir: Path) -> None:
    """Removes what an earlier run has saved there, and nothing else that may lie in a folder of that name."""
    for script in (report_dir / FOLDER).glob(f"*/{SCRIPT}"):
        with suppress(OSError):  # whoever can't write there hears of it when the reports are written
            if not script.parent.is_symlink() and script.read_text("utf-8", "replace").startswith(_MARK):
                shutil.rmtree(script.parent)


def _worst_of_each_component(cases: Iterable[CaseResult]) -> list[CaseResult]:
    """By the greatest factor beyond a tolerance; the first where several are alike."""
    worst: dict[str, CaseResult] = {}
    for case in cases:
        component = case.subject.partition("#")[0]
        if case.status != "failed" or case.subject == PIPELINE:
            continue
        if component not in worst or _factor(case) > _factor(worst[component]):
            worst[component] = case
    return list(worst.values())


def _factor(case: CaseResult) -> float:
    factors = (o.factor for o in case.outputs if o.status == "failed")
    return max(float("inf") if factor is None else factor for factor in factors)


def _save(plan: SuitePlan, run: ComparisonRun, set_run: SetRun, case: CaseResult, report_dir: Path) -> Repro:
    """Writes the folder of one case; a verdict must not be lost because that fails."""
    try:
        return _written(plan, run, set_run, case, report_dir)
    except OSError as error:
        shutil.rmtree(report_dir / FOLDER / _folder_name(case.id), ignore_errors=True)
        return Repro(note=f"not saved: {error.strerror or error}")


def _written(
    plan: SuitePlan, run: ComparisonRun, set_run: SetRun, case: CaseResult, report_dir: Path
) -> Repro:
    assert isinstance(set_run.reference, Ran)
    assert isinstance(set_run.candidate, Ran)
    ours, which = _call(plan, set_run.reference, case)
    theirs = next(
        call
        for call in set_run.candidate.calls
        if (call.component, call.index) == (ours.component, ours.index)
    )
    size = sum(Path(r.file).stat().st_size for r in (*ours.inputs, *ours.outputs, *theirs.outputs))
    if size > plan.limits.repro_bytes:
        return Repro(
            note=f"not saved: its tensors have {size / 2**20:,.0f} MiB, limits.repro is "
            f"{plan.limits.repro_bytes / 2**20:,.0f} MiB"
        )
    session = run.sessions[ours.component]
    assert isinstance(session, SessionOpened)
    name = _folder_name(case.id)
    folder = report_dir / FOLDER / name
    inputs = _copy(ours.inputs, folder, "inputs")
    reference = _copy(ours.outputs, folder, "reference")
    candidate = _copy(theirs.outputs, folder, "candidate")
    onnx = next(component.onnx for component in plan.components if component.name == ours.component)
    text = script(
        case=case,
        model=_model_path(Path(onnx), folder),
        session=session,
        feeds=_feeds(session.inputs, ours, inputs),
        outputs=_outputs(case.outputs, reference, candidate),
    )
    (folder / SCRIPT).write_text(text, "utf-8")
    dtypes = {record.dtype for record in (*ours.inputs, *ours.outputs, *theirs.outputs)}
    dtypes |= {value.dtype for value in session.inputs}
    odd = sorted(dtypes - _PLAIN - {"undefined"})
    note = (
        f"{SCRIPT} can't run: NumPy has no {', '.join(odd)}, of which the files hold the bits" if odd else ""
    )
    return Repro(folder=f"{FOLDER}/{name}", note="; ".join(filter(None, (which, note))))


def _call(plan: SuitePlan, reference: Ran, case: CaseResult) -> tuple[StageCall, str]:
    """The reference's call that is saved, and which it is: of a loop the step that is most at fault alone."""
    name = case.subject.partition("#")[0]
    component = next(component for component in plan.components if component.name == name)
    if component.loop is None:
        return next(call for call in reference.calls if call.subject == case.subject), ""
    steps = dict(loops_of(component, reference))[case.subject]
    call = step_to_look_into(case.outputs, steps)
    return call, f"step {steps.index(call) + 1} of {len(steps)} alone, on the reference's own state"


def script(
    *,
    case: CaseResult,
    model: str,
    session: SessionOpened,
    feeds: Mapping[str, tuple[str, str]],
    outputs: Mapping[str, tuple[str, str]],
) -> str:
    """The script; it needs NumPy and ONNX Runtime.

    Args:
        case: what it reproduces.
        model: Python expression of the ONNX file's path.
        session: how the gate opened it.
        feeds: input of the ONNX file -> its file, and NumPy's name of the dtype that it is cast to.
        outputs: output of the ONNX file -> the files of the reference's and of the candidate's tensor.
    """
    lines = [
        f"{_MARK} Runs the inputs of a failed case again: python {SCRIPT} [MODEL]",
        "",
        ascii(case.id)[1:-1].replace('"', "'"),
        f"{ascii(case.candidate)[1:-1]}, compared with {ascii(case.reference)[1:-1]}",
        '"""',
        "",
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import onnxruntime as ort",
        "",
        "HERE = Path(__file__).resolve().parent",
        f"MODEL = sys.argv[1] if len(sys.argv) > 1 else {model}",
        f"INPUTS = {_literal(feeds)}",
        f"OUTPUTS = {_literal(outputs)}  # of the reference, of the candidate",
        "",
        "",
        *_APART,
        "",
        "",
        *session.script,
        "session = ort.InferenceSession(str(MODEL), options, providers=providers)",
        "inputs = {name: np.load(HERE / file).astype(dtype) for name, (file, dtype) in INPUTS.items()}",
        "for (name, files), now in zip(OUTPUTS.items(), session.run(list(OUTPUTS), inputs)):",
        "    reference, candidate = (np.load(HERE / file) for file in files)",
        '    print(f"{name}: {apart(now, reference)} from the reference, "',
        '          f"{apart(now, candidate)} from the gate\'s own run")',
        "",
    ]
    return "\n".join(lines)


_APART = (
    "def apart(a, b):",
    '    """The greatest absolute difference of two arrays."""',
    "    if a.shape != b.shape:",
    '        return f"shape {a.shape} against {b.shape}"',
    '    if b.dtype.kind == "U":',
    '        return f"{np.count_nonzero(a != b)} of {b.size} strings"',
    "    wide = np.promote_types(b.dtype, np.float64)",
    '    return f"{np.max(np.abs(a.astype(wide) - b.astype(wide)), initial=0):.6g}"',
)


def _copy(records: Iterable[TensorRecord], folder: Path, role: str) -> dict[str, str]:
    """Name of each tensor -> its file, relative to the folder."""
    (folder / role).mkdir(parents=True, exist_ok=True)
    copied = {}
    for record in records:
        name = Path(record.file).name  # safe and unique, as `parity.artifacts` makes it
        shutil.copyfile(record.file, folder / role / name)
        copied[record.name] = f"{role}/{name}"
    return copied


def _feeds(
    declared: tuple[ValueInfo, ...], call: StageCall, files: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """By name where the names are the same, else in order: as the candidate's worker does.

    A side may cast its inputs to what the file declares.
    """
    given = {record.name: record for record in call.inputs}
    by_name = {value.name for value in declared} == given.keys()
    chosen = [given[value.name] for value in declared] if by_name else list(call.inputs)
    feeds = {}
    for value, record in zip(declared, chosen, strict=True):
        dtype = record.dtype if value.dtype == "undefined" else value.dtype
        feeds[value.name] = (files[record.name], "str" if dtype == "string" else dtype)
    return feeds


def _outputs(
    outputs: Iterable[OutputResult], reference: Mapping[str, str], candidate: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Those that both sides gave."""
    return {
        output.name: (reference[output.reference_path], candidate[output.name])
        for output in outputs
        if output.reference_path in reference and output.name in candidate
    }


def _model_path(model: Path, folder: Path) -> str:
    """Relative to the script; where the reports lie outside of the working folder, relative to that.

    A container's reports are moved, and then only the second still holds.
    """
    here = Path.cwd()
    if model.is_relative_to(here) and not folder.resolve().is_relative_to(here):
        return f"Path({str(model.relative_to(here))!a})  # relative to where parity ran"
    return f"HERE / {os.path.relpath(model, folder.resolve())!a}"


def _literal(values: Mapping[str, object]) -> str:
    """A dict as source in ASCII: names of tensors hold anything."""
    return "{" + ", ".join(f"{key!a}: {value!a}" for key, value in values.items()) + "}"


def _folder_name(case: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", case)
    digest = hashlib.sha256(case.encode()).hexdigest()[:8]  # two ids may become one name
    return f"{name[:_NAME_LIMIT].lstrip('.')}-{digest}"
