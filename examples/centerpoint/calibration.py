"""Weights that stand in for trained ones: seeded, with activations of the size that a trained network has.

Nobody ships a trained checkpoint in a repository, and freshly initialised layers with untouched batch norms
shrink their activations from layer to layer, until no fault is large enough to be seen. So the batch-norm
statistics are measured on simulated sweeps, and the last convolutions scaled to what the heads predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from config import Voxelization, load_config
from model import build_backbone_head, build_voxel_encoder
from scanner import simulate_sweep
from torch import Tensor, nn
from voxelize import decorate, scatter, voxelize

SEED = 20
SWEEPS = (100, 101)  # seeds of the sweeps that are measured; the gate's own inputs are others
CHECK_SWEEP = 110
STAGES = ("pfn_layers", "backbone.blocks", "neck.deblocks")
ACTIVATIONS = (0.1, 10.0)  # the standard deviations that a stage may have

# What a trained head puts out: mean (None: the bias stays), standard deviation.
HEAD_SCALES: dict[str, tuple[float | None, float]] = {
    "heatmap": (None, 1.5),  # logits
    "reg": (0.5, 0.25),  # of a pillar
    "height": (-1.0, 0.6),  # metres
    "dim": (0.9, 0.5),  # logarithms of metres
    "rot": (0.0, 0.6),  # sine and cosine
    "vel": (0.0, 2.0),  # metres a second
}


def calibrated(config: str | Path) -> tuple[nn.Module, nn.Module]:
    """The voxel encoder and the backbone with neck and head, in eval mode. The same for the same seed."""
    grid = load_config(config).voxelization
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        encoder, network = build_voxel_encoder(config), build_backbone_head(config)
        inputs = [_inputs(seed, grid) for seed in SWEEPS]
        _balance_units(encoder, inputs[0][0])
        _vary_norms(encoder)
        _vary_norms(network)
        with _measuring_statistics(encoder), _measuring_statistics(network):
            for features, coords in inputs:
                network(scatter(encoder(features), coords, grid))
        features, coords = inputs[0]
        _scale_heads(network, network(scatter(encoder(features), coords, grid)))
    return encoder, network


def activations(encoder: nn.Module, network: nn.Module, config: str | Path) -> dict[str, float]:
    """Standard deviation of each stage's output on a sweep that the calibration has not seen.

    Raises:
        ValueError: one is out of `ACTIVATIONS`: faults and rounding would not have their real size.
    """
    grid = load_config(config).voxelization
    stages = {
        name: module
        for part in (encoder, network)
        for name, module in part.named_modules()
        if name.rpartition(".")[0] in STAGES or name == "head.shared_conv"
    }
    deviations: dict[str, float] = {}

    def record(name: str, output: Tensor) -> None:
        deviations[name] = output.std().item()

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: record(name, output))
        for name, module in stages.items()
    ]
    features, coords = _inputs(CHECK_SWEEP, grid)
    with torch.no_grad():
        for name, output in network(scatter(encoder(features), coords, grid)).items():
            record(name, output)
    for hook in hooks:
        hook.remove()
    low, high = ACTIVATIONS
    if wrong := {name: std for name, std in deviations.items() if not low <= std <= high}:
        raise ValueError(f"activations are not of real scale: {wrong}")
    return deviations


def _inputs(seed: int, grid: Voxelization) -> tuple[Tensor, Tensor]:
    """The encoder's input and the pillars' coordinates."""
    pillars = voxelize(torch.from_numpy(simulate_sweep(seed)), grid)
    return decorate(pillars, grid), pillars.coords


def _balance_units(encoder: nn.Module, features: Tensor) -> None:
    """Divides the first weights by the size of their inputs, as training brings about.

    Metres up to 121 and intensities up to 255 would drown the offsets of a few centimetres otherwise.
    """
    weight = encoder.get_parameter("pfn_layers.0.linear.weight")
    points = features[features.abs().amax(dim=2) > 0]  # without the padding
    weight.div_(points.std(dim=0))


def _vary_norms(part: nn.Module) -> None:
    """Gives each channel a scale and a shift of its own: equal ones would hide that two were swapped."""
    for norm in _norms(part):
        norm.weight.uniform_(0.6, 1.4)
        norm.bias.normal_(0.0, 0.2)


@contextmanager
def _measuring_statistics(part: nn.Module) -> Iterator[None]:
    """In train mode, every batch norm averages the statistics of what it sees; eval mode afterwards."""
    norms = _norms(part)
    momenta = [norm.momentum for norm in norms]
    part.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average instead of a moving one
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    part.eval()


def _norms(part: nn.Module) -> Sequence[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in part.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


def _scale_heads(network: nn.Module, outputs: dict[str, Tensor]) -> None:
    """Brings each channel of the last convolutions to the mean and deviation of `HEAD_SCALES`."""
    for name, output in outputs.items():
        mean, deviation = HEAD_SCALES[name]
        path = f"head.task_heads.0.{name}.1"
        weight, bias = network.get_parameter(f"{path}.weight"), network.get_parameter(f"{path}.bias")
        channels = output.transpose(0, 1).flatten(1)
        factor = deviation / channels.std(dim=1)
        weight.mul_(factor.view(-1, 1, 1, 1))
        if mean is not None:
            bias.copy_(mean - (channels.mean(dim=1) - bias) * factor)
