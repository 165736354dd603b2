"""Every fault on every exported network: where it applies, that it runs, and that it is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from support.architectures import ARCHITECTURES, EXPORTERS, build, exported

from parity.diagnosis.faults import FAULTS, Planted, choose, find_sites
from parity.diagnosis.faults.planting import CauseKind

# Where each fault applies at least, in the files of both exporters.
APPLIES = {
    "weight-scaled": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "weight-element": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "weight-channel-zeroed": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "weight-channels-swapped": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "weight-stale": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "weight-transposed": "vit bert decoder",
    "gate-order": "recurrent",
    "nan-weight": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "norm-scale-reset": "resnet convnext unet vit bert",
    "batchnorm-statistics": "resnet",
    "batchnorm-epsilon": "resnet",
    "norm-epsilon": "convnext unet vit bert",
    "pads-shifted": "resnet mobilenet convnext unet recurrent detector stn",
    "dilation": "resnet mobilenet convnext unet recurrent detector stn",
    "slope": "mobilenet unet recurrent",
    "gelu-approximation": "convnext",
    "softmax-axis": "vit bert decoder recurrent",
    "resize-mode": "unet",
    "resize-coordinates": "unet",
    "pool-count-include-pad": "unet",
    "transpose-perm": "convnext bert decoder recurrent",
    "grid-align-corners": "stn",
    "depth-to-space-mode": "unet",
    "gru-linear-before-reset": "recurrent",
    "pad-mode": "unet",
    "topk-largest": "detector",
    "clip-bounds": "mobilenet detector",
    "slice-shifted": "",  # the exporters split where the other slices
    "gather-index": "vit bert",
    "reduce-axis": "mobilenet",
    "attention-scale": "vit bert decoder",
    "mask-constant": "bert decoder",
    "epsilon-constant": "decoder",
    "relu-dropped": "resnet mobilenet detector",
    "activation-dropped": "mobilenet convnext unet bert decoder recurrent detector stn",
    "residual-dropped": "resnet mobilenet convnext vit bert decoder detector",
    "bias-dropped": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "activation-replaced": "resnet mobilenet convnext unet bert decoder recurrent detector stn",
    "pool-replaced": "resnet mobilenet convnext unet decoder detector stn",
    "operands-swapped": "vit bert decoder detector",
    "concat-order": "unet vit decoder detector",
    "output-order": "detector",
    "erf-as-tanh": "vit bert",
    "float16-round-trip": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "bfloat16-round-trip": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "cast-truncation": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "float16-constant": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "bfloat16-constant": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
    "int8-constant": "resnet mobilenet convnext unet vit bert decoder recurrent detector stn",
}
NOISE = 1e-5  # relative; ten times what float32 makes of these networks


@dataclass(frozen=True)
class Trial:
    """One planted fault after it ran."""

    planted: Planted
    effect: float  # greatest difference over greatest value, the worst output; nan where NaN came out


@cache
def trials(architecture: str, exporter: str) -> dict[str, Trial]:
    """One site of each fault that applies, planted and run, all checks of a planted model made."""
    model = exported(architecture, exporter)
    before = model.SerializeToString(deterministic=True)
    sound = _session(model)
    inputs = build(architecture).example_inputs(1)
    feeds = {each.name: x.numpy() for each, x in zip(sound.get_inputs(), inputs, strict=True)}
    expected = sound.run(None, feeds)
    found = {}
    for name, sites in find_sites(model, FAULTS.values()).items():
        planted = FAULTS[name]().plant(model, choose(sites, seed=0))
        onnx.checker.check_model(planted.model, full_check=True)
        outputs = _session(planted.model).run(None, feeds)
        assert [(each.shape, each.dtype) for each in outputs] == [
            (each.shape, each.dtype) for each in expected
        ]
        found[name] = Trial(planted, _effect(outputs, expected))
    assert model.SerializeToString(deterministic=True) == before, "the original was changed"
    return found


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _effect(outputs: list[np.ndarray], expected: list[np.ndarray]) -> float:
    pairs = [
        (one.astype(np.float64), other.astype(np.float64))
        for one, other in zip(outputs, expected, strict=True)
    ]
    return float(np.max([np.abs(one - other).max() / np.abs(other).max() for one, other in pairs]))


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_planted_models_run_and_say_what_is_wrong(architecture: str, exporter: str) -> None:
    found = trials(architecture, exporter)
    assert {name for name, where in APPLIES.items() if architecture in where.split()} <= set(found)
    for name, trial in found.items():
        planted = trial.planted
        nodes = {node.name: node for node in planted.model.graph.node}
        assert planted.fault == name
        assert planted.node in planted.accepted
        assert set(planted.accepted) <= set(nodes)
        assert nodes[planted.node].op_type == planted.op_type
        assert planted.message.startswith(f"{planted.node}: ")
        assert "module" in planted.message
        if planted.tensor:
            constants = {each.name for each in planted.model.graph.initializer}
            assert planted.tensor in constants | {each for node in nodes.values() for each in node.output}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_changes_outputs_beyond_rounding(name: str) -> None:
    """A single site may lie where it does no harm: a bias before an instance norm, a dead channel."""
    effects = [
        found[name].effect
        for architecture in ARCHITECTURES
        for exporter in EXPORTERS
        if name in (found := trials(architecture, exporter))
    ]
    assert effects
    felt = [effect for effect in effects if not effect <= NOISE]  # NaN is felt
    assert len(felt) >= 0.7 * len(effects)
    if FAULTS[name].cause_kind == "nan":
        assert all(np.isnan(effect) for effect in effects)


def test_registry() -> None:
    assert set(APPLIES) == set(FAULTS)
    assert len(FAULTS) >= 25
    assert {fault.cause_kind for fault in FAULTS.values()} == set(get_args(CauseKind))
    assert all(fault.name == name for name, fault in FAULTS.items())


def test_sites_are_found_alike_alone_and_together() -> None:
    model = exported("bert", "torchscript")
    together = find_sites(model, FAULTS.values())
    assert together == {name: sites for name, fault in FAULTS.items() if (sites := fault().sites(model))}


def test_the_same_seed_plants_the_same_model() -> None:
    model = exported("vit", "dynamo")
    for name, sites in find_sites(model, FAULTS.values()).items():
        one, other = (FAULTS[name]().plant(model, choose(sites, seed=7)).model for _ in range(2))
        assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    assert len({choose(sites, seed) for seed in range(20)}) > 1


def test_no_site_is_an_error() -> None:
    with pytest.raises(ValueError, match="no site"):
        choose((), 0)
