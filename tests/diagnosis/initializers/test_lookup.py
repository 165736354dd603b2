"""Initializers of exported networks are found in the checkpoint, and planted faults are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.architectures import ARCHITECTURES, EXPORTERS, build, exported
from torch import Tensor, nn

from parity.diagnosis.faults import FAULTS
from parity.diagnosis.initializers.findings import Finding, altered, summary
from parity.diagnosis.initializers.lookup import look_up

FAULTY = (
    "weight-scaled",
    "weight-element",
    "weight-channel-zeroed",
    "weight-channels-swapped",
    "weight-stale",
    "weight-transposed",
    "gate-order",
    "nan-weight",
    "norm-scale-reset",
    "batchnorm-statistics",
    "float16-constant",
    "bfloat16-constant",
    "int8-constant",
)
# What forward makes by itself: a causal mask, rotary tables, states of zeros, an affine grid, and the scales
# of one with which a group norm is written as an instance norm.
COMPUTED = {
    ("unet", "torchscript"): 6,
    ("unet", "dynamo"): 4,
    ("decoder", "torchscript"): 3,
    ("decoder", "dynamo"): 3,
    ("recurrent", "torchscript"): 2,
    ("recurrent", "dynamo"): 2,
    ("stn", "dynamo"): 1,
}
BOTH = [(name, exporter) for name in ARCHITECTURES for exporter in EXPORTERS]


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.name: each for each in findings}


@pytest.mark.parametrize(("name", "exporter"), BOTH)
def test_a_sound_file_is_found_and_never_blamed(name, exporter):
    findings = look_up(exported(name, exporter), "", state_of(build(name)))
    unknown = [each for each in findings if each.relation == "unknown"]
    assert not altered(findings)
    assert not [each for each in findings if each.relation == "scaled"]
    assert len(unknown) == COMPUTED.get((name, exporter), 0)
    assert len(findings) > len(unknown)
    assert summary(findings) is None


@pytest.mark.parametrize(("name", "exporter"), BOTH)
def test_a_planted_fault_is_named_with_its_parameter(name, exporter):
    """One site of each fault; no other tensor is blamed, and the mended file holds what the sound one did."""
    model, state = exported(name, exporter), state_of(build(name))
    sound = by_name(look_up(model, "", state))
    planted = 0
    for kind in FAULTY:
        sites = FAULTS[kind]().sites(model)
        for site in sites[len(sites) // 2 :][:1]:
            fault = FAULTS[kind]().plant(model, site)
            (finding,) = altered(look_up(fault.model, "", state))
            assert (finding.name, finding.parameter) == (fault.tensor, sound[site.tensor].parameter), kind
            assert finding.description is not None
            assert finding.description.kind == fault.cause_kind, (kind, finding.description)
            assert fault.node in finding.nodes
            mended = by_name(look_up(finding.mend(fault.model), "", state))
            assert mended[finding.name].relation == sound[site.tensor].relation
            planted += 1
    assert planted >= 8


@pytest.mark.parametrize(("name", "exporter"), BOTH)
def test_a_stale_file_is_named_as_one(name, exporter):
    model, state = exported(name, exporter), state_of(build(name))
    noisy = trained_on(state)
    sound, stale = by_name(look_up(model, "", state)), by_name(look_up(model, "", noisy))
    derived = [each for each in sound.values() if each.relation not in ("unknown", "split")]
    right = [
        each.name
        for each in derived
        if stale[each.name].relation == "altered" and stale[each.name].parameter == each.parameter
    ]
    assert len(right) >= 0.95 * len(derived)
    assert all(
        stale[each.name].relation == "unknown" for each in sound.values() if each.relation == "unknown"
    )
    said = summary(tuple(stale.values()))
    assert said is not None
    assert said.endswith("the file was exported from other weights")
    assert summary(tuple(sound.values())) is None


def trained_on(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every parameter a little off, as after another step; tied ones stay tied."""
    generator = torch.Generator().manual_seed(0)
    moved: dict[int, Tensor] = {}
    for value in state.values():
        if value.is_floating_point() and id(value) not in moved:
            size = value.detach().square().mean().sqrt()
            moved[id(value)] = value.detach() + 0.02 * size * torch.randn(value.shape, generator=generator)
    return {name: moved[id(value)] for name, value in state.items() if id(value) in moved}


# --- by hand


def model_of(*nodes: onnx.NodeProto, **constants: np.ndarray) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def used(value: np.ndarray, op: str = "Mul", name: str = "constant", node: str = "node") -> ModelProto:
    return model_of(helper.make_node(op, ["x", name], ["y"], name=node), **{name: value})


def only(model: ModelProto, state: dict[str, Tensor], folder: str = "") -> Finding:
    (finding,) = look_up(model, folder, state)
    return finding


