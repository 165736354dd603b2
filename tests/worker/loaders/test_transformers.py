from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from support.loaders import BERT, PROJECTS
from support.reference import unable
from torch import nn

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.transformers import load


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def built(config: Any, root: Path, **fields: Any) -> Built:
    return load(ModelJob(loader="transformers", config=config, **fields), root)


def test_a_config_in_place_is_offline_without_a_cache_and_repeats(tmp_path: Path) -> None:
    first, second = (built(BERT, tmp_path).module for _ in range(2))
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert first.config.use_cache is False
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_args_are_settings_and_a_config_may_be_a_file(tmp_path: Path) -> None:
    config = {key: value for key, value in BERT.items() if key != "architecture"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    args = {"attn_implementation": "eager", "num_hidden_layers": 1, "use_cache": True, "dtype": "bfloat16"}
    made = built(str(tmp_path / "config.json"), tmp_path, args=args, target="encoder.layer").module
    assert type(made).__name__ == "BertModel"
    assert made.config._attn_implementation == "eager"
    assert made.config.use_cache is True
    assert made.dtype == torch.bfloat16
    assert len(made.encoder.layer) == 1


def test_a_part_is_taken_once_the_weights_are_loaded(tmp_path: Path) -> None:
    made = built(BERT, tmp_path, target="bert.encoder")
    assert isinstance(made.finish(made.module), nn.Module)
    assert made.finish(made.module) is made.module.bert.encoder
    wrong = built(BERT, tmp_path, target="bert.encodr")
    error = unable(lambda: wrong.finish(wrong.module))
    assert "no part 'bert.encodr'" in error.problem
    assert error.fix == "did you mean 'bert.encoder'?"


WRONG = {
    "setting": ({**BERT, "hiden_size": 3}, {}, "BertConfig has no setting 'hiden_size'", "'hidden_size'?"),
    "args": (BERT, {"hiden_size": 3}, "BertConfig has no setting 'hiden_size'", "'hidden_size'?"),
    "type": ({**BERT, "model_type": "brt"}, {}, "no model type 'brt'", "'bert'?"),
    "no-type": ({"architecture": "BertModel"}, {}, "no 'model_type'", "model_type: bert"),
    "architecture": (BERT, {"architecture": "BertModl"}, "no model 'BertModl'", "'BertModel'?"),
    "class": (BERT, {"architecture": "BertTokenizer"}, "no model 'BertTokenizer'", ""),
    "family": (BERT, {"architecture": "GPT2Model"}, "GPT2Model takes a GPT2Config", "architecture"),
    "none": ({"model_type": "bert"}, {}, "names no architecture", "architecture: BertModel"),
    "int": (BERT, {"dtype": "int8"}, "no float dtype", "float32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_would_ignore_is_an_error(tmp_path: Path, name: str) -> None:
    config, args, said, fix = WRONG[name]
    error = unable(lambda: built(config, tmp_path, args=args))
    assert error.reason == "specification"
    assert said in error.problem
    assert fix in error.fix


def test_weights_of_another_architecture_are_refused_unless_it_was_chosen(tmp_path: Path) -> None:
    PROJECTS["transformers"](tmp_path)
    folder = str(tmp_path / "bert")
    (note,) = built(folder, tmp_path, args={"architecture": "BertModel"}).notes
    assert "of no use to BertModel: classifier.bias, classifier.weight" in note

    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    error = unable(lambda: built(folder, tmp_path))
    assert error.reason == "model"
    assert "2 unexpected (classifier.bias, classifier.weight)" in error.problem
