import threading
import time
from pathlib import Path

import numpy as np
import pytest

from parity.worker.profiling import Meter, PeakMemory, Prepared, resident_bytes, time_runs


def test_warm_up_is_run_but_not_timed():
    calls = []
    latency = time_runs(lambda: calls.append("run"), lambda: calls.append("wait"), warmup=2, runs=3)
    assert len(latency.seconds) == 3
    assert latency.warmup == 2
    assert calls == ["run", "run", *["wait", "run", "wait"] * 3]


def test_queued_work_is_charged_to_its_own_run():
    started: list[threading.Thread] = []

    def run():
        thread = threading.Thread(target=time.sleep, args=(0.05,))
        thread.start()
        started.append(thread)

    latency = time_runs(run, lambda: [thread.join() for thread in started], warmup=1, runs=2)
    assert min(latency.seconds) >= 0.05


def test_no_runs_give_no_seconds():
    assert time_runs(lambda: None, lambda: None, warmup=0, runs=0).seconds == ()


MIB = 2**20


def test_peak_counts_what_was_freed_within_the_block():
    with PeakMemory() as without:
        pass
    with PeakMemory() as peak:
        np.ones(64 * MIB, np.uint8).sum()
    assert peak.rss_bytes >= without.rss_bytes + 60 * MIB


def test_peak_of_an_earlier_block_is_forgotten():
    if not _can_reset():
        pytest.skip("this system can't set the high-water mark of memory back")
    with PeakMemory() as high:
        np.ones(64 * MIB, np.uint8).sum()
    with PeakMemory() as low:
        pass
    assert low.rss_bytes <= high.rss_bytes - 60 * MIB


def test_peak_is_known_when_the_block_raises():
    with pytest.raises(ValueError, match="within"), PeakMemory() as peak:
        raise ValueError("within")
    assert peak.rss_bytes > 0


def _can_reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def test_without_proc_the_peak_of_the_process_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr("parity.worker.profiling._CLEAR_REFS", tmp_path / "none" / "clear_refs")
    monkeypatch.setattr("parity.worker.profiling._STATUS", tmp_path / "none" / "status")
    with PeakMemory() as peak:
        held = np.ones(64 * MIB, np.uint8)
    assert peak.rss_bytes >= held.nbytes


def test_a_meter_weighs_what_came_after_it_and_what_a_run_takes() -> None:
    meter = Meter(on_gpu=False)
    weights = np.ones(48 * MIB, np.uint8)
    prepared = Prepared("0", lambda: np.ones(32 * MIB, np.uint8).sum(), lambda: None)
    latency = meter.measure(prepared, warmup=1, runs=2)
    assert len(latency.seconds) == 2
    assert latency.own_bytes is not None
    assert 76 * MIB < latency.own_bytes < 90 * MIB
    assert latency.device_bytes is None
    assert weights.all()


def test_what_the_gate_itself_came_to_hold_is_left_out() -> None:
    meter, before = Meter(on_gpu=False), resident_bytes()
    exporter = np.ones(48 * MIB, np.uint8)
    meter.leave_out(resident_bytes() - before)
    latency = meter.measure(Prepared("0", lambda: None, lambda: None), warmup=0, runs=1)
    assert latency.own_bytes is not None
    assert latency.own_bytes < 8 * MIB
    assert exporter.all()
