"""Files of a small network with one planted fault, several, or none, by both exporters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper
from support.architectures import EXPORTERS
from support.export_leg import IMAGE, Small, diagnosed, made, planted, small
from torch import Tensor, nn

from parity.diagnosis.export_leg import ExportFinding

FAULTS = [
    ("batchnorm-epsilon", 0, "attribute", "norm", "export again: "),
    ("weight-scaled", 0, "initializer", None, "export again with the current checkpoint"),
    ("weight-element", 1, "initializer", None, "export again with the current checkpoint"),
    ("relu-dropped", 0, "structure", "norm", "export again: "),
    ("float16-round-trip", 0, "precision", None, "give the outputs a tolerance for it, or ship "),
    ("int8-constant", 0, "precision", None, "give the outputs a tolerance for it, or ship "),
    ("nan-weight", 0, "nan", None, "export again: the file holds numbers that are none"),
]


@pytest.fixture(params=EXPORTERS)
def exporter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sound(exporter: str) -> ModelProto:
    return small(exporter)


def test_a_sound_file_is_not_blamed(sound: ModelProto, tmp_path: Path) -> None:
    found = diagnosed(Small(), sound, IMAGE, tmp_path, sound=True)
    assert found.divergences == {}
    assert found.causes == {}
    assert found.notes == ()
    assert all(each.total is None or each.total < 1e-6 for each in found.modules)


@pytest.mark.parametrize("expected", FAULTS, ids=lambda each: each[0])
def test_one_fault(
    sound: ModelProto, tmp_path: Path, expected: tuple[str, int, str, str | None, str]
) -> None:
    fault, seed, kind, module, remedy = expected
    at = planted(sound, fault, seed)
    found = diagnosed(Small(), at.model, IMAGE, tmp_path)
    where, (cause,) = found.divergences["y"], found.causes["y"]
    assert where.node in at.accepted
    assert (cause.kind, cause.leg) == (kind, "export")
    assert cause.share is not None
    assert cause.share > 0.9
    assert cause.remedy.startswith(remedy)
    assert cause.node in at.accepted
    assert cause.tensor == (at.tensor if kind in ("initializer", "nan") else cause.tensor)
    assert where.found is not None
    assert where.expected is not None
    assert where.found != where.expected or fault == "int8-constant"
    if kind == "nan":
        assert where.found.nonfinite
        assert not where.expected.nonfinite
        assert where.local_error is None  # NaN has no distance
    else:
        assert where.local_error is not None
        assert where.local_error > 0
        assert where.inherited_error == 0
    if module is not None:
        assert where.module == module
    assert found.notes == ()


def test_the_table_of_modules(sound: ModelProto, tmp_path: Path) -> None:
    found = diagnosed(Small(), planted(sound, "batchnorm-epsilon").model, IMAGE, tmp_path)
    table = {each.module: each for each in found.modules}
    local = {name: each.local for name, each in table.items() if name and each.local is not None}
    assert max(local, key=lambda name: local[name]) == "norm"
    assert local["norm"] > 1e-4
    assert all(error < 1e-6 for name, error in local.items() if name != "norm")
    assert (table["stem"].total or 0) < 1e-6
    for name in ("conv", "head"):
        inherited = table[name].inherited
        assert inherited is not None
        assert inherited > 1e-4


def test_two_faults(sound: ModelProto, tmp_path: Path) -> None:
    first = planted(sound, "batchnorm-epsilon")
    second = planted(first.model, "activation-replaced", 1)
    found = diagnosed(Small(), second.model, IMAGE, tmp_path)
    causes = found.causes["y"]
    assert {each.kind for each in causes} == {"attribute", second.cause_kind}
    assert {each.node for each in causes} == {first.node, second.node}
    assert [each.share for each in causes] == sorted((each.share or 0 for each in causes), reverse=True)
    assert found.divergences["y"].node in (first.node, second.node)


def test_two_weights_are_named_each(sound: ModelProto, tmp_path: Path) -> None:
    first, second = altered(sound, "stem.weight", 1.03), "conv.weight"
    found = diagnosed(Small(), altered(first, second, 0.96), IMAGE, tmp_path)
    assert {each.tensor for each in found.causes["y"]} == {"stem.weight", "conv.weight"}
    assert found.divergences["y"].module == "stem"
    assert all(each.share is not None and 0.01 < each.share <= 1 for each in found.causes["y"])


def altered(model: ModelProto, name: str, factor: float) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    (tensor,) = (each for each in copy.graph.initializer if each.name == name)
    value = (numpy_helper.to_array(tensor) * factor).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, name))
    return copy


def stale(model: ModelProto) -> ModelProto:
    """The file of another training step."""
    copy, random = ModelProto(), np.random.default_rng(0)
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32:
            noise = 0.05 * random.standard_normal(value.shape)
            tensor.CopyFrom(numpy_helper.from_array((value * (1 + noise)).astype(np.float32), tensor.name))
    return copy


def one_cause_for_all_weights(found: ExportFinding) -> str:
    (cause,) = found.causes["y"]
    assert cause.kind == "initializer"
    assert cause.share is not None
    assert cause.share > 0.9
    return cause.message


def test_a_stale_file_is_one_cause(sound: ModelProto, tmp_path: Path) -> None:
    found = diagnosed(Small(), stale(sound), IMAGE, tmp_path)
    message = one_cause_for_all_weights(found)
    assert " initializers differ from the checkpoint: the file was exported from other weights" in message
    assert found.causes["y"][0].remedy == "export again with the current checkpoint"
    assert found.divergences["y"].module == "stem"


def test_a_file_that_the_gate_made_is_not_called_old(sound: ModelProto, tmp_path: Path) -> None:
    found = diagnosed(Small(), stale(sound), IMAGE, tmp_path, made_here=True)
    assert found.causes["y"][0].remedy.startswith("load the checkpoint before the export")
    (tmp_path / "model.onnx").unlink()
    at = planted(sound, "relu-dropped")
    (cause,) = diagnosed(Small(), at.model, IMAGE, tmp_path, made_here=True).causes["y"]
    assert "older" not in cause.remedy
    assert cause.remedy.startswith("the gate made this file with another input")


def test_external_data(sound: ModelProto, tmp_path: Path) -> None:
    at = planted(sound, "weight-scaled")
    copy = ModelProto()
    copy.CopyFrom(at.model)
    onnx.save(copy, tmp_path / "model.onnx", save_as_external_data=True, location="data", size_threshold=0)
    found = diagnosed(Small(), at.model, IMAGE, tmp_path)
    assert (tmp_path / "data").exists()
    assert found.causes["y"][0].tensor == at.tensor
    assert found.divergences["y"].node == at.node


class Layers(nn.Module):
    """One block after the other, as most models have them."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.layers = nn.Sequential(
                *(nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.Tanh()) for _ in range(6))
            )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


