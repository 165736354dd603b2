"""Both sides' findings put together: what is measured by real workers, and how a cause is settled on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from support.diagnosis import answered
from support.reference import Project
from support.runtime import DefectiveBackend, rounds_operands

from parity.artifacts import write_tensor
from parity.conclusions import conclude, unanswered
from parity.records.diagnosis import Budget, Cause, CauseKind, Diagnosis, Divergence, Leg
from parity.records.outcomes import (
    Crashed,
    Diagnosed,
    DiagnosedRuntime,
    Failed,
    OutOfMemory,
    RuntimeFinding,
    TimedOut,
    Unanswered,
)
from parity.records.requests import DiagnoseRuntime
from parity.records.results import OutputResult
from parity.worker import numerics
from parity.worker.candidate_diagnosis import diagnose_call

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    def forward(self, x):
        return {"maps": self.body(x)}
def build(): return Net()
"""


def cause(kind: CauseKind, leg: Leg = "reference", share: float | None = None) -> Cause:
    return Cause(kind=kind, leg=leg, message=f"it is {kind}", remedy="mend it", share=share)


def budget(**legs: Any) -> Budget:
    """Rounding of 1e-6 in every leg, but for `legs`."""
    usual = {"total": 1e-6, "reference_rounding": 1e-6, "export_error": 0.0, "runtime_error": 1e-6}
    return Budget(**{**usual, "repeatability": 0.0, "noise_floor": 1e-6, **legs})


def concluded(diagnosis: Diagnosis, runtime: Any = None, **found: Any) -> Diagnosis:
    answer = Diagnosed(diagnoses={"y": diagnosis}, seconds=1.0, **found)
    return conclude(answer, runtime)["y"]


def finding(**fields: Any) -> DiagnosedRuntime:
    return DiagnosedRuntime(findings={"y": RuntimeFinding(**fields)}, seconds=1.0)


SOUND = Diagnosis(budget=budget(), dominant_leg=None)
OFF = Diagnosis(budget=budget(total=1.0, export_error=1.0), dominant_leg="export")
RUNTIME = Diagnosis(budget=budget(total=1.0, runtime_error=1.0), dominant_leg="runtime")
AT_NODE = Divergence(leg="runtime", node="/body/Conv", op_type="Conv")


@pytest.fixture(scope="module")
def tf32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Diagnosis]:
    """Of an ONNX Runtime whose products have operands of 10 bits: both workers' answers put together."""
    root = tmp_path_factory.mktemp("tf32")
    path = list(sys.path)
    with numerics.strict():
        project = Project(root, NET)
        request, _ = answered(project, x=X)
        backend = DefectiveBackend(rounds_operands("tf32"), tmp_path_factory.mktemp("opened"))
        file, feeds = str(root / "model.onnx"), {"x": X}
        (given,) = backend.open(file)(feeds).values()
        record = write_tensor(root / "defective", request.outputs[0], given)
        request = replace(request, candidate=(record,), repeated=(record,))
        answer = project.side.handle(request)
        assert isinstance(answer, Diagnosed)
        asked = DiagnoseRuntime(
            component=request.component,
            call=request.call,
            outputs=request.outputs,
            candidate=request.candidate,
        )
        yield conclude(answer, diagnose_call(asked, file, feeds, backend))["maps"]
    sys.path[:] = path


class TestEmulatedTf32:
    def test_the_cause_is_the_runtimes_with_share_and_remedy(self, tf32: Diagnosis) -> None:
        assert tf32.dominant_leg == "runtime"
        first = tf32.causes[0]
        assert (first.kind, first.leg) == ("tf32", "runtime")
        assert first.share is not None
        assert first.share >= 0.95
        assert "numerics: strict" in first.remedy
        assert "rounding" not in [each.kind for each in tf32.causes]

    def test_the_place_has_the_module_and_the_line_of_the_reference(self, tf32: Diagnosis) -> None:
        place = tf32.first_divergence
        assert place is not None
        assert (place.leg, place.op_type) == ("runtime", "Conv")
        assert (place.module, place.source) == ("body.0", "model.py:10")
        assert place.effective_bits is not None
        assert 10 < place.effective_bits < 14


