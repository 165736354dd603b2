"""Files as users have them: simplified, converted, quantized, with other outputs, in training mode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import quantization
from support.architectures import EXPORTERS
from support.export_leg import IMAGE, Small, diagnosed, made, planted, small
from torch import Tensor, nn

ROW = (torch.rand(2, 6, generator=torch.Generator().manual_seed(3)),)


@pytest.fixture(params=EXPORTERS)
def exporter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


class Fusible(nn.Module):
    """A batch norm behind a convolution, in a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.body = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.head = nn.Linear(8, 5)
            nn.init.normal_(self.body[1].running_mean, 0.0, 0.3)
            nn.init.uniform_(self.body[1].running_var, 0.5, 2.0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def fused_by_hand(scale: float = 1.0) -> ModelProto:
    """The batch norm in the convolution, as a tool does it: all names are its own."""
    module = Fusible()
    conv, norm = module.body[0], module.body[1]
    factor = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    values = {
        "c0": conv.weight.detach() * factor[:, None, None, None] * scale,
        "c1": norm.bias.detach() - norm.running_mean * factor,
        "c2": module.head.weight.detach(),
        "c3": module.head.bias.detach(),
        "c4": torch.tensor([2, 3]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "c0", "c1"], ["t0"], name="n0"),
        helper.make_node("Relu", ["t0"], ["t1"], name="n1"),
        helper.make_node("ReduceMean", ["t1", "c4"], ["t2"], name="n2", keepdims=0),
        helper.make_node("Gemm", ["t2", "c2", "c3"], ["y"], name="n3", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 5])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


class TestSimplified:
    @staticmethod
    def simplified(model: ModelProto, folder: Path) -> ModelProto:
        """What ONNX Runtime's basic optimizations make of it, without names of nodes."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folder / "simplified.onnx")
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        made = onnx.load(str(folder / "simplified.onnx"))
        for node in made.graph.node:
            node.name = ""
            del node.metadata_props[:]
        return made

    def test_a_sound_one_is_not_blamed(self, exporter: str, tmp_path: Path) -> None:
        model = self.simplified(small(exporter), tmp_path)
        found = diagnosed(Small(), model, IMAGE, tmp_path, sound=True)
        assert (dict(found.divergences), dict(found.causes)) == ({}, {})

    @pytest.mark.parametrize("fault", ["batchnorm-epsilon", "weight-element", "relu-dropped"])
    def test_a_fault_is_named(self, exporter: str, fault: str, tmp_path: Path) -> None:
        at = planted(small(exporter), fault)
        found = diagnosed(Small(), self.simplified(at.model, tmp_path), IMAGE, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.share is not None
        assert cause.share > 0.9
        # Its norm may be in the convolution by now.
        assert cause.kind in (at.cause_kind, "initializer")
        assert found.divergences["y"].op_type in (at.op_type, "Conv")

    def test_a_norm_fused_by_hand_is_not_blamed(self, tmp_path: Path) -> None:
        found = diagnosed(Fusible(), fused_by_hand(), IMAGE, tmp_path, sound=True)
        assert (dict(found.divergences), dict(found.causes)) == ({}, {})

    def test_a_fused_weight_is_named_with_what_is_in_it(self, tmp_path: Path) -> None:
        found = diagnosed(Fusible(), fused_by_hand(1.05), IMAGE, tmp_path)
        where, (cause,) = found.divergences["y"], found.causes["y"]
        assert where.node == "n0"
        assert where.module.startswith("body")
        assert cause.kind == "initializer"
        assert cause.tensor == "c0"
        assert cause.message.startswith("body.0.weight (c0) is 1.05 times the expected")


class TestConverted:
    @pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
    def test_a_narrow_file(self, exporter: str, dtype: torch.dtype, name: str, tmp_path: Path) -> None:
        model = made(Small().to(dtype), (IMAGE[0].to(dtype),), tmp_path, exporter=exporter)
        found = diagnosed(Small(), model, IMAGE, tmp_path)
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.message) == (
            "precision",
            f"the file computes in {name}, the module in float32",
        )
        assert cause.remedy == "give the outputs a tolerance for it, or ship the file without the conversion"
        assert cause.share is not None
        assert cause.share > 0.9

    def test_a_fault_of_a_narrow_file_is_not_put_down_to_its_precision(self, tmp_path: Path) -> None:
        half = made(Small().half(), (IMAGE[0].half(),), tmp_path)
        at = planted(half, "batchnorm-epsilon")
        for each in next(node for node in at.model.graph.node if node.name == at.node).attribute:
            each.f = 0.5 if each.name == "epsilon" else each.f
        found = diagnosed(Small(), at.model, IMAGE, tmp_path)
        cause = found.causes["y"][0]
        assert cause.kind == "attribute"
        assert cause.message.startswith("epsilon is 0.5 in the file")
        assert found.divergences["y"].node == at.node

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.given = iter([{"x": IMAGE[0].numpy()}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.given, None)

    @pytest.mark.parametrize("form", ["dynamic", "QDQ", "QOperator"])
    def test_a_quantized_file(self, form: str, tmp_path: Path) -> None:
        before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
        onnx.save(small("torchscript"), before)
        if form == "dynamic":
            quantization.quantize_dynamic(before, after)
        else:
            quantization.quantize_static(
                before, after, self.Calibration(), quant_format=quantization.QuantFormat[form]
            )
        found = diagnosed(Small(), onnx.load(after), IMAGE, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.kind == "precision"
        assert cause.message == "the file is quantized, the module is not"
        assert cause.remedy == "give the outputs a tolerance for it, or ship the file without the conversion"
        first = {"dynamic": "DynamicQuantizeLinear", "QDQ": "QuantizeLinear", "QOperator": "QuantizeLinear"}
        where = found.divergences["y"]
        assert (where.op_type, where.module) == (first[form], "stem")
        assert cause.node == where.node


class Two(nn.Module):
    """Two outputs of one shape; the file may have them in another order."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.a, self.b = nn.Linear(6, 5), nn.Linear(6, 5)
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"p": self.a(x).relu(), "q": self.b(x).tanh()}


class Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.a = nn.Linear(6, 6)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


def behind(model: ModelProto, op: str, constants: Sequence[int] = (), **attributes: object) -> ModelProto:
    """The model with one more node before its first output."""
    copy = copied(model)
    graph, output = copy.graph, copy.graph.output[0]
    for node in graph.node:
        node.output[:] = ["before" if name == output.name else name for name in node.output]
    names = []
    for place, value in enumerate(constants):
        names.append(f"constant{place}")
        graph.initializer.append(numpy_helper.from_array(np.array([value]), names[-1]))
    graph.node.append(helper.make_node(op, ["before", *names], [output.name], name="behind", **attributes))
    output.type.tensor_type.ClearField("shape")
    return copy


class TestOutputs:
    def test_swapped(self, exporter: str, tmp_path: Path) -> None:
        model = made(Two(), ROW, tmp_path, exporter=exporter, output_names=("v", "u"))
        found = diagnosed(Two(), model, ROW, tmp_path, output_names=("u", "v"))
        for one, other, op in (("u", "v", "Tanh"), ("v", "u", "Relu")):
            (cause,) = found.causes[one]
            assert (cause.kind, cause.share) == ("structure", 1.0)
            assert cause.message == f"output {one!r} of the file is the module's {other!r}"
            assert "map" in cause.remedy
            assert found.divergences[one].op_type == op

    def test_in_another_order_than_the_module_has_them(self, exporter: str, tmp_path: Path) -> None:
        model = made(Two(), ROW, tmp_path, exporter=exporter, output_names=("u", "v"))
        outputs = list(model.graph.output)[::-1]
        del model.graph.output[:]
        model.graph.output.extend(outputs)
        sound = diagnosed(Two(), model, ROW, tmp_path, output_names=("u", "v"), sound=True)
        assert (dict(sound.causes), sound.notes) == ({}, ())
        (tmp_path / "model.onnx").unlink()
        at = planted(model, "activation-replaced")
        found = diagnosed(Two(), at.model, ROW, tmp_path, output_names=("u", "v"))
        ((name, (cause,)),) = found.causes.items()
        assert cause.kind == at.cause_kind
        assert found.divergences[name].node == at.node

    @pytest.mark.parametrize("rows", [2, 6])
    def test_transposed(self, exporter: str, rows: int, tmp_path: Path) -> None:
        x = (torch.randn(rows, 6, generator=torch.Generator().manual_seed(1)),)
        model = behind(made(Square(), x, tmp_path, exporter=exporter), "Transpose", perm=[1, 0])
        found = diagnosed(Square(), model, x, tmp_path)
        assert found.divergences["y"].node == "behind"
        assert found.divergences["y"].shape == (6, rows)
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.share) == ("structure", 1.0)

    def test_of_another_shape(self, exporter: str, tmp_path: Path) -> None:
        model = behind(small(exporter), "Unsqueeze", [0])
        found = diagnosed(Small(), model, IMAGE, tmp_path)
        where = found.divergences["y"]
        assert (where.node, where.shape, where.local_error) == ("behind", (1, 2, 5), None)
        assert found.causes["y"][0].share == 1.0

    def test_cut(self, tmp_path: Path) -> None:
        found = diagnosed(Small(), behind(small("torchscript"), "Slice", [0, 3, 1]), IMAGE, tmp_path)
        assert found.divergences["y"].node == "behind"
        assert found.causes["y"][0].kind == "structure"


class TestTraining:
    def test_a_norm(self, exporter: str, tmp_path: Path) -> None:
        model = copied(small(exporter))
        (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
        kept = [each for each in norm.attribute if each.name != "training_mode"]
        del norm.attribute[:]
        norm.attribute.extend([*kept, helper.make_attribute("training_mode", 1)])
        del norm.output[1:]
        norm.output.extend(["mean_out", "var_out"])
        found = diagnosed(Small(), model, IMAGE, tmp_path)
        (cause,) = found.causes["y"]
        assert cause.kind == "train-mode"
        assert cause.share is not None
        assert cause.share > 0.9
        assert "eval()" in cause.remedy
        assert found.divergences["y"].module == "norm"

    def test_a_dropout_has_no_float64_and_is_named(self, tmp_path: Path) -> None:
        model = copied(small("torchscript"))
        (last,) = (node for node in model.graph.node if node.op_type == "Gemm")
        model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "ratio"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "mode"))
        drop = helper.make_node(
            "Dropout", [last.input[0], "ratio", "mode"], ["dropped"], name="/drop/Dropout"
        )
        last.input[0] = "dropped"
        model.graph.node.insert(list(model.graph.node).index(last), drop)
        found = diagnosed(Small(), model, IMAGE, tmp_path)
        (cause,) = found.causes["y"]
        assert (cause.kind, cause.share, cause.node) == ("train-mode", None, "/drop/Dropout")
        assert found.divergences["y"].module == "drop"
