"""Where a fresh export can't be had, is wrong itself, or differs because of what was frozen in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.architectures import EXPORTERS
from support.export_leg import IMAGE, Small, diagnosed, made, planted, small, subject_of
from torch import Tensor, nn

from parity.diagnosis.export_leg import NO_TRACE, diagnose_export

ROW = (torch.rand(2, 6, generator=torch.Generator().manual_seed(3)),)


def seeded(module: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return module().eval()


class Unexportable(nn.Module):
    """What it does has no ONNX operator, and it decides by a value, which the other exporter refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x).relu()
        if y.sum() > 0:
            y = y * 1.5 + 0.0 * torch.special.i0(y)
        return self.b(y)


def by_hand(module: nn.Module, *, op: str = "Relu", factor: float = 1.5, weight: float = 1.0) -> ModelProto:
    held = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    held |= {"b.weight": held["b.weight"] * np.float32(weight), "factor": np.float32(factor)}
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight", "a.bias"], ["h"], name="first", transB=1),
        helper.make_node(op, ["h"], ["r"], name="act"),
        helper.make_node("Mul", ["r", "factor"], ["s"], name="times"),
        helper.make_node("Gemm", ["s", "b.weight", "b.bias"], ["y"], name="last", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


class TestNoFreshExport:
    def test_a_sound_file_is_not_blamed(self, tmp_path: Path) -> None:
        module = seeded(Unexportable)
        found = diagnosed(module, by_hand(module), ROW, tmp_path, sound=True)
        assert (dict(found.divergences), dict(found.causes)) == ({}, {})

    def test_an_initializer_is_found_without(self, tmp_path: Path) -> None:
        module = seeded(Unexportable)
        found = diagnosed(module, by_hand(module, weight=1.02), ROW, tmp_path)
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.tensor) == ("initializer", "b.weight")
        assert found.divergences["y"].module == "b"

    def test_a_place_is_found_by_value_and_a_note_says_why_no_more(self, tmp_path: Path) -> None:
        module = seeded(Unexportable)
        found = diagnosed(module, by_hand(module, op="Sigmoid"), ROW, tmp_path)
        assert found.divergences["y"].node == "act"
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.share) == ("unknown", None)
        (note,) = found.notes
        assert note.startswith("no fresh export to compare with: the ")
        assert " exporter failed: " in note
        assert len(note) < 300
        assert "\n" not in note


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y = y.relu() if x.sum() > 0 else y.tanh()
        return self.b(y)


class Erf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(self.a(x)) * 2


@pytest.fixture
def wrong_erf() -> Iterator[None]:
    """A symbolic function of the user's that writes another operator."""

    def symbolic(graph: Any, x: Any) -> Any:
        return graph.op("Tanh", x)

    torch.onnx.register_custom_op_symbolic("aten::erf", symbolic, 18)
    yield
    torch.onnx.unregister_custom_op_symbolic("aten::erf", 18)


