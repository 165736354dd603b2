"""Memory that stays with the process, seen in the kernel's own counters."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import psutil
import pytest

from parity.records.jobs import MEMORY_LIMIT
from parity.worker import allocator
from parity.worker.allocator import has_room, reusing_memory
from parity.worker.profiling import PeakMemory, high_water_mark, resident_bytes

MIB = 2**20
LARGE = 64 * MIB  # above what glibc ever keeps by itself
PAGES = LARGE // resource.getpagesize()


def faults_of_a_tensor() -> int:
    """Pages that the kernel hands out for a new large array, which is freed again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(LARGE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_ROOM", 0)


@pytest.mark.usefixtures("roomy")
def test_a_second_tensor_takes_the_memory_of_the_first() -> None:
    with reusing_memory():
        faults_of_a_tensor()
        assert faults_of_a_tensor() < PAGES / 10


@pytest.mark.usefixtures("roomy")
def test_afterwards_all_is_as_it_was() -> None:
    before = resident_bytes()
    with reusing_memory():
        faults_of_a_tensor()
    assert resident_bytes() < before + LARGE / 2
    faults_of_a_tensor()
    assert resident_bytes() < before + LARGE / 2


def test_nothing_is_kept_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_ROOM", 2**40)
    with reusing_memory():
        faults_of_a_tensor()
        before = resident_bytes()
        faults_of_a_tensor()
        assert resident_bytes() < before + LARGE / 2


@pytest.mark.parametrize(("limit", "room"), [("max", True), (str(40 * MIB), False), (str(2**50), True)])
def test_a_container_s_limit_counts(
    limit: str, room: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{32 * MIB}\n")
    monkeypatch.setattr(allocator, "_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(allocator, "_TAKEN", tmp_path / "memory.current")
    monkeypatch.setattr(allocator, "_ROOM", 1)
    assert has_room() is room


@pytest.mark.parametrize(("spare", "room"), [(2.0, True), (0.5, False)])
def test_the_limit_of_the_specification_counts(
    spare: float, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocator, "_ROOM", 1)
    held = psutil.Process().memory_info().rss
    monkeypatch.setenv(MEMORY_LIMIT, str(held + int(spare * high_water_mark())))
    assert has_room() is room


def test_what_the_last_run_held_counts_though_it_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_ROOM", 1)
    with PeakMemory():
        np.ones(4 * LARGE, np.uint8)
    held = psutil.Process().memory_info().rss
    monkeypatch.setenv(MEMORY_LIMIT, str(2 * held + 3 * LARGE))
    assert has_room() is False
