"""Loops in a specification: what contradicts itself, or the inputs, is refused at its place."""

from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder, place

TWO_INPUTS = SOUND + "    h_in: {shape: [2, 4]}\n"

# the loop, (line, column), the problem
WRONG = {
    "no-input": ("{steps: 8, state: {h_out: hin}}", (8, 33), "there is no input 'hin'"),
    "fed-twice": ("{steps: 8, state: {a: h_in, b: h_in}}", (8, 38), "'h_in' would be 'a' and 'b'"),
    "split-state": ("{steps: 8, state: {a: h_in}, split: {h_in: 0}}", (8, 44), "'h_in' is fed from"),
    "split-unknown": ("{steps: 8, state: {a: h_in}, split: {y: 0}}", (8, 44), "there is no input 'y'"),
    "both": ("{steps: 8, state: {a: h_in}, split: {x: 0}, grow: {x: 0}}", (8, 58), "in 'split' too"),
    "one-step": ("{steps: 1, state: {a: h_in}}", (8, 15), "at least 2"),
    "no-state": ("{steps: 8, state: {}}", (8, 25), "must not be empty"),
    "axis": ("{steps: 8, state: {a: h_in}, split: {x: -1}}", (8, 47), "at least 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_loop_is_one_readable_error(folder: SpecFolder, name: str) -> None:
    loop, at, problem = WRONG[name]
    (error,) = folder.errors(f"{TWO_INPUTS}loop: {loop}\n")
    assert problem in error.problem
    assert place(error) == at


def test_the_nearest_input_is_suggested(folder: SpecFolder) -> None:
    (error,) = folder.errors(f"{TWO_INPUTS}loop: {{steps: 2, state: {{a: h_inn}}}}\n")
    assert error.fix == "did you mean 'h_in'?"


def test_a_loop_beside_components_belongs_into_one(folder: SpecFolder) -> None:
    component = "{model: {target: model.py:build}, onnx: model.onnx}"
    rest = "pipeline: pipeline.py:run\ninputs: {provider: data.py:f}\n"
    (error,) = folder.errors(
        f"version: 1\ncomponents: {{a: {component}}}\n{rest}loop: {{steps: 2, state: {{a: b}}}}\n"
    )
    assert "beside 'components'" in error.problem
    assert place(error) == (5, 1)


def test_a_component_has_a_loop_of_inputs_that_its_pipeline_makes(folder: SpecFolder) -> None:
    component = "{model: {target: model.py:build}, onnx: model.onnx, loop: {steps: 2, state: {a: b}}}"
    rest = "pipeline: pipeline.py:run\ninputs: {provider: data.py:f}\n"
    spec = folder.load(f"version: 1\ncomponents: {{a: {component}}}\n{rest}").spec
    assert spec.components is not None
    assert spec.components["a"].loop is not None
    assert spec.components["a"].loop.state == {"a": "b"}
