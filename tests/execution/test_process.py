"""A worker process by itself: what becomes of its limits and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from parity.execution.process import WorkerProcess
from parity.execution.side import Side
from parity.records.inputs import Distribution, GeneratedInputs
from parity.records.jobs import MEMORY_LIMIT, ComponentJob, ModelJob, Numerics
from parity.records.outcomes import Crashed, Failed, Loaded, Materialized, OutOfMemory, TimedOut
from parity.records.plan import Limits
from parity.records.requests import LoadReference, MaterializeProvider, MaterializeSet, OpenSession

LIMITS = Limits(timeout_s=60, memory_bytes=None)
Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a reference worker that has loaded a model of one ReLU, and ends it after the test."""
    workers: list[WorkerProcess] = []

    def make(limits: Limits = LIMITS) -> WorkerProcess:
        workers.append(WorkerProcess("reference", tmp_path / "log", limits))
        assert isinstance(workers[-1].request(model(tmp_path)), Loaded)
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def model(root: Path) -> LoadReference:
    text = "import torch\ndef build():\n    print('built')\n    return torch.nn.ReLU()\n"
    (root / "model.py").write_text(text)
    job = ModelJob(loader="python", target="model.py:build")
    return LoadReference(
        components=(ComponentJob(name="model", model=job, onnx=""),),
        pipeline=None,
        device="cpu",
        numerics=Numerics(),
        base_dir=str(root),
    )


def inputs(directory: Path) -> MaterializeSet:
    ones = Distribution(name="x", shape=(2, 3), dtype="float32", distribution="ones")
    return MaterializeSet(
        id="a", source=GeneratedInputs(tensors=(ones,), seed=(0,)), directory=str(directory)
    )


def provider(root: Path, body: str) -> MaterializeProvider:
    text = f"import os, subprocess, time\ndef samples():\n    {body}\n    yield {{}}\n"
    (root / "data.py").write_text(text)
    return MaterializeProvider(target="data.py:samples", samples=None, index=0, directory=str(root))


def test_an_answer_leaves_the_worker_alive(start: Start, tmp_path: Path) -> None:
    worker = start()
    for _ in range(2):
        answer = worker.request(inputs(tmp_path / "inputs"))
        assert isinstance(answer, Materialized)
        assert answer.sets[0].tensors[0].shape == (2, 3)
    assert worker.alive
    worker.close()
    assert not worker.alive


def test_a_request_of_the_other_side_is_an_error_not_a_hang(start: Start) -> None:
    assert isinstance(start().request(OpenSession(component="model")), Failed)


def test_a_death_carries_the_last_words(start: Start, tmp_path: Path) -> None:
    worker = start()
    outcome = worker.request(provider(tmp_path, "print('last words', flush=True); os.kill(os.getpid(), 6)"))
    assert isinstance(outcome, Crashed)
    assert outcome.signal == "SIGABRT"
    assert "last words" in outcome.stderr_tail
    assert not worker.alive


def test_a_timeout_ends_the_whole_group(start: Start, tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    body = f"child = subprocess.Popen(['sleep', '600']); {note}; time.sleep(600)"
    worker = start(Limits(timeout_s=20, memory_bytes=None))
    assert isinstance(worker.request(provider(tmp_path, body)), TimedOut)
    child = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_memory_beyond_the_limit_is_named_with_both_figures(start: Start, tmp_path: Path) -> None:
    worker = start(Limits(timeout_s=60, memory_bytes=2**30))
    outcome = worker.request(provider(tmp_path, "hoard = bytearray(b'x') * (3 * 2**30); time.sleep(60)"))
    assert isinstance(outcome, OutOfMemory)
    assert outcome.reached_bytes > outcome.limit_bytes == 2**30


@pytest.mark.parametrize("limit", [None, 2**40])
def test_a_worker_knows_its_limit(limit: int | None, start: Start, tmp_path: Path) -> None:
    worker = start(Limits(timeout_s=60, memory_bytes=limit))
    answer = worker.request(provider(tmp_path, f"raise OSError(os.environ.get({MEMORY_LIMIT!r}))"))
    assert isinstance(answer, Failed)
    assert f"OSError: {limit}" in answer.problem + answer.detail


def test_a_dead_worker_is_replaced_and_set_up_again(tmp_path: Path) -> None:
    with Side("reference", tmp_path / "log", LIMITS) as side:
        assert isinstance(side.set_up(model(tmp_path), Loaded), Loaded)
        assert isinstance(side.ask(provider(tmp_path, "os._exit(3)"), Materialized), Crashed)
        assert isinstance(side.ask(inputs(tmp_path / "inputs"), Materialized), Materialized)
    assert (tmp_path / "log").read_text().count("built") == 2


def test_an_abandoned_side_answers_nothing_more(tmp_path: Path) -> None:
    with Side("reference", tmp_path / "log", LIMITS) as side:
        side.start()
        side.abandon()
        assert isinstance(side.ask(inputs(tmp_path), Materialized), Failed)


def test_only_this_workers_own_words_are_shown_whatever_bytes_they_are(start: Start, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"of an earlier worker\n")
    outcome = start().request(provider(tmp_path, "os.write(2, b'\\xff\\xfe'); os._exit(1)"))
    assert isinstance(outcome, Crashed)
    assert "of an earlier worker" not in outcome.stderr_tail
