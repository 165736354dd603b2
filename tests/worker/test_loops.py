"""Steps that follow from one another, on plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from parity.artifacts import Array
from parity.records.jobs import MODEL, ComponentJob, ModelJob
from parity.records.loops import LoopJob, whole_loops
from parity.worker.loops import run_steps
from parity.worker.problems import Unable


def component(name: str = MODEL, **loop: Any) -> ComponentJob:
    fields = {"steps": 4, "state": {"total": "before"}, **loop}
    model = ModelJob(loader="python", target="unused")
    return ComponentJob(name=name, model=model, onnx="unused.onnx", loop=LoopJob(**fields))


def add(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"total": inputs["before"] + inputs["x"].sum(), "seen": inputs["x"]}


def ran(job: ComponentJob, **given: Array) -> list[Mapping[str, Array]]:
    return list(run_steps(job, {"before": np.float32(0), **given}, add))


def test_an_output_is_the_input_of_the_next_step_and_all_else_stays() -> None:
    steps = ran(component(), x=np.ones(2, np.float32))
    assert [float(step["total"]) for step in steps] == [2, 4, 6, 8]


def test_a_split_input_gives_each_step_its_piece() -> None:
    steps = ran(component(split={"x": 1}), x=np.arange(16, dtype=np.float32).reshape(2, 8))
    assert [step["seen"].tolist() for step in steps] == [
        [[2 * n, 2 * n + 1], [2 * n + 8, 2 * n + 9]] for n in range(4)
    ]
    assert float(steps[-1]["total"]) == 120


def test_a_growing_input_is_whole_in_the_last_step() -> None:
    steps = ran(component(grow={"x": 0}), x=np.arange(5, dtype=np.float32))
    assert [step["seen"].tolist() for step in steps] == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_a_mask_may_start_empty() -> None:
    assert [len(step["seen"]) for step in ran(component(grow={"x": 0}), x=np.ones(3, np.float32))] == [
        0,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("loop", "shape", "about"),
    [
        ({"split": {"x": 0}}, (6,), "loop.split.x"),
        ({"split": {"x": 1}}, (4,), "loop.split.x"),
        ({"split": {"x": 0}}, (0,), "loop.split.x"),
        ({"grow": {"x": 0}}, (2,), "loop.grow.x"),
        ({"split": {"y": 0}}, (4,), "loop.split.y"),
        ({"state": {"total": "befor"}}, (4,), "loop.state.total"),
        ({"state": {"sum": "before"}}, (4,), "loop.state.sum"),
    ],
)
def test_what_does_not_fit_names_its_key(loop: dict[str, Any], shape: tuple[int, ...], about: str) -> None:
    with pytest.raises(Unable) as raised:
        ran(component(**loop), x=np.ones(shape, np.float32))
    assert raised.value.reason == "specification"
    assert raised.value.about == about
    assert raised.value.fix


def test_a_components_key_is_under_its_name_and_the_nearest_is_told() -> None:
    with pytest.raises(Unable) as raised:
        ran(component("decoder", state={"totl": "before"}), x=np.ones(2, np.float32))
    assert raised.value.about == "components.decoder.loop.state.totl"
    assert raised.value.fix == "did you mean 'total'?"


def test_a_loop_that_lacks_a_step_is_none() -> None:
    class Call:
        def __init__(self, index: int) -> None:
            self.index = index

    loop = LoopJob(steps=3, state={"a": "b"})
    calls = [Call(index) for index in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert [[call.index for call in steps] for steps in whole_loops(calls, loop)] == [[0, 1, 2], [6, 7, 8]]
