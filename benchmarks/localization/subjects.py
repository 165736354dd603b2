"""The networks: ten families, CenterPoint's two components in a small configuration, and one of depth 100."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "centerpoint"
for _folder in (str(ROOT / "tests"), str(EXAMPLE)):
    if _folder not in sys.path:
        sys.path.append(_folder)

from support import architectures  # noqa: E402

from . import unseen  # noqa: E402

CANVAS = (1, 32, 16, 16)
SUBJECTS: dict[str, bool] = dict.fromkeys(architectures.ARCHITECTURES, True) | {
    "centerpoint-encoder": True,
    "centerpoint-head": True,
    "depth100": False,
}
"""By name; False: for false alarms only."""

_CENTERPOINT = ("centerpoint-encoder", "centerpoint-head")


class Depth100(nn.Module):
    """A hundred convolutions in a row, through which rounding adds up."""

    input_names: ClassVar[tuple[str, ...]] = ("x",)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(100):
            layers += [nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, H, W) -> (batch, 2, H, W)."""
        result: Tensor = self.head(self.body(x))
        return result


class SmallResNet(nn.Module):
    """For the peers' known figures: some 50 ONNX nodes, 11 MB, batch norms that the dynamo exporter fuses."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        widths, strides = (32, 48, 96, 176, 176), (2, 2, 2, 1)
        figures = zip(widths[:-1], widths[1:], strides, strict=True)
        self.blocks = nn.Sequential(*(_Stage(*each) for each in figures))
        self.fc = nn.Linear(176, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, 128, 128) -> (batch, 1000)."""
        result: Tensor = self.fc(self.blocks(self.stem(x)).mean((2, 3)))
        return result


class _Block(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        same = stride == 1 and width == out
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class _Stage(nn.Sequential):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__(_Block(width, out, stride), _Block(out, out, 1))


def build(name: str) -> nn.Module:
    """A network by name, always with the same weights; norms have statistics as after training."""
    if name in architectures.ARCHITECTURES:
        known: nn.Module = architectures.build(name)
        return known
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(sum(name.encode()))
        if name in unseen.UNSEEN:
            return unseen.build(name).eval()
        module = _BUILDERS[name]()
        for each in module.modules():
            _as_after_training(each)
    return module.eval()


def inputs(name: str, seed: int) -> dict[str, Tensor]:
    """Inputs by the names of the forward's parameters; another seed, other values of the same shapes."""
    if name in architectures.ARCHITECTURES:
        architecture = architectures.ARCHITECTURES[name]
        return dict(zip(architecture.input_names, build_inputs(name, seed), strict=True))
    if name in unseen.UNSEEN:
        return unseen.inputs(name, seed)
    shape = {
        "centerpoint-encoder": (24, 8, 11),
        "centerpoint-head": CANVAS,
        "depth100": (1, 3, 16, 16),
        "small-resnet": (1, 3, 128, 128),
        "centerpoint-large": (1, 32, 352, 352),
    }[name]
    parameter = {"centerpoint-encoder": "input_features"}.get(name, "spatial_features")
    generator = torch.Generator().manual_seed(seed)
    return {parameter if name.startswith("centerpoint") else "x": torch.randn(shape, generator=generator)}


def build_inputs(name: str, seed: int) -> tuple[Tensor, ...]:
    """Of one of the ten families."""
    found: tuple[Tensor, ...] = architectures.build(name).example_inputs(seed)
    return found


def opset(name: str) -> int:
    """The least opset that has its operators."""
    known = architectures.ARCHITECTURES.get(name)
    return known.opset if known else 18


def _centerpoint(part: str, *, small: bool = True) -> nn.Module:
    """One component of the example; small: few channels and layers."""
    import model
    import yaml

    path = EXAMPLE / "configs" / "small.yaml"
    make: Callable[[str | Path], nn.Module] = getattr(model, f"build_{part}")
    if not small:
        return make(path)
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["backbone"] |= {"out_channels": [8, 16, 16], "layer_nums": [1, 1, 1]}
    config["neck"] |= {"out_channels": [8, 8, 8]}
    config["head"] |= {"shared_channels": 16}
    with tempfile.TemporaryDirectory() as folder:
        reduced = Path(folder) / "reduced.yaml"
        reduced.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return make(reduced)


_BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "centerpoint-encoder": lambda: _centerpoint("voxel_encoder"),
    "centerpoint-head": lambda: _centerpoint("backbone_head"),
    "centerpoint-large": lambda: _centerpoint("backbone_head", small=False),
    "depth100": Depth100,
    "small-resnet": SmallResNet,
}


def _as_after_training(module: nn.Module) -> None:
    """Activations stay of order 1; scales and statistics of norms are not 0 and 1."""
    if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.normal_(module.bias, 0.0, 0.1)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        nn.init.normal_(module.weight, 1.0, 0.2)
        nn.init.normal_(module.bias, 0.0, 0.2)
        assert module.running_mean is not None
        assert module.running_var is not None
        nn.init.normal_(module.running_mean, 0.0, 0.3)
        nn.init.uniform_(module.running_var, 0.5, 2.0)
