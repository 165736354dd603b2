from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from support.reference import unable

from parity.worker.flattening import flatten
from parity.worker.problems import Unable

Box = namedtuple("Box", ["centre", "size"])
ONE = torch.ones(1)


@dataclass
class Detection:
    boxes: Any
    labels: Any = None


class ModelOutput(OrderedDict[str, Any]):
    """As in Hugging Face: a dict whose fields are attributes too."""


@pytest.mark.parametrize(
    ("result", "paths"),
    [
        (ONE, ["output"]),
        ((ONE, ONE), ["0", "1"]),
        ([ONE], ["0"]),
        ({"b": ONE, "a": ONE}, ["b", "a"]),
        ({"preds": [{"heatmap": ONE, "reg": ONE}]}, ["preds.0.heatmap", "preds.0.reg"]),
        ({3: ONE}, ["3"]),
        (Box(ONE, (ONE, ONE)), ["centre", "size.0", "size.1"]),
        (Detection({"xy": ONE}), ["boxes.xy"]),
        (ModelOutput(logits=ONE, hidden=(ONE, ONE)), ["logits", "hidden.0", "hidden.1"]),
        ({"x": None, "y": ONE, "z": [], "w": (None,)}, ["y"]),
        (torch.max(torch.eye(2), dim=0), ["0", "1"]),
    ],
)
def test_paths_follow_the_nesting_and_its_order(result: object, paths: list[str]) -> None:
    assert list(flatten(result)) == paths


def test_python_values_become_tensors_of_no_dimension() -> None:
    leaves = flatten({"n": 3, "x": 0.5, "b": True, "c": 1j, "np": np.float64(2), "s": "car"})

    assert [leaves[k].dtype for k in ("n", "x", "b", "c")] == [
        torch.int64,
        torch.float32,
        torch.bool,
        torch.complex64,
    ]
    assert all(leaf.shape == () for leaf in leaves.values())
    assert leaves["np"].dtype == np.float64
    assert leaves["s"] == np.array("car")


def test_one_tensor_in_two_places_is_two_outputs() -> None:
    shared = {"x": ONE}
    assert list(flatten([shared, shared])) == ["0.x", "1.x"]


def cyclic() -> list[object]:
    result: list[object] = [ONE]
    result.append({"again": result})
    return result


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "returned no tensor, but None"),
        ({}, "returned no tensor, but an object of type dict"),
        ({"a": [None]}, "returned no tensor"),
        ({"a": [ONE, {ONE}]}, "object of type set at 'a.1'"),
        ({"boxes": iter([])}, "at 'boxes'"),
        (2**70, "object of type int at the top"),
        ({"a": {"b": ONE}, "a.b": ONE}, "path 'a.b'"),
        ({1: ONE, "1": ONE}, "path '1'"),
        ({(1, 2): ONE}, "object of type tuple as a key"),
        (Detection, "object of type type"),
        (cyclic(), "contains itself at '1.again'"),
    ],
)
def test_what_is_no_tensor_is_named_with_its_path(result: object, said: str) -> None:
    error = unable(lambda: flatten(result, origin="component 'head'"))

    assert error.reason == "model"
    assert said in error.problem
    assert "component 'head'" in error.problem
    assert error.fix


def test_an_object_with_tensors_in_it_is_not_searched() -> None:
    class Instances:
        scores = ONE

    with pytest.raises(Unable, match=r"Instances at '0'"):
        flatten([Instances()])
