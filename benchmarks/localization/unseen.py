"""Networks that the diagnosis was not built on: those of transformers in `models`, by the name ``hf-...``.

Their norms and biases are given statistics as after training, since a fault in a bias of zero is none.
"""

from __future__ import annotations

from pathlib import Path

import torch
from models.architecture import Architecture
from models.of_transformers import TRANSFORMERS
from torch import Tensor, nn

from parity.records.jobs import ModelJob
from parity.worker.modules import build_module

UNSEEN: dict[str, Architecture] = {f"hf-{each.name}": each for each in TRANSFORMERS}


def build(name: str) -> nn.Module:
    """The network with the same random weights each time."""
    module, _ = build_module(ModelJob(**UNSEEN[name].model), Path())
    with torch.no_grad():
        for parameter_name, parameter in module.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.add_(torch.empty_like(parameter).normal_(0.0, 0.05))
        for each in module.modules():
            if isinstance(each, nn.LayerNorm | nn.modules.batchnorm._BatchNorm) and each.weight is not None:
                nn.init.normal_(each.weight, 1.0, 0.2)
            if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.running_mean is not None:
                assert each.running_var is not None
                nn.init.normal_(each.running_mean, 0.0, 0.3)
                nn.init.uniform_(each.running_var, 0.5, 2.0)
    return module


def inputs(name: str, seed: int) -> dict[str, Tensor]:
    """Of one network: ids and pictures at random, a mask that hides the end of the last row."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for key, about in UNSEEN[name].tensors.items():
        shape = about["shape"]
        if about.get("distribution") == "integers":
            found[key] = torch.randint(about["low"], about["high"], shape, generator=generator)
        elif about.get("distribution") == "ones":
            found[key] = torch.ones(shape, dtype=torch.int64)
            found[key][-1, -shape[-1] // 4 :] = 0
        else:
            found[key] = torch.randn(shape, generator=generator)
    return found
