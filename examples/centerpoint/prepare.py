"""Makes what the example needs and the repository does not hold: `build/NAME/` for `configs/NAME.yaml`.

    python examples/centerpoint/prepare.py [--config CONFIG]

- `voxel_encoder.pth`, `backbone_head.safetensors`: the checkpoints (see `calibration.py`).
- `broken/pts_voxel_encoder.onnx`, `broken/pts_backbone_neck_head.onnx`: a sound file and one with a fault.

The same bytes each time on one machine with the same number of threads. There is nothing to do when all is
there and no source has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = ("calibration.py", "config.py", "faults.py", "model.py", "prepare.py", "scanner.py", "voxelize.py")
PACKAGES = ("torch", "numpy", "onnx", "safetensors")
STAMP = "prepared.json"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Makes the example's checkpoints and its broken ONNX file.")
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "small.yaml")
    config: Path = parser.parse_args(arguments).config
    started = time.perf_counter()
    directory = HERE / "build" / config.stem
    if prepare(config, directory):
        print(f"made {directory} in {time.perf_counter() - started:.0f} s")
    else:
        print(f"{directory} is up to date")


def prepare(config: Path, directory: Path) -> bool:
    """Makes the files for `config` in `directory` unless they are there; whether there was work to do."""
    fingerprint = _fingerprint(config)
    if _up_to_date(directory, fingerprint):
        return False
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Made aside and moved into place whole: an interrupted run leaves no half of it.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as aside:
        made = Path(aside) / directory.name
        made.mkdir()
        _make(config, made)
        files = {str(path.relative_to(made)): _digest(path) for path in made.rglob("*") if path.is_file()}
        stamp = {"fingerprint": fingerprint, "files": files}
        (made / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(directory, ignore_errors=True)
        made.rename(directory)
    return True


def _make(config: Path, directory: Path) -> None:
    # Imported here: PyTorch alone takes longer to load than an up-to-date folder to check.
    import torch
    from calibration import activations, calibrated
    from faults import write_broken_onnx
    from safetensors.torch import save_file

    encoder, network = calibrated(config)
    for name, deviation in activations(encoder, network, config).items():
        print(f"  {name:<20} standard deviation {deviation:.2f}")
    torch.save({"state_dict": encoder.state_dict()}, directory / "voxel_encoder.pth")
    save_file(network.state_dict(), directory / "backbone_head.safetensors")
    write_broken_onnx(encoder, network, directory / "broken")


def _fingerprint(config: Path) -> str:
    """Of all that the files are made from: sources, configuration, versions of the packages."""
    parts = [_digest(HERE / name) for name in SOURCES]
    parts += [_digest(config), *(version(package) for package in PACKAGES), sys.version]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _up_to_date(directory: Path, fingerprint: str) -> bool:
    """Whether the stamp is of these sources, and every file still as it was made."""
    try:
        stamp = json.loads((directory / STAMP).read_text(encoding="utf-8"))
        return stamp["fingerprint"] == fingerprint and all(
            _digest(directory / name) == digest for name, digest in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
