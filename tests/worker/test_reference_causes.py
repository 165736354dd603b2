"""Places and causes that the reference's side gives for real modules and their files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec import structs
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.diagnosis import answer, answered, diagnosed
from support.kernels import rounding_operands, to_tf32
from support.reference import Project, unable

from parity.records.diagnosis import Diagnosis
from parity.worker import numerics, reference_causes, reference_looks

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)

# A trunk and two heads: what is wrong in one head is no fault of the other's.
NET = """
class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Dropout(0.5)
    def forward(self, x):
        {odd}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.odd = Odd()
        self.left = nn.Conv2d(8, 2, 1)
        self.right = nn.Conv2d(8, 2, 1)
    def forward(self, x):
        y = self.stem(x)
        return {{"left": self.left(self.odd(y)), "right": self.right(y)}}
def build(): return Net()
"""
ODD_LINE = 9  # of model.py
SOUND = NET.format(odd="return x")


@pytest.fixture(autouse=True)
def _own_imports_and_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with numerics.strict():
        yield


def kinds(diagnosis: Diagnosis) -> list[str]:
    return [cause.kind for cause in diagnosis.causes]


def is_blamed(diagnosis: Diagnosis) -> bool:
    """Whether anything is said to be wrong."""
    return diagnosis.first_divergence is not None or not set(kinds(diagnosis)) <= {"rounding"}


def initializer(model: ModelProto, name: str) -> TensorProto:
    (found,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    return found


def exported(root: Path, source: str) -> ModelProto:
    """The file of another version of the module."""
    root = root / "other"
    root.mkdir()
    project = Project(root, source)
    project.load()
    project.run(x=X)
    return onnx.load(project.export().path)


def put(model: ModelProto, behind: str, *nodes: onnx.NodeProto) -> None:
    """Nodes that read ``before`` and give what the node `behind` has given; `before` is that now."""
    (place,) = (n for n, node in enumerate(model.graph.node) if node.name == behind)
    node = model.graph.node[place]
    given, node.output[0] = node.output[0], "before"
    nodes[-1].output[0] = given
    for number, new in enumerate(nodes, place + 1):
        model.graph.node.insert(number, new)


class TestReferenceLeg:
    def test_tf32_operands_are_named_with_share_place_and_remedy(self, tmp_path: Path) -> None:
        file = exported(tmp_path, SOUND)
        with rounding_operands(to_tf32):
            _, given = answered(Project(tmp_path, SOUND), file=file, x=X)
        found = given.diagnoses["left"]

        assert found.dominant_leg == "reference"
        cause, place = found.causes[0], found.first_divergence
        assert (cause.kind, cause.leg) == ("tf32", "reference")
        assert cause.share is not None
        assert cause.share >= 0.95
        assert "numerics: strict" in cause.remedy
        assert place is not None
        assert (place.leg, place.module, place.source) == ("reference", "stem.0", "model.py:20")
        assert place.effective_bits is not None
        assert 10 < place.effective_bits < 14

    def test_a_head_in_lower_precision_is_no_fault_of_the_other_one(self, tmp_path: Path) -> None:
        file = exported(tmp_path, NET.format(odd="return x @ x @ x"))
        lowly = "with torch.autocast('cpu', torch.bfloat16): return (x @ x @ x).float()"
        _, given = answered(Project(tmp_path, NET.format(odd=lowly)), file=file, x=X)
        left, right = given.diagnoses["left"], given.diagnoses["right"]

        assert left.dominant_leg == "reference"
        assert kinds(left) == ["precision"]
        assert "autocast" in left.causes[0].message
        assert left.first_divergence is not None
        assert (left.first_divergence.module, left.first_divergence.source) == ("odd", f"model.py:{ODD_LINE}")
        assert not is_blamed(right)

    def test_honest_rounding_is_told_by_the_figures_without_running_the_operators(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("operators ran")

        monkeypatch.setattr(reference_looks, "diagnose_reference", fail)
        found = diagnosed(Project(tmp_path, SOUND), x=X)["left"]

        (cause,) = found.causes
        assert (cause.kind, cause.leg) == ("rounding", "reference")
        assert f"{found.budget.reference_rounding:.3g}" in cause.message
        assert f"{found.budget.runtime_error:.3g}" in cause.message
        assert found.notes == ()

    def test_what_passed_is_looked_into_only_where_a_leg_stands_out(self, tmp_path: Path) -> None:
        def alter(model: ModelProto) -> None:
            weight = initializer(model, "left.weight")
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 0.01, weight.name))

        project = Project(tmp_path, SOUND)
        request, _ = answered(project, alter=alter, x=X)
        found = answer(project, structs.replace(request, passed=request.outputs)).diagnoses

        assert kinds(found["left"]) == ["initializer"]
        assert found["right"].causes == ()

    def test_a_nan_is_traced_to_the_operator_that_made_it(self, tmp_path: Path) -> None:
        found = diagnosed(Project(tmp_path, NET.format(odd="return torch.log(x - 1)")), x=X)

        cause, place = found["left"].causes[0], found["left"].first_divergence
        assert cause.kind == "nan"
        assert f"aten.log.default in odd at model.py:{ODD_LINE}" in cause.message
        assert place is not None
        assert (place.module, place.source) == ("odd", f"model.py:{ODD_LINE}")
        assert not is_blamed(found["right"])

    def test_a_result_that_is_all_nan_has_no_figures_and_a_cause_all_the_same(self, tmp_path: Path) -> None:
        found = diagnosed(Project(tmp_path, NET.format(odd="return (-1 - x).sqrt()")), x=X)["left"]

        assert found.budget.total == 0.0
        assert kinds(found) == ["nan"]

    def test_an_infinity_that_is_meant_is_no_fault(self, tmp_path: Path) -> None:
        odd = "return x.masked_fill(x > 1, float('-inf'))"
        net = NET.format(odd=odd).replace("self.left(self.odd(y))", "self.odd(self.left(y))")
        found = diagnosed(Project(tmp_path, net), x=X)["left"]

        assert found.budget.unknown == {}
        assert not is_blamed(found)


class TestInputs:
    def test_a_nan_of_the_input_is_named_and_no_operator(self, tmp_path: Path) -> None:
        x = X.copy()
        x[1, 2, 3, 4] = np.nan
        found = diagnosed(Project(tmp_path, SOUND), x=x)["left"]

        assert found.causes[0].kind == "input"
        assert found.causes[0].tensor == "x"
        assert "[1, 2, 3, 4]" in found.causes[0].message
        assert "nan" not in kinds(found)

    def test_a_constant_input_is_kept_for_when_nothing_else_is_known(self, tmp_path: Path) -> None:
        _, given = answered(Project(tmp_path, SOUND), x=np.ones_like(X))

        assert [cause.kind for cause in given.odd_inputs] == ["input"]
        assert not any("input" in kinds(each) for each in given.diagnoses.values())


class TestExportLeg:
    def test_a_nan_among_the_files_weights(self, tmp_path: Path) -> None:
        def alter(model: ModelProto) -> None:
            tensor = initializer(model, "left.weight")
            values = numpy_helper.to_array(tensor).copy()
            values[0, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

        found = diagnosed(Project(tmp_path, SOUND), alter=alter, x=X)

        assert found["left"].dominant_leg == "export"
        assert found["left"].budget.export_error is None
        assert found["left"].causes[0].kind == "nan"
        assert "left.weight" in found["left"].causes[0].message
        place = found["left"].first_divergence
        assert place is not None
        assert place.module == "left"
        assert not is_blamed(found["right"])

    def test_outputs_of_another_shape_have_a_place_and_no_total(self, tmp_path: Path) -> None:
        def alter(model: ModelProto) -> None:
            (node,) = (node for node in model.graph.node if node.name == "/left/Conv")
            (pads,) = (each for each in node.attribute if each.name == "pads")
            pads.ints[:] = [1, 1, 1, 1]
            del model.graph.output[0].type.tensor_type.shape.dim[:]
            model.graph.output[0].type.tensor_type.ClearField("shape")

        found = diagnosed(Project(tmp_path, SOUND), alter=alter, x=X)

        assert found["left"].budget.total is None
        assert "different shapes" in found["left"].budget.unknown["export_error"]
        assert found["left"].dominant_leg == "export"
        assert found["left"].causes[0].kind == "attribute"
        place = found["left"].first_divergence
        assert place is not None
        assert place.module == "left"
        assert not is_blamed(found["right"])


class TestRepeatability:
    @pytest.mark.parametrize(
        ("odd", "kind", "said"),
        [
            ("return nn.functional.dropout(x)", "nondeterminism", f"in odd at model.py:{ODD_LINE}"),
            ("return self.inner.train()(x)", "train-mode", "odd.inner (Dropout)"),
            ("return x + torch.rand_like(x)", "nondeterminism", f"in odd at model.py:{ODD_LINE}"),
        ],
    )
    def test_what_the_module_draws(self, tmp_path: Path, odd: str, kind: str, said: str) -> None:
        found = diagnosed(Project(tmp_path, NET.format(odd=odd)), x=X)

        assert found["left"].dominant_leg == "repeatability"
        cause = found["left"].causes[0]
        assert (cause.kind, cause.leg) == (kind, "repeatability")
        assert said in cause.message
        assert cause.share is not None
        assert cause.share > 0.9
        assert not is_blamed(found["right"])

    def test_a_dropout_of_the_file_alone(self, tmp_path: Path) -> None:
        def alter(model: ModelProto) -> None:
            ratio = numpy_helper.from_array(np.array(0.5, np.float32), "ratio")
            model.graph.initializer.extend([ratio, numpy_helper.from_array(np.array(True), "training")])
            put(model, "/left/Conv", helper.make_node("Dropout", ["before", "ratio", "training"], ["y"], "d"))

        found = diagnosed(Project(tmp_path, SOUND), alter=alter, x=X)

        assert found["left"].dominant_leg == "repeatability"
        assert kinds(found["left"]) == ["train-mode"]
        assert found["left"].notes == ()
        place = found["left"].first_divergence
        assert place is not None
        assert (place.leg, place.node, place.module) == ("repeatability", "d", "left")
        assert not is_blamed(found["right"])

    def test_a_random_operator_of_the_file_blames_no_output_that_it_does_not_reach(
        self, tmp_path: Path
    ) -> None:
        def alter(model: ModelProto) -> None:
            draw = helper.make_node("RandomNormalLike", ["before"], ["drawn"], "draw")
            put(model, "/left/Conv", draw, helper.make_node("Add", ["before", "drawn"], ["y"], "add"))

        found = diagnosed(Project(tmp_path, SOUND), alter=alter, x=X)

        assert kinds(found["left"]) == ["nondeterminism"]
        assert "RandomNormalLike" in found["left"].causes[0].message
        assert not is_blamed(found["right"])


class TestWhatGoesWrong:
    def test_a_part_that_fails_is_a_note_and_the_budget_stands(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise KeyError("a tensor that nobody thought of")

        for look in ("_look_into_export", "look_into_reference", "look_up_places", "look_at_inputs"):
            monkeypatch.setattr(reference_causes, look, fail)
        _, given = answered(Project(tmp_path, SOUND), x=X)

        for found in given.diagnoses.values():
            assert found.budget.unknown == {}
            assert found.causes == ()
            assert any("KeyError" in note and "nobody thought of" in note for note in found.notes)

    def test_a_module_that_runs_no_more_is_a_note(self, tmp_path: Path) -> None:
        file = exported(tmp_path, NET.format(odd="return x @ x @ x"))
        source = "import itertools\ncalls = itertools.count()\n"
        lowly = "with torch.autocast('cpu', torch.bfloat16): return (x @ x @ x).float()"
        odd = f"{lowly} if next(calls) < 3 else 1 / 0"
        project = Project(tmp_path, source + NET.format(odd=odd))
        found = answered(project, file=file, x=X)[1].diagnoses["left"]

        assert found.budget.unknown == {}
        assert any("ZeroDivisionError" in note for note in found.notes)

    def test_a_tensor_that_does_not_move_with_the_module_is_named(self, tmp_path: Path) -> None:
        held = NET.replace("self.inner = nn.Dropout(0.5)", "self.anchors = torch.ones(1, device='meta')")
        project = Project(tmp_path, held.format(odd="return x + self.anchors.expand(6)"))
        project.load()

        error = unable(lambda: project.run(x=X))
        assert 'odd: self.register_buffer("anchors"' in error.fix
        assert "register_buffer" in error.fix
