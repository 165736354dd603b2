from __future__ import annotations

from pathlib import Path

import pytest
from models import backend, main, tables, zoo
from models.running import Row


def test_a_sample_is_green_with_its_figures(tmp_path: Path) -> None:
    sample = {"gpt2": "torchscript", "convnext": "dynamo", "plain-recurrent": "torchscript"}
    for name, exporter in sample.items():
        (row,) = main.collect([name], [exporter], tmp_path)
        assert row.verdict == "passed", row
        assert row.parameters > 1000
        assert 0 <= row.difference <= 20 * row.floor
        assert row.output


def test_there_are_enough_and_their_names_are_their_own() -> None:
    known = zoo.architectures()
    assert len(known) == len(zoo.TRANSFORMERS) + 10
    assert len([name for name in known if not name.startswith("plain-")]) >= 12


def test_saved_outputs_are_a_reference() -> None:
    results = backend.run_all(["pytorch-operator"])
    assert len(results) > 30
    assert not [result.problem for result in results if result.problem]


def test_a_wrong_saved_output_is_seen() -> None:
    case = next(iter(backend.load_cases("pytorch-operator")))
    (inputs, outputs), *_ = case.data
    case.data[:] = [(inputs, [outputs[0] + 1])]
    assert "x its tolerance" in backend.run("pytorch-operator", case).problem


ROW = Row(
    "net", "kind", "python", "dynamo", 1234, "passed", output="y", difference=4e-6, floor=2e-6, seconds=3.2
)
REFUSED = Row(
    "other", "kind", "python", "dynamo", 5, "not exported", why="the dynamo exporter failed: no | op\nmore"
)


def test_the_table_counts_what_was_judged_and_hides_nothing() -> None:
    text = tables.table([ROW, REFUSED])
    assert "2 architectures, 2 exports: 1 of 1 that exported" in text
    assert "| net | kind | python | dynamo | 1,234 | `y` | 4e-06 | 2e-06 | 2.0 | passed | 3 |" in text
    assert "- other by dynamo, not exported: the dynamo exporter failed: no \\| op" in text


def test_a_table_goes_to_its_place() -> None:
    page = "a\n<!-- begin models -->\nold\n<!-- end -->\nb\n"
    assert tables.put(page, "models", "new\n") == "a\n<!-- begin models -->\nnew\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="0 places"):
        tables.put(page, "backend", "")