class TestPlaces:
    def test_a_node_of_a_known_module_is_placed(self) -> None:
        found = concluded(
            RUNTIME, finding(first_divergence=AT_NODE), places={"/body/Conv": ("body", "model.py:3")}
        )

        assert found.first_divergence == replace(AT_NODE, module="body", source="model.py:3")

    def test_a_node_that_an_optimizer_made_is_not(self) -> None:
        found = concluded(RUNTIME, finding(first_divergence=AT_NODE), places={"other": ("body", "")})

        assert found.first_divergence == AT_NODE

    def test_the_place_of_another_dominant_leg_stays(self) -> None:
        elsewhere = Divergence(leg="export", node="norm", op_type="BatchNormalization")
        found = concluded(replace(OFF, first_divergence=elsewhere), finding(first_divergence=AT_NODE))

        assert found.first_divergence == elsewhere


class TestCauses:
    def test_rounding_is_left_out_beside_what_explains_the_difference(self) -> None:
        found = concluded(
            replace(RUNTIME, causes=(cause("rounding"),)), finding(causes=(cause("tf32", "runtime", 0.9),))
        )

        assert [each.kind for each in found.causes] == ["tf32"]

    def test_rounding_of_both_sides_stays(self) -> None:
        found = concluded(
            replace(SOUND, causes=(cause("rounding"),)), finding(causes=(cause("rounding", "runtime"),))
        )

        assert [each.leg for each in found.causes] == ["reference", "runtime"]

    def test_figures_within_the_noise_are_rounding(self) -> None:
        (only,) = concluded(SOUND).causes

        assert only.kind == "rounding"
        assert "1e-06" in only.message

    def test_what_does_not_differ_needs_no_cause(self) -> None:
        same = replace(SOUND, budget=budget(total=0.0, reference_rounding=0.0, runtime_error=0.0))

        assert concluded(same).causes == ()

    def test_a_fault_without_an_explanation_is_unknown_and_its_legs(self) -> None:
        (only,) = concluded(OFF).causes

        assert (only.kind, only.leg) == ("unknown", "export")

    @pytest.mark.parametrize(
        ("diagnosis", "kinds"),
        [
            (OFF, ["input", "unknown"]),
            (replace(OFF, causes=(cause("unknown", "export"),)), ["input", "unknown"]),
            (replace(OFF, causes=(cause("attribute", "export", 0.9),)), ["attribute"]),
            (SOUND, ["rounding"]),
        ],
    )
    def test_an_odd_input_counts_where_nothing_else_explains(
        self, diagnosis: Diagnosis, kinds: list[str]
    ) -> None:
        found = concluded(diagnosis, odd_inputs=(cause("input"),))

        assert [each.kind for each in found.causes] == kinds


NO_ANSWER = pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Crashed(signal="SIGSEGV", exit_status=None, stderr_tail=""), "SIGSEGV"),
        (TimedOut(limit_s=2.0, stderr_tail=""), "within 2 s"),
        (OutOfMemory(limit_bytes=1 << 30, reached_bytes=2 << 30, stderr_tail=""), "2.00 GiB"),
        (Failed(reason="tool", problem="KeyError in the gate's own code"), "KeyError"),
    ],
)


class TestUnanswered:
    @NO_ANSWER
    def test_a_reference_that_gives_no_answer_leaves_all_unknown(self, answer: Unanswered, said: str) -> None:
        output = OutputResult(name="y", status="failed", measurement=None)
        found = unanswered(output, answer)

        assert found.dominant_leg is None
        assert found.causes == ()
        assert found.budget.total is found.budget.export_error is found.budget.noise is None
        assert all(said in reason for reason in found.budget.unknown.values())

    @NO_ANSWER
    def test_a_runtime_that_gives_no_answer_is_a_note_where_it_was_asked(
        self, answer: Unanswered, said: str
    ) -> None:
        found = conclude(Diagnosed(diagnoses={"off": RUNTIME, "sound": OFF}, seconds=1.0), answer)

        assert any(said in note for note in found["off"].notes)
        assert found["off"].causes[0].kind == "unknown"
        assert found["off"].budget == RUNTIME.budget

    def test_outputs_that_were_not_asked_about_are_as_they_were(self) -> None:
        calm = Diagnosis(budget=budget(runtime_error=0.0), dominant_leg=None)
        answer = TimedOut(limit_s=2.0, stderr_tail="")

        assert conclude(Diagnosed(diagnoses={"y": calm}, seconds=1.0), answer)["y"].notes == ()
