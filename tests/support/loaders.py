"""One small project for each loader: what `model:` says, its inputs, and how its checkpoint is spoilt.

Each is a folder with files made on the spot; none needs a network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

EXAMPLE = Path(__file__).parents[2] / "examples" / "mmengine"

MODEL = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width, eps=1e-3)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        features = torch.relu(self.norm(self.conv(x)))
        return self.head(features.mean((2, 3))), features
"""
BERT = {
    "model_type": "bert",
    "architecture": "BertForSequenceClassification",
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
}
IMAGE = {"x": {"shape": [2, 3, 8, 8], "dtype": "float32"}}
TOKENS = {"input_ids": {"shape": [2, 8], "dtype": "int64", "distribution": "integers", "low": 0, "high": 40}}


@dataclass(frozen=True)
class LoaderProject:
    """What a loader's test needs to know: `model` names files that are there, `spoil` damages one of them."""

    model: dict[str, Any]
    spoil: Callable[[Path], None]
    said: str  # of the spoilt one, in the problem
    tensors: dict[str, Any] = field(default_factory=lambda: dict(IMAGE))
    exporter: str = "dynamo"
    evaluated: bool = True  # in float64, so that there are noise floors and causes


def network() -> nn.Module:
    """The network of MODEL as after training, in eval mode, always with the same weights."""
    scope: dict[str, Any] = {"__name__": "model"}
    exec(MODEL, scope)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: nn.Module = scope["Net"]()
        nn.init.uniform_(net.norm.running_var, 0.5, 2.0)  # type: ignore[union-attr,arg-type]
    return net.eval()


def _python(root: Path) -> LoaderProject:
    (root / "model.py").write_text(MODEL)
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in network().state_dict().items()}}, root / "last.ckpt"
    )

    def spoil(root: Path) -> None:
        torch.save({"state_dict": {"model.conv.weight": torch.ones(1)}}, root / "last.ckpt")

    return LoaderProject(
        {"target": "model.py:Net", "checkpoint": "last.ckpt"},
        spoil,
        "not a checkpoint of this model",
        exporter="torchscript",
    )


def _torchscript(root: Path) -> LoaderProject:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript as a whole
        torch.jit.trace(network(), torch.ones(1, 3, 8, 8)).save(str(root / "model.ts"))

    def spoil(root: Path) -> None:
        torch.save(network().state_dict(), root / "model.ts")

    model = {"loader": "torchscript", "target": "model.ts"}
    return LoaderProject(
        model, spoil, "model.ts is no TorchScript archive", exporter="torchscript", evaluated=False
    )


def _exported_program(root: Path) -> LoaderProject:
    program = torch.export.export(network(), (torch.ones(2, 3, 8, 8),))
    torch.export.save(program, root / "model.pt2")

    def spoil(root: Path) -> None:
        (root / "model.pt2").write_bytes((root / "model.pt2").read_bytes()[:1000])

    model = {"loader": "exported-program", "target": "model.pt2"}
    return LoaderProject(model, spoil, "model.pt2 is no exported program")


def _transformers(root: Path) -> LoaderProject:
    from transformers import BertConfig, BertForSequenceClassification

    settings = {key: value for key, value in BERT.items() if key not in {"model_type", "architecture"}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertForSequenceClassification(BertConfig(**settings)).save_pretrained(root / "bert")

    def spoil(root: Path) -> None:
        path = root / "bert" / "model.safetensors"
        weights = load_file(path)
        del weights["classifier.weight"]
        save_file(weights, path, {"format": "pt"})

    model = {"loader": "transformers", "config": "bert", "args": {"attn_implementation": "eager"}}
    return LoaderProject(model, spoil, "1 missing (classifier.weight)", TOKENS)


def _mmengine(root: Path) -> LoaderProject:
    copy_example(root)
    checkpoint = root / "epoch_1.pth"
    prepare_mmengine(root).rename(checkpoint)

    def spoil(root: Path) -> None:
        data = torch.load(checkpoint, weights_only=False)
        data["state_dict"]["backbone.stages.2.0.0.weight"] = torch.ones(1)
        torch.save(data, checkpoint)

    model = {"loader": "mmengine", "config": "configs/lidar.py", "checkpoint": "epoch_1.pth"}
    model["target"] = "parts.py:BackboneHead"
    tensors = {"canvas": {"shape": [1, 16, 32, 32], "dtype": "float32"}}
    return LoaderProject(model, spoil, "backbone.stages.2.0.0.weight", tensors)


def copy_example(root: Path) -> None:
    """The example of an mmengine project, without what is made in it."""
    shutil.copytree(EXAMPLE, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", "__pycache__"))


def prepare_mmengine(root: Path) -> Path:
    """Writes the checkpoint of a copy of the example, in a process of its own as its user does; its path."""
    subprocess.run([sys.executable, str(root / "prepare.py")], check=True, capture_output=True, timeout=120)
    return root / "build" / "epoch_1.pth"


PROJECTS: dict[str, Callable[[Path], LoaderProject]] = {
    "python": _python,
    "mmengine": _mmengine,
    "transformers": _transformers,
    "torchscript": _torchscript,
    "exported-program": _exported_program,
}
