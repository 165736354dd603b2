"""A specification with anything anywhere: it loads and can be planned, or is refused in words at a place."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from support.specs import SpecFolder

from parity.errors import SpecError, SpecErrors
from parity.planning import plan
from parity.records.plan import SuitePlan

WHOLE = """\
version: 1
name: abc
model: {loader: python, target: model.py:build, config: {a: [1, {b: 2}]}, args: {n: 1}}
onnx: {path: model.onnx, export: {exporter: dynamo, opset: 18, dynamic_shapes: {x: {0: batch}}}}
inputs:
  seed: 3
  samples: 2
  dims: {batch: [1, 4], n: 5}
  tensors:
    x: {shape: [batch, n, 3], dtype: float16, distribution: normal, mean: 0, std: 1, sparsity: 0.5}
    y: {shape: [n], dtype: int64, distribution: integers, low: 0, high: 9}
outputs: {a: b.0}
devices: [cpu, "cuda:0"]
numerics: {preset: strict, tf32: true}
tolerances:
  "*": {atol: 1.0e-4, quantile: {0.9: 1.0e-3}}
  b?: {rms: 3}
onnxruntime: {optimization: basic, provider_options: {a: 1}, session_config: {b: true}}
limits: {timeout: 10, memory: 8GiB}
performance: {runs: 5, warmup: 1}
"""
COMPONENTS = """\
version: 1
components:
  e: {model: {target: model.py:b}, onnx: model.onnx, outputs: {f: a}, tolerances: {f: {exact: true}}}
  h: {model: {target: p.m:b}, onnx: {path: x/h.onnx, export: {}}}
pipeline: pipeline.py:run
inputs: {files: ["*.npz", a.npz]}
"""
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**64, 1.5, -0.5, 1e300, float("nan"), float("inf"),
    "", "x", "no", "model.py:f", "*.npz", "../..", "/", ".", "..", "~/x", "a\\b", "ß" * 300,
    "{problem}", "%s", "cuda:0", "float16", "8GiB", [], {}, [1], ["x"], [[]], [{"b": "no"}],
    {"a": 1}, {"a": None}, {"1": 2}, {1: 2}, {"atol": -1},
]  # fmt: skip
KEYS = ["args", "atol", "x", "model", "files", "provider", "components", "pipeline", "value", "exact", "loop"]
TOKENS = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    ",",
    "- ",
    "\n",
    "\t",
    "'",
    '"',
    "&t ",
    "*t",
    "!!x ",
    "~",
    "<<",
    "%",
    "|",
    "#",
]


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def with_other_values(text: str, chance: random.Random) -> str:
    data = copy.deepcopy(yaml.safe_load(text))
    for _ in range(chance.randint(1, 2)):
        *above, last = chance.choice(list(places(data)))
        holder = data
        for key in above:
            holder = holder[key]
        if chance.random() < 0.2 and isinstance(holder, dict):
            last = chance.choice(KEYS)
        holder[last] = copy.deepcopy(chance.choice(VALUES))
    dumped: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return dumped


def with_other_text(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 2)):
        start = chance.randrange(len(text))
        end = start + chance.choice([0, 1, 5])
        text = text[:start] + chance.choice(["", *TOKENS]) + text[end:]
    return text


@pytest.mark.parametrize("mutate", [with_other_values, with_other_text], ids=["values", "text"])
@pytest.mark.parametrize("text", [WHOLE, COMPONENTS], ids=["model", "components"])
def test_it_is_planned_or_refused_in_words(folder: SpecFolder, text: str, mutate: Any) -> None:
    (folder.root / "a.npz").touch()
    plan(folder.load(text))
    chance = random.Random(0)
    refused = 0
    for _ in range(250):
        try:
            planned = plan(folder.load(mutate(text, chance)))
        except SpecError as error:
            refused += 1
            for one in error.errors if isinstance(error, SpecErrors) else (error,):
                assert re.search(r"suite\.yml:[1-9]\d*:[1-9]\d*$", one.at)
                assert one.problem
                assert one.fix, one.problem
                assert "Input should" not in one.problem
        else:
            assert msgspec.json.decode(msgspec.json.encode(planned), type=SuitePlan) == planned
    assert 20 < refused < 250
