"""The localization benchmark's own parts: a bar must be missed by whatever is unknown, wrong or lost."""

from __future__ import annotations

import sys
from math import inf, nan
from pathlib import Path

import msgspec
import pytest
import torch
from localization import subjects, unseen
from localization.cases import Case, Combination, Outcome, Planting, plan
from localization.running import run_all
from localization.scoring import alarms, effect, judge, score_fault, shares, worst_output
from localization.tables import markdown, percent

from parity.records.diagnosis import Budget, Cause, Diagnosis, Divergence
from parity.worker.flattening import flatten

HERE = Combination("net", "dynamo")
PLANTED = Planting(
    cause_kind="attribute",
    node="norm",
    op_type="BatchNormalization",
    message="epsilon",
    accepted=("norm",),
    near=("norm", "conv"),
)


def budget(
    total: float | None = 0.5, export: float | None = 0.5, noise: float | None = 1e-5, runtime: float = 1e-5
) -> Budget:
    return Budget(
        total=total,
        reference_rounding=noise,
        export_error=export,
        runtime_error=runtime,
        repeatability=0.0,
        noise_floor=noise,
    )


def diagnosis(node: str = "norm", kind: str = "attribute", **figures: float | None) -> Diagnosis:
    place = Divergence(leg="export", node=node, op_type="BatchNormalization") if node else None
    causes = (Cause(kind=kind, leg="export", message="m", remedy="r"),) if kind else ()  # type: ignore[arg-type]
    return Diagnosis(
        budget=budget(**figures),  # type: ignore[arg-type]
        dominant_leg="export",
        first_divergence=place,
        causes=causes,
    )


def fault(name: str = "f", seed: int = 0, **fields: object) -> Outcome:
    defaults = {"status": "done", "planted": PLANTED, "diagnoses": {"y": diagnosis()}}
    return Outcome(case=Case(HERE, "fault", name, seed), **{**defaults, **fields})  # type: ignore[arg-type]


def sound(**fields: object) -> Outcome:
    quiet = diagnosis(node="", kind="", total=2e-5, export=1e-7)
    defaults = {"status": "done", "diagnoses": {"y": quiet}}
    return Outcome(case=Case(HERE, "sound", "clean", 0), **{**defaults, **fields})  # type: ignore[arg-type]


class TestScores:
    def test_a_right_diagnosis(self) -> None:
        score = score_fault(fault())
        assert (score.detected, score.exact, score.cause, score.said) == (True, True, True, "")
        assert score.effect == pytest.approx(5e4)

    @pytest.mark.parametrize(
        ("found", "detected", "exact", "near", "cause"),
        [
            (diagnosis(node="conv"), True, False, True, True),
            (diagnosis(node="far"), True, False, False, True),
            (diagnosis(node=""), True, False, False, True),
            (diagnosis(kind="unknown"), True, True, True, False),
            (diagnosis(kind=""), True, True, True, False),
            (diagnosis(export=None), False, True, True, True),
            (diagnosis(noise=None), False, True, True, True),
            (diagnosis(export=nan), False, True, True, True),
            (diagnosis(export=2e-5), False, True, True, True),
        ],
    )
    def test_what_is_wrong_or_unknown_counts_against_it(
        self, found: Diagnosis, detected: bool, exact: bool, near: bool, cause: bool
    ) -> None:
        score = score_fault(fault(diagnoses={"y": found}))
        assert (score.detected, score.exact, score.near, score.cause) == (detected, exact, near, cause)
        assert score.said

    @pytest.mark.parametrize("status", ["failed", "crashed", "timed-out"])
    def test_a_lost_case_is_a_miss_beyond_the_bar(self, status: str) -> None:
        found = shares([score_fault(fault(status=status, problem="p"))])
        assert (found.felt, found.detected, found.exact, found.cause) == (1, 0.0, 0.0, 0.0)

    def test_a_refused_file_is_detected_and_has_no_node(self) -> None:
        found = shares([score_fault(fault(status="refused", planted=None, diagnoses={}))])
        assert (found.felt, found.detected, found.exact, found.cause) == (1, 1.0, None, None)

    def test_nan_in_the_candidate_is_detected(self) -> None:
        outcome = fault(diagnoses={"y": diagnosis(total=0.0, export=None)}, nonfinite={"y": 3})
        assert score_fault(outcome).detected
        assert score_fault(outcome).effect == inf

    def test_the_worst_output_is_the_one_judged(self) -> None:
        outcome = fault(diagnoses={"a": diagnosis(node="far", total=1e-4), "b": diagnosis(total=0.9)})
        assert worst_output(outcome) == "b"
        assert score_fault(outcome).exact

    @pytest.mark.parametrize(
        ("figures", "nonfinite", "expected"),
        [
            ({"total": 1e-4}, 0, 10.0),
            ({"total": 0.0}, 1, inf),
            ({"noise": None}, 0, inf),
            ({"total": None}, 0, inf),
            ({"noise": 0.0, "total": 1.0}, 0, inf),
            ({"noise": 0.0, "total": 0.0}, 0, 0.0),
        ],
    )
    def test_effect(self, figures: dict[str, float | None], nonfinite: int, expected: float) -> None:
        assert effect(budget(**figures), nonfinite) == pytest.approx(expected)

    def test_faults_that_are_hardly_felt_are_left_out(self) -> None:
        found = shares([score_fault(fault(diagnoses={"y": diagnosis(node="far", total=5e-5)}))])
        assert (found.planted, found.felt, found.exact) == (1, 0, None)