W, V = torch.randn(2, 24, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("constant", "relation", "parameter"),
    [
        (W, "equal", "w"),
        (W.T, "transposed", "w"),
        (W.reshape(2, 12, 16), "reshaped", "w"),
        (W.half(), "cast", "w"),
        (W[8:16], "split", "w[8:16]"),
        (W[:, 8:].T, "split", "w[:, 8:16]"),
        (torch.cat([W, V]), "split", "w, v"),
        (W / 4, "scaled", "w"),
        (W * torch.linspace(0.5, 2, 24)[:, None], "scaled", "w"),
        (1 + W, "scaled", "w"),
        (torch.exp(W), "scaled", "w"),
        (torch.ones(24, 16), "unknown", ""),
        (torch.triu(torch.full((16, 24), -torch.inf)), "unknown", ""),
        (torch.cos(torch.arange(384.0)).reshape(24, 16), "unknown", ""),
    ],
)
def test_what_becomes_of_a_parameter(constant, relation, parameter):
    finding = only(used(constant.numpy()), {"w": W, "v": V})
    assert (finding.relation, finding.parameter, finding.nodes) == (relation, parameter, ("node",))


def test_of_many_parameters_the_altered_one_is_named():
    generator = torch.Generator().manual_seed(2)
    state = {f"layers.{i}.weight": torch.randn(32, 32, generator=generator) for i in range(50)}
    value = state["layers.17.weight"].numpy().T.copy()
    value[3] = 0
    finding = only(used(value, "MatMul"), state)
    assert (finding.relation, finding.parameter) == ("altered", "layers.17.weight")
    assert finding.description is not None
    assert finding.description.message == "channel 3 is all zeros"
    assert finding.expected is not None
    np.testing.assert_array_equal(finding.expected, state["layers.17.weight"].numpy().T)


def test_a_name_is_evidence_even_when_nothing_else_is():
    finding = only(used(W.numpy()[::-1, ::-1] ** 2, name="net.a.w"), {"a.w": W})
    assert (finding.relation, finding.parameter) == ("altered", "a.w")


def test_a_name_with_the_values_of_another_parameter():
    finding = only(used(V.numpy(), name="w"), {"w": W, "v": V})
    assert (finding.relation, finding.parameter) == ("altered", "w")
    assert finding.description is not None
    assert finding.description.message == "is v of the checkpoint"


def test_a_module_is_evidence_for_a_weight():
    """Values of another training, no name; the scope of the node says whose weight it is."""
    other = torch.randn(16, 24, generator=torch.Generator().manual_seed(3)).numpy()
    state = {"a.b.weight": W, "a.c.weight": W + 1}
    finding = only(used(other, "MatMul", "onnx::MatMul_7", "/a/b/MatMul"), state)
    assert (finding.relation, finding.parameter) == ("altered", "a.b.weight")
    assert only(used(other, "MatMul", "onnx::MatMul_7"), state).relation == "unknown"
    assert only(used(other, "Mul", "onnx::Mul_7", "/a/b/Mul"), state).relation == "unknown"


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 0.0123])
def test_a_folded_norm_has_its_eps_solved_for(eps):
    generator = torch.Generator().manual_seed(4)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    state = {
        "conv.weight": draw(8, 4, 3, 3),
        "bn.weight": 1 + 0.2 * draw(8),
        "bn.bias": draw(8),
        "bn.running_mean": draw(8),
        "bn.running_var": 0.5 + draw(8).square(),
    }
    scale = state["bn.weight"] / (state["bn.running_var"] + eps).sqrt()
    weight = state["conv.weight"] * scale[:, None, None, None]
    bias = state["bn.bias"] - state["bn.running_mean"] * scale
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    sound = look_up(model_of(node, w=weight.numpy(), b=bias.numpy()), "", state)
    assert [(each.relation, each.parameter) for each in sound] == [
        ("folded", "conv.weight, bn"),
        ("folded", "conv.bias, bn"),
    ]
    one, two = look_up(model_of(node, w=weight.numpy(), b=1.5 * bias.numpy()), "", state)
    assert (one.relation, two.relation) == ("folded", "altered")
    assert two.description is not None
    assert two.description.message == "is 1.5 times the expected"


def test_a_weight_that_forward_makes_is_not_blamed():
    state = {"conv.parametrizations.weight.original": W}
    assert only(used(0.713 * W.numpy(), "MatMul"), state).relation == "scaled"
    assert only(used(0.713 * W.numpy(), "MatMul"), {"conv.weight": W}).relation == "altered"


def test_external_data_are_read(tmp_path: Path):
    model = used(W.numpy(), name="w")
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0)
    bare = onnx.load(path, load_external_data=False)
    assert only(bare, {"w": W}, str(tmp_path)).relation == "equal"
    finding = only(bare, {"w": 2 * W}, str(tmp_path))
    assert only(finding.mend(bare), {"w": 2 * W}, str(tmp_path)).relation == "equal"


def test_only_what_is_altered_can_be_mended():
    model = used(W.numpy())
    with pytest.raises(ValueError, match="not altered"):
        only(model, {"w": W}).mend(model)


def test_a_file_that_was_rounded_says_so():
    state = {f"{name}.weight": W + i for i, name in enumerate("abc")}
    nodes = [helper.make_node("Mul", ["x", name], [f"y{name}"]) for name in state]
    rounded = {name: value.half().float().numpy() for name, value in state.items()}
    said = summary(look_up(model_of(*nodes, **rounded), "", state))
    assert said == "3 of 3 initializers differ from the checkpoint: each is rounded to float16"
