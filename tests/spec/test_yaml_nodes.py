"""Text that is YAML and text that is not, with libyaml and with PyYAML's own parser."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from parity.errors import SpecError, SpecErrors
from parity.spec.yaml_nodes import DEPTH_LIMIT, parse

LOADERS = [getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader]

# text, line:column, words of the message
REFUSED = {
    "tab": ("a:\n\tb: 1\n", "2:1", ["tab", "spaces"]),
    "tab-first": ("\ta: 1\n", "1:1", ["tab", "spaces"]),
    "tab-in-block": ("a: |\n\tfoo\n", "2:1", ["tab", "spaces"]),
    "duplicate": ("a: 1\nb: 2\na: 3\n", "3:1", ["'a' is given twice", "line 1"]),
    "duplicate-nested": ("t:\n  x: {p: 1, 'p': 2}\n", "2:13", ["'p' is given twice", "line 2"]),
    "cycle": ("a: &x [*x]\n", "1:8", ["'*x' is inside of what it stands for"]),
    "cycle-mapping": ("a: &x\n  b: {c: *x}\n", "2:10", ["'*x'", "cycle"]),
    "undefined-alias": ("a: *x\n", "1:4", ["no anchor '&x'"]),
    "python-tag": ("a: !!python/object/apply:os.system [ls]\n", "1:4", ["!!python/object/apply:os.system"]),
    "hidden-tag": ("%TAG ! tag:yaml.org,2002:python/\n---\na: !name:os.system x\n", "3:4", ["python/name"]),
    "own-tag": ("a: !mine 1\n", "1:4", ["!mine"]),
    "documents": ("a: 1\n---\nb: 2\n", "2:1", ["more than one YAML document"]),
    "empty": ("", "1:1", ["empty", "version: 1"]),
    "only-comments": ("# nothing\n", "1:1", ["empty"]),
    "list-as-key": ("? [1]\n: 2\n", "1:3", ["key must be text"]),
    "no-key": ("a: 1\n: 2\n", "2:1", ["not YAML", "mapping", "check"]),
    "nul": ("a: b\x00c\n", "1:5", ["U+0000"]),
    "control": ("a: 1\nb: é\x07\n", "2:5", ["U+0007"]),
    "escaped-nul": ('a: "\\0"\n', "1:4", ["U+0000"]),
    "open-quote": ("a: 1\nb: 'x\nc: 2\n", "2:4", ["quote"]),
    "open-bracket": ("a: 1\nb: [1, 2\n", "2:4", ["bracket"]),
    "colon": ("a: b: c\n", "1:5", ["quoted"]),
    "at": ("a: @x\n", "1:4", ["quote"]),
    "digits": (f"a: {'9' * 5000}\n", "1:4", ["5000 digits"]),
    "merge-of-text": ("a: {<<: b}\n", "1:5", ["only a mapping can be merged"]),
}


@pytest.mark.parametrize("loader", LOADERS, ids=["libyaml", "python"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_at_its_place(name: str, loader: Any) -> None:
    text, at, words = REFUSED[name]
    with pytest.raises(SpecError) as raised:
        parse(text, "f.yml", loader)
    message = str(raised.value)
    assert message.startswith(f"f.yml:{at}: "), message
    assert message.count("f.yml") == 1
    for word in words:
        assert word in message


def test_all_duplicates_are_told() -> None:
    with pytest.raises(SpecErrors) as raised:
        parse("a: 1\na: 2\nb: 1\n'b': 2\n", "f.yml")
    assert [error.at for error in raised.value.errors] == ["f.yml:2:1", "f.yml:4:1"]
    assert str(raised.value).count("given twice") == 2


@pytest.mark.parametrize("loader", LOADERS, ids=["libyaml", "python"])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "a: &a0 [x]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}]\n" for i in range(1000)),
        "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(20)),
        "a: &a0 " + "x" * 500_000 + "\nb: [" + "*a0, " * 1000 + "]\n",
        "a: &a0 {k: v, l: w}\n"
        + "".join(f"b{i}: &a{i + 1} {{x: *a{i}, y: *a{i}, z: *a{i}, <<: *a{i}}}\n" for i in range(30)),
    ],
    ids=["brackets", "braces", "dashes", "chain-of-aliases", "laughs", "one-long-alias", "merged-laughs"],
)
def test_an_explosion_is_refused_at_once(text: str, loader: Any) -> None:
    started = time.process_time()
    with pytest.raises(SpecError, match=r"levels|aliases"):
        parse(text, "f.yml", loader)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("loader", LOADERS, ids=["libyaml", "python"])
def test_the_deepest_nesting_that_is_let_through(loader: Any) -> None:
    assert parse("[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT, "f.yml", loader).depth == DEPTH_LIMIT
    with pytest.raises(SpecError, match="levels deep"):
        parse("[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1), "f.yml", loader)


@pytest.mark.parametrize("loader", LOADERS, ids=["libyaml", "python"])
def test_data_and_places(loader: Any) -> None:
    node = parse("﻿a: 1e-4\nb:\n  - x\n  - {c: 'no', 7: no}\n", "f.yml", loader)
    assert node.value == {"a": 1e-4, "b": ("x", {"c": "no", "7": "no"})}
    assert node.keys["b"] == (2, 1)
    items = node.children["b"]
    assert items.place == (3, 3)
    assert items.children[1].keys["7"] == (4, 15)
    assert items.children[1].children["7"].place == (4, 18)


@pytest.mark.parametrize("loader", LOADERS, ids=["libyaml", "python"])
def test_aliases_and_merge_keys(loader: Any) -> None:
    text = """\
base: &base {atol: 1, rtol: 2}
more: &more {rtol: 3, rms: 4}
alias: *base
one: {<<: *base, rtol: 5}
two: {<<: [*more, *base], ulp: 6}
text: "<<"
"""
    value = parse(text, "f.yml", loader).value
    assert value["alias"] == {"atol": 1, "rtol": 2}
    assert value["one"] == {"atol": 1, "rtol": 5}
    assert value["two"] == {"atol": 1, "rtol": 3, "rms": 4, "ulp": 6}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse("'<<': 1\n", "f.yml").value == {"<<": 1}
