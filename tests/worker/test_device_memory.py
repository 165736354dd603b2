"""What a process holds of a GPU: the driver's listing, and what there is without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parity.worker.device_memory import bytes_of, device_bytes

MIB = 2**20


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("4711, 512\n", 512 * MIB),
        ("12, 9\n4711, 512\n4711, 100\n", 612 * MIB),  # a process on two GPUs
        ("12, 9\n", None),
        ("4711, [N/A]\n", None),  # a driver that does not tell
        ("", None),
        ("No running processes found\n", None),
    ],
)
def test_the_listing_of_the_driver(listing: str, expected: int | None) -> None:
    assert bytes_of(listing, 4711) == expected


def test_a_driver_that_tells_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{os.getpid()}, 321'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert device_bytes(os.getpid()) == 321 * MIB


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 9\n"])
def test_without_a_driver_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(script)
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_bytes(os.getpid()) is None
