"""Writes `build/epoch_1.pth`, in the layout of mmengine's runner: `python examples/mmengine/prepare.py`.

A network as after a little training: statistics and scales of its batch norms are not 0 and 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, init_default_scope
from torch import nn

HERE = Path(__file__).resolve().parent


def prepare(folder: Path) -> Path:
    """Builds the model of `folder` and writes its checkpoint there."""
    sys.path.insert(0, str(folder))
    config = Config.fromfile(folder / "configs" / "lidar.py")
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    hub = MessageHub.get_instance("lidar")
    hub.update_scalar("train/loss", 0.25)
    path = folder / "build" / "epoch_1.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(
        {
            "meta": {
                "cfg": config.pretty_text,
                "epoch": 1,
                "iter": 100,
                "dataset_meta": {"classes": ("car",)},
            },
            "state_dict": model.state_dict(),
            "message_hub": hub.state_dict(),
            "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
        },
        path,
    )
    return path


if __name__ == "__main__":
    print(f"wrote {prepare(HERE)}")
