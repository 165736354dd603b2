"""The first divergence of small graphs with one fault each; each test is one way to be wrong about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.traces import Node, Traced, trace_both, write_model
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def _image() -> dict[str, Tensor]:
    return {"x": torch.randn(2, 3, 8, 8)}


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x))
        return x + torch.relu(self.b(x))


_PADS = {"pads": [1, 1, 1, 1]}
_CONVOLUTIONS: list[Node] = [
    ("Conv", ["x", "a.weight", "a.bias"], ["a"], _PADS),
    ("Relu", ["a"], ["ra"]),
    ("Conv", ["ra", "b.weight", "b.bias"], ["b"], _PADS),
    ("Relu", ["b"], ["rb"]),
    ("Add", ["ra", "rb"], ["y"]),
]


def _convolutions(nodes: list[Node], **constants: np.ndarray) -> Traced:
    module = Convolutions()
    return trace_both(module, write_model(nodes, module, **constants), _image())


def test_a_sound_graph_has_no_suspect() -> None:
    assert _convolutions(_CONVOLUTIONS).localize().suspects == ()


def test_a_small_error_of_one_weight_is_found_by_its_jump() -> None:
    module = Convolutions()
    altered = module.b.weight.detach().numpy() * (1 + 1e-4)
    nodes = [*_CONVOLUTIONS]
    nodes[2] = ("Conv", ["ra", "altered", "b.bias"], ["b"], _PADS)
    found = trace_both(module, write_model(nodes, module, altered=altered), _image()).localize()
    (suspect,) = found.suspects
    assert suspect.op.node == "b"
    assert suspect.inherited < 1e-6
    assert suspect.local is not None
    assert 3e-5 < suspect.local < 1e-3
    assert [op.node for op in found.region] == ["b", "rb", "y"]


def test_the_counterpart_is_the_tensor_that_should_have_been() -> None:
    module = Convolutions()
    nodes = [*_CONVOLUTIONS]
    nodes[2] = ("Conv", ["ra", "altered", "b.bias"], ["b"], _PADS)
    altered = module.b.weight.detach().numpy() * 1.05
    traced = trace_both(module, write_model(nodes, module, altered=altered), _image())
    counterpart = traced.localize().counterpart
    assert counterpart is not None
    producer = traced.module.producer(counterpart)
    assert producer is not None
    assert (producer.op_type, producer.module) == ("aten.convolution.default", "b")
    assert producer.source.startswith("test_localizing.py:") or "/test_localizing.py:" in producer.source


def test_what_follows_a_dropped_activation_is_named_and_the_activation_is_the_counterpart() -> None:
    nodes: list[Node] = [
        _CONVOLUTIONS[0],
        ("Identity", ["a"], ["ra"]),
        *_CONVOLUTIONS[2:],
    ]
    traced = _convolutions(nodes)
    found = traced.localize()
    assert found.suspects[0].op.node == "ra"
    assert "relu" in found.suspects[0].reason
    assert found.counterpart is not None
    producer = traced.module.producer(found.counterpart)
    assert producer is not None
    assert producer.op_type == "aten.relu.default"


def test_batch_norms_folded_in_float32_are_no_divergence_at_any_depth() -> None:
    layers = [
        layer for _ in range(12) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    ]
    module = nn.Sequential(*layers).eval()
    for each in module:
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.running_var, 0.01, 0.05)
    nodes: list[Node] = []
    constants = {}
    last = "x"
    for i in range(0, len(layers), 3):
        fused = torch.nn.utils.fuse_conv_bn_eval(module[i], module[i + 1])
        constants |= {f"w{i}": fused.weight.detach().numpy(), f"b{i}": fused.bias.detach().numpy()}
        nodes += [
            ("Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], _PADS),
            ("Relu", [f"c{i}"], [f"r{i}" if i + 3 < len(layers) else "y"]),
        ]
        last = f"r{i}"
    inputs = {"x": torch.randn(2, 4, 8, 8)}
    sound = trace_both(module, write_model(nodes, module, **constants), inputs)
    assert sound.suspects() == []
    constants["w15"] = constants["w15"] * np.float32(1 + 2e-3)
    assert trace_both(module, write_model(nodes, module, **constants), inputs).suspects() == ["c15"]


class Projections(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x) * 0.5, self.k(x), self.v(x)
        return torch.softmax(q @ k.transpose(1, 2), -1) @ v


def _attention(module: Projections, taken: tuple[str, str, str], factor: float = 1.0) -> Traced:
    q, k, v = (each.weight.detach().numpy().T for each in (module.q, module.k, module.v))
    nodes: list[Node] = [
        ("MatMul", ["x", "qkv"], ["product"]),
        ("Slice", ["product", "zero", "eight", "two"], ["first"]),
        ("Slice", ["product", "eight", "sixteen", "two"], ["second"]),
        ("Slice", ["product", taken[0], taken[1], "two"], ["third"]),
        ("Mul", [taken[2], "half"], ["scaled"]),
        ("Transpose", ["second"], ["turned"], {"perm": [0, 2, 1]}),
        ("MatMul", ["scaled", "turned"], ["scores"]),
        ("Softmax", ["scores"], ["weights"], {"axis": -1}),
        ("MatMul", ["weights", "third"], ["y"]),
    ]
    model = write_model(
        nodes,
        module,
        qkv=np.concatenate([factor * q, k, v], 1),
        half=0.5,
        **{name: np.array([i]) for name, i in [("zero", 0), ("eight", 8), ("sixteen", 16), ("end", 24)]},
        two=np.array([2]),
    )
    return trace_both(module, model, {"x": torch.randn(2, 8, 8)})


def test_a_product_that_pytorch_never_shows_heals_when_all_its_parts_match() -> None:
    assert _attention(Projections(), ("sixteen", "end", "first")).suspects() == []


def test_two_healed_parts_of_three_do_not_heal_the_product() -> None:
    found = _attention(Projections(), ("sixteen", "end", "first"), factor=1.05).localize()
    assert found.suspects[0].op.node == "product"
    assert [op.node for op in found.region][:2] == ["product", "first"]


def test_a_slice_of_the_wrong_part_is_named_although_it_matches_another_tensor() -> None:
    found = _attention(Projections(), ("eight", "sixteen", "first"))
    third = found.graph.by_name["third"].index
    assert found.matches.exact(third)
    assert found.suspects()[0] == "third"


class Layouts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        heads = x.view(2, 4, 4, 4).permute(0, 2, 1, 3)
        return torch.cat([torch.tanh(heads) + 1, torch.sin(heads)], 1).matmul(heads.transpose(2, 3)[:, :1])


@pytest.mark.parametrize(
    ("perm", "order", "culprit"),
    [([0, 2, 1, 3], ["t1", "s"], []), ([0, 1, 2, 3], ["t1", "s"], ["h"]), ([0, 2, 1, 3], ["s", "t1"], ["c"])],
)
def test_a_wrong_layout_is_named_where_it_begins(
    perm: list[int], order: list[str], culprit: list[str]
) -> None:
    nodes: list[Node] = [
        ("Reshape", ["x", "shape"], ["r"]),
        ("Transpose", ["r"], ["h"], {"perm": perm}),
        ("Tanh", ["h"], ["t"]),
        ("Add", ["t", "one"], ["t1"]),
        ("Sin", ["h"], ["s"]),
        ("Concat", order, ["c"], {"axis": 1}),
        ("Transpose", ["h"], ["k"], {"perm": [0, 1, 3, 2]}),
        ("Slice", ["k", "from", "to", "to"], ["k1"]),
        ("MatMul", ["c", "k1"], ["y"]),
    ]
    module = Layouts()
    model = write_model(
        nodes, module, shape=np.array([2, 4, 4, 4]), one=1.0, to=np.array([1]), **{"from": np.array([0])}
    )
    assert trace_both(module, model, {"x": torch.randn(2, 4, 16)}).suspects()[:1] == culprit


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        mask = torch.triu(torch.full((6, 6), torch.finfo(torch.float32).min), 1)
        return torch.softmax(x * 6**-0.5 + mask, -1)


def _masked(mask: float, number: float) -> Traced:
    nodes: list[Node] = [
        ("Sqrt", ["number"], ["root"]),
        ("Div", ["x", "root"], ["scaled"]),
        ("Add", ["scaled", "mask"], ["masked"]),
        ("Softmax", ["masked"], ["y"], {"axis": -1}),
    ]
    module = Masked()
    model = write_model(nodes, module, number=number, mask=np.triu(np.full((6, 6), mask, np.float32), 1))
    return trace_both(module, model, {"x": torch.randn(6, 6)})


def test_a_saturated_mask_neither_hides_nor_feigns_a_difference() -> None:
    assert _masked(float("-inf"), 6.0).suspects() == []
    assert _masked(-1e30, 6.0).localize().region == ()
    assert _masked(-1.0, 6.0).suspects() == ["masked"]


def test_what_takes_a_wrong_constant_is_named_and_not_what_computes_it_of_constants() -> None:
    traced = _masked(float("-inf"), 7.0)
    assert traced.suspects() == ["scaled"]
    assert traced.graph.by_name["root"].index in traced.matches.fixed


class Best(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = x.topk(3)
        return values * 2, indices.float() + 1


@pytest.mark.parametrize(("largest", "culprit"), [(1, []), (0, ["v"])])
def test_an_operator_with_several_results_is_one_suspect(largest: int, culprit: list[str]) -> None:
    nodes: list[Node] = [
        ("TopK", ["x", "k"], ["v", "i"], {"largest": largest}),
        ("Mul", ["v", "two"], ["y"]),
        ("Cast", ["i"], ["f"], {"to": 1}),
        ("Add", ["f", "one"], ["z"]),
    ]
    module = Best()
    model = write_model(nodes, module, ["y", "z"], k=np.array([3]), two=2.0, one=1.0)
    traced = trace_both(module, model, {"x": torch.randn(4, 9)})
    assert traced.suspects("y") == culprit
    assert traced.suspects("z") == culprit


class Gelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.gelu(self.a(x), approximate="tanh"))


def _gelu(*, cubic: float = 0.044715, through: int = 0) -> Traced:
    nodes: list[Node] = [
        ("Gemm", ["x", "a.weight", "a.bias"], ["a"], {"transB": 1}),
        ("Mul", ["a", "a"], ["square"]),
        ("Mul", ["square", "cubic"], ["inner"]),
        ("Add", ["inner", "one"], ["sum"]),
        ("Cast", ["sum"], ["down"], {"to": through or 1}),
        ("Cast", ["down"], ["up"], {"to": 1}),
        ("Mul", ["a", "up"], ["u"]),
        ("Mul", ["u", "scale"], ["v"]),
        ("Tanh", ["v"], ["t"]),
        ("Add", ["t", "one"], ["t1"]),
        ("Mul", ["a", "t1"], ["full"]),
        ("Mul", ["full", "half"], ["g"]),
        ("Gemm", ["g", "b.weight", "b.bias"], ["y"], {"transB": 1}),
    ]
    module = Gelu()
    model = write_model(nodes, module, cubic=cubic, one=1.0, scale=(2 / np.pi) ** 0.5, half=0.5)
    return trace_both(module, model, {"x": torch.randn(5, 6)})


def test_inner_tensors_of_a_decomposition_heal() -> None:
    traced = _gelu()
    assert any(not traced.matches.by_tensor[traced.graph.by_name[name].index] for name in ("inner", "full"))
    assert traced.suspects() == []


def test_a_fault_inside_a_decomposition_is_in_the_region() -> None:
    region = [op.node for op in _gelu(cubic=0.06).localize().region]
    assert "inner" in region
    assert "a" not in region


def test_a_narrowing_cast_inside_a_decomposition_is_named() -> None:
    assert _gelu(through=10).suspects()[0] == "down"


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sin(x)
        x = x + self.a(torch.tanh(x))
        return self.b(torch.tanh(x))


@pytest.mark.parametrize(("factor", "culprit"), [(1.0, []), (0.0, ["p"])])
def test_a_sum_that_is_one_of_its_terms_has_not_healed(factor: float, culprit: list[str]) -> None:
    nodes: list[Node] = [
        ("Sin", ["x"], ["s"]),
        ("Tanh", ["s"], ["t"]),
        ("MatMul", ["t", "wa"], ["p"]),
        ("Add", ["s", "p"], ["r"]),
        ("Tanh", ["r"], ["u"]),
        ("MatMul", ["u", "wb"], ["y"]),
    ]
    module = Residual()
    weights = {"wa": factor * module.a.weight.detach().numpy().T, "wb": module.b.weight.detach().numpy().T}
    traced = trace_both(module, write_model(nodes, module, **weights), {"x": torch.randn(5, 6)})
    assert traced.suspects()[:1] == culprit


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(x), torch.tanh(x)


def test_outputs_in_each_others_place_are_both_named() -> None:
    nodes: list[Node] = [("Tanh", ["x"], ["y"]), ("Sin", ["x"], ["z"])]
    module = Two()
    traced = trace_both(module, write_model(nodes, module, ["y", "z"]), {"x": torch.randn(5)})
    assert traced.suspects("y") == ["y"]
    assert traced.suspects("z") == ["z"]


def test_an_output_that_a_trace_lacks_has_no_suspect() -> None:
    assert _convolutions(_CONVOLUTIONS).localize("other").suspects == ()


class Bias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.fc(x))


@pytest.mark.parametrize(("bias", "culprit"), [(["fc.bias"], []), ([], ["g"])])
def test_a_layer_without_its_bias_is_named_itself(bias: list[str], culprit: list[str]) -> None:
    nodes: list[Node] = [("Gemm", ["x", "fc.weight", *bias], ["g"], {"transB": 1}), ("Tanh", ["g"], ["y"])]
    module = Bias()
    traced = trace_both(module, write_model(nodes, module), {"x": torch.randn(5, 6)})
    assert traced.suspects() == culprit