class TestAlarms:
    def test_a_quiet_sound_file_has_none(self) -> None:
        assert alarms(sound()) == []
        rounding = diagnosis(node="", kind="rounding", total=2e-5, export=1e-7)
        assert alarms(sound(diagnoses={"y": rounding})) == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"diagnoses": {"y": diagnosis(kind="", export=1e-7)}},
            {"diagnoses": {"y": diagnosis(node="", export=1e-7)}},
            {"diagnoses": {"y": diagnosis(node="", kind="", export=1e-4)}},
            {"nonfinite": {"y": 1}},
            {"diagnoses": {}},
            {"status": "timed-out"},
        ],
    )
    def test_blame_of_any_kind_is_one(self, fields: dict[str, object]) -> None:
        assert len(alarms(sound(**fields))) == 1


class TestVerdict:
    def test_all_bars_met(self) -> None:
        assert judge([fault(), sound()]).missed == ()

    def test_each_bar_can_be_missed(self) -> None:
        wrong = fault("g", diagnoses={"y": diagnosis(node="far", kind="unknown", export=None)})
        alarm = sound(diagnoses={"y": diagnosis()})
        missed = [line.partition(":")[0] for line in judge([fault(), wrong, alarm]).missed]
        assert missed == ["detected", "node", "cause", "false alarms"]

    def test_a_run_of_nothing_misses_them_all(self) -> None:
        nothing = Outcome(case=Case(HERE, "fault", "f", 0), status="inapplicable")
        assert len(judge([nothing]).missed) == 4

    def test_nineteen_of_twenty_nodes_are_enough(self) -> None:
        scores = [fault(str(n)) for n in range(19)]
        last = fault("last", diagnoses={"y": diagnosis(node="far")})
        assert judge([*scores, last, sound()]).missed == ()
        assert judge([*scores[:-1], last, sound()]).missed != ()


def test_the_plan_has_every_fault_and_variant_once() -> None:
    planned = plan({"a": True, "deep": False}, ("dynamo", "torchscript"), ("f", "g"), 2)
    assert len(planned) == 4
    ids = [case.id for cases in planned.values() for case in cases]
    assert len(set(ids)) == len(ids)
    assert {case.kind for case in planned[Combination("deep", "dynamo")]} == {"sound"}
    assert "a/dynamo/fault/g/1" in ids


def test_shares_are_never_rounded_to_all() -> None:
    assert (percent(1.0), percent(0.99999), percent(0.5)) == ("100 %", "99.9 %", "50.0 %")
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_outcomes_survive_their_way_as_json() -> None:
    outcome = fault()
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


WORKER = """
import json, os, sys, time
for case in json.loads(sys.stdin.readline()):
    say = lambda **fields: print(json.dumps(fields), flush=True)
    if case["name"] == "no-start":
        sys.exit("no such network")
    say(type="started", case=case)
    if case["name"] == "dies":
        os.abort()
    if case["name"] == "hangs":
        time.sleep(60)
    say(type="finished", outcome={"case": case, "status": "done", "seconds": 0.5})
"""


class TestRunning:
    def statuses(self, tmp_path: Path, *names: str) -> dict[str, str]:
        script = tmp_path / "worker.py"
        script.write_text(WORKER)
        cases = [Case(HERE, "fault", name, 0) for name in names]
        outcomes: list[Outcome] = []
        run_all(
            {HERE: cases},
            outcomes.append,
            jobs=1,
            timeout_s=1.0,
            command=(sys.executable, str(script)),
        )
        assert [one.case.name for one in outcomes] == list(names)
        return {one.case.name: f"{one.status} {one.problem}" for one in outcomes}

    def test_a_crash_and_a_timeout_cost_one_case_each(self, tmp_path: Path) -> None:
        found = self.statuses(tmp_path, "a", "dies", "b", "hangs", "c")
        assert {found[name] for name in "abc"} == {"done "}
        assert found["dies"].startswith("crashed ended with -6")
        assert found["hangs"] == "timed-out no answer within 1 s"

    def test_a_worker_that_never_starts_loses_its_cases_and_says_why(self, tmp_path: Path) -> None:
        found = self.statuses(tmp_path, "no-start", "b")
        assert all("crashed ended with 1: no such network" in said for said in found.values())


class TestUnseen:
    @pytest.mark.parametrize("name", ["hf-distilbert", "hf-resnet", "hf-whisper-encoder"])
    def test_inputs_fit_and_weights_are_the_same_each_time(self, name: str) -> None:
        given = subjects.inputs(name, 1)
        once, again = subjects.build(name), subjects.build(name)
        assert not once.training
        with torch.no_grad():
            one, other = flatten(once(**given)), flatten(again(**given))
        assert one
        for path, leaf in one.items():
            assert torch.equal(torch.as_tensor(leaf), torch.as_tensor(other[path]))

    def test_a_mask_hides_the_end_of_the_last_row(self) -> None:
        mask = subjects.inputs("hf-bert", 0)["attention_mask"]
        assert bool(mask[0].all())
        assert mask[-1].tolist() == [1] * 12 + [0] * 4

    def test_none_of_them_is_in_the_usual_run(self) -> None:
        assert not subjects.SUBJECTS.keys() & unseen.UNSEEN.keys()