class TestExporters:
    def test_a_defect_of_an_exporter_is_told_from_an_old_file(self, wrong_erf: None, tmp_path: Path) -> None:
        module = seeded(Erf)
        found = diagnosed(module, made(module, ROW, tmp_path), ROW, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.kind == "structure"
        assert cause.message.startswith("a fresh export has the same error: the torchscript exporter ")
        assert "`exporter: dynamo`, whose file is right" in cause.remedy
        assert cause.share is not None
        assert cause.share > 0.9
        assert found.divergences["y"].op_type == "Tanh"
        assert cause.node == found.divergences["y"].node

    def test_a_frozen_branch(self, tmp_path: Path) -> None:
        module = seeded(Branch)
        model = made(module, (-ROW[0],), tmp_path)
        found = diagnosed(module, model, ROW, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.kind == "structure"
        assert cause.share == pytest.approx(1.0)
        assert cause.message.startswith(
            "the node is Tanh in the file, Relu in a fresh export; the torchscript exporter"
        )
        assert "freezes what Python decides at test_exporters.py:" in cause.message
        assert "torch.where" in cause.remedy
        assert "older" not in cause.remedy

    def test_a_file_of_another_module(self, tmp_path: Path) -> None:
        """Nothing of it can be told one by one."""

        class Deep(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(6)])

            def forward(self, x: Tensor) -> Tensor:
                for layer in self.layers:
                    x = layer(x).relu() + x
                return x

        class Other(Deep):
            def forward(self, x: Tensor) -> Tensor:
                for layer in self.layers:
                    x = layer(x.tanh() * x.sigmoid()).exp().log1p() - x
                return x

        model = made(seeded(Other), ROW, tmp_path)
        found = diagnosed(seeded(Deep), model, ROW, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.kind == "structure"
        assert cause.share is not None
        assert cause.share > 0.9
        assert found.divergences["y"].node


class TestUnmeasured:
    """Outputs of which a side has no float64."""

    @pytest.mark.parametrize("exporter", EXPORTERS)
    def test_changes_of_the_file_are_named_without_a_share(self, exporter: str, tmp_path: Path) -> None:
        at = planted(small(exporter), "batchnorm-epsilon")
        given = subject_of(Small(), at.model, IMAGE, tmp_path)
        empty: dict[str, Any] = {"errors": {}, "reference64": {}, "noise": {}, "unmeasured": ("y",)}
        traces = {"module_trace": NO_TRACE, "graph_trace": NO_TRACE}
        subject = type(given)(**{**fields(given), **empty, **traces})
        found = diagnose_export(subject)
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.share, cause.node) == ("attribute", None, at.node)
        assert found.divergences["y"].node == at.node
        assert found.divergences["y"].found is None
        assert found.modules == ()

    def test_nothing_is_said_of_a_sound_file(self, tmp_path: Path) -> None:
        given = subject_of(Small(), small("torchscript"), IMAGE, tmp_path)
        found = diagnose_export(type(given)(**{**fields(given), "unmeasured": ("y",)}))
        assert (dict(found.causes), dict(found.divergences), found.notes) == ({}, {}, ())


def fields(subject: Any) -> dict[str, Any]:
    return {name: getattr(subject, name) for name in type(subject).__dataclass_fields__}


class TestOddModels:
    def test_what_fails_on_the_way_is_a_note(self, tmp_path: Path) -> None:
        """The arguments of the call can't be made once more."""
        at = planted(small("torchscript"), "batchnorm-epsilon")

        def arguments() -> Any:
            raise ValueError("the file of the inputs is gone")

        found = diagnosed(Small(), at.model, IMAGE, tmp_path, arguments=arguments)
        assert found.notes == ("no fresh export to compare with: ValueError: the file of the inputs is gone",)
        assert found.divergences["y"].node == at.node
        assert found.causes["y"][0].kind == "unknown"

    @pytest.mark.parametrize("exporter", EXPORTERS)
    def test_tied_weights(self, exporter: str, tmp_path: Path) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6, bias=False)
                self.b.weight = self.a.weight

            def forward(self, x: Tensor) -> Tensor:
                return self.b(self.a(x).relu())

        model = made(seeded(Tied), ROW, tmp_path, exporter=exporter)
        sound = diagnosed(seeded(Tied), model, ROW, tmp_path, sound=True)
        assert dict(sound.causes) == {}
        (tmp_path / "model.onnx").unlink()
        at = planted(model, "weight-scaled", 1)
        found = diagnosed(seeded(Tied), at.model, ROW, tmp_path)
        assert all(each.kind == "initializer" for each in found.causes["y"])
        assert sum(each.share or 0 for each in found.causes["y"]) > 0.9

    @pytest.mark.parametrize("weight", [1.0, 1.1])
    def test_a_weight_in_the_body_of_an_if(self, weight: float, tmp_path: Path) -> None:
        class Plain(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 5)

            def forward(self, x: Tensor) -> Tensor:
                return self.b(self.a(x).relu())

        module = seeded(Plain)
        model = by_hand(module, factor=1.0, weight=weight)
        last = model.graph.node.pop()
        taken = [
            helper.make_graph(
                [helper.make_node("Gemm", [*last.input], [f"{side}_y"], name=f"/b/{side}", transB=1)],
                side,
                [],
                [helper.make_tensor_value_info(f"{side}_y", TensorProto.FLOAT, [2, 5])],
            )
            for side in ("then", "else")
        ]
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "taken"))
        choice = helper.make_node(
            "If", ["taken"], ["y"], name="choice", then_branch=taken[0], else_branch=taken[1]
        )
        model.graph.node.append(choice)
        found = diagnosed(module, model, ROW, tmp_path, sound=weight == 1.0)
        if weight == 1.0:
            assert dict(found.causes) == {}
            return
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.tensor) == ("initializer", "b.weight")
        where = found.divergences["y"]
        assert where.node in ("/b/then", "/b/else")
        assert where.op_type == "Gemm"
        assert where.module == "b"

    @pytest.mark.parametrize("slope", [0.1, 0.3])
    def test_a_function_of_the_model(self, slope: float, tmp_path: Path) -> None:
        class Leaky(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a = nn.Linear(6, 8)

            def forward(self, x: Tensor) -> Tensor:
                return nn.functional.leaky_relu(self.a(x), 0.1)

        module = seeded(Leaky)
        opset = helper.make_opsetid("", 18)
        body = [helper.make_node("LeakyRelu", ["v"], ["w"], alpha=slope, name="inside")]
        leaky = helper.make_function("local", "Leaky", ["v"], ["w"], body, [opset])
        nodes = [
            helper.make_node("Gemm", ["x", "a.weight", "a.bias"], ["h"], name="first", transB=1),
            helper.make_node("Leaky", ["h"], ["y"], name="call", domain="local"),
        ]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])],
            [numpy_helper.from_array(v.detach().numpy(), n) for n, v in module.state_dict().items()],
        )
        imports = [opset, helper.make_opsetid("local", 1)]
        model = helper.make_model(graph, opset_imports=imports, functions=[leaky], ir_version=10)
        found = diagnosed(module, model, ROW, tmp_path, sound=slope == 0.1)
        if slope == 0.1:
            assert dict(found.causes) == {}
            return
        assert found.divergences["y"].node == "call"
        assert found.causes["y"]