ROWS = (torch.randn(4, 6, generator=torch.Generator().manual_seed(3)),)


def layers(exporter: str, tmp_path: Path) -> ModelProto:
    return made(Layers().eval(), ROWS, tmp_path, exporter=exporter)


def test_layers_that_have_changed_alike_are_one_cause(exporter: str, tmp_path: Path) -> None:
    model = layers(exporter, tmp_path)
    changed = [node for node in model.graph.node if node.op_type == "Tanh"]
    for node in changed:
        node.op_type = "Sigmoid"
    found = diagnosed(Layers().eval(), model, ROWS, tmp_path)
    (cause,) = found.causes["y"]
    assert cause.message == "each of 6 nodes is Sigmoid in the file, Tanh in a fresh export"
    assert cause.share == pytest.approx(1.0)
    assert found.divergences["y"].node == cause.node == (changed[0].name or changed[0].output[0])


def test_two_changes_in_every_layer_are_two_causes(exporter: str, tmp_path: Path) -> None:
    model = layers(exporter, tmp_path)
    for node in model.graph.node:
        if node.op_type == "Tanh":
            node.op_type = "Sigmoid"
        if node.op_type == "LayerNormalization":
            (epsilon,) = (each for each in node.attribute if each.name == "epsilon")
            epsilon.f = 1.0
    found = diagnosed(Layers().eval(), model, ROWS, tmp_path)
    assert sorted(cause.message for cause in found.causes["y"]) == [
        "at each of 6 nodes, epsilon is 1 in the file, 1e-05 in a fresh export",
        "each of 6 nodes is Sigmoid in the file, Tanh in a fresh export",
    ]
    assert "LayerNormalization" in found.divergences["y"].op_type
