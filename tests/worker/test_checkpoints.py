from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from safetensors.torch import save_file
from support.reference import unable
from torch import nn

from parity.worker.checkpoints import load_checkpoint

State = dict[str, Any]


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def trained() -> State:
    torch.manual_seed(1)
    module = net()
    module[1].running_mean.fill_(0.25)  # type: ignore[index]
    return module.state_dict()


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def assert_loaded(module: nn.Module, state: State) -> None:
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key]), key


LAYOUTS: dict[str, Callable[[State], Any]] = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model": lambda s: {"model": s},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": torch.tensor(0.5)},
    "module": lambda s: {"module": s},
    "nested wrappers": lambda s: {"model": {"state_dict": s}},
    "data parallel": lambda s: prefixed("module.", s),
    "compiled": lambda s: prefixed("_orig_mod.", s),
    "compiled and parallel": lambda s: {"model": prefixed("module._orig_mod.", s)},
    "lightning": lambda s: {"state_dict": prefixed("model.", s), "hparams": {"a": 1}},
    "epoch beside the weights": lambda s: {**s, "epoch": 3},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_usual_layouts_are_found(tmp_path: Path, layout: str) -> None:
    path, module = tmp_path / "best.pth", net()
    torch.save(LAYOUTS[layout](trained()), path)

    load_checkpoint(module, path, None)

    assert_loaded(module, trained())


@pytest.mark.parametrize("name", ["best.pt", "best.ckpt", "old.pth", "best.safetensors"])
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    path, module = tmp_path / name, net()
    if path.suffix == ".safetensors":
        save_file(trained(), path)
    else:
        torch.save(trained(), path, _use_new_zipfile_serialization=name != "old.pth")

    assert load_checkpoint(module, path, None) == ()
    assert_loaded(module, trained())


@pytest.mark.parametrize("key", ["ema.student", "ema.student.backbone", "backbone"])
def test_a_key_names_the_place_or_a_prefix(tmp_path: Path, key: str) -> None:
    path, module = tmp_path / "best.pth", net()
    data = {
        "ema.student": {"ema.student": trained()},
        "ema.student.backbone": {"ema": {"student": prefixed("backbone.", trained())}},
        "backbone": {**prefixed("backbone.", trained()), "head.weight": torch.ones(1)},
    }[key]
    torch.save(data if key != "ema.student" else {"ema": {"student": trained()}}, path)

    load_checkpoint(module, path, key)

    assert_loaded(module, trained())


def test_a_key_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    torch.save({"teacher": trained(), "epoch": 1}, path)

    error = unable(lambda: load_checkpoint(net(), path, "student"))

    assert "checkpoint_key 'student'" in error.problem
    assert "teacher, epoch" in error.problem


def test_a_prefix_is_kept_where_the_model_has_it(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)

    path, module = tmp_path / "best.pth", Wrapped()
    state = Wrapped().state_dict()
    torch.save(state, path)

    load_checkpoint(module, path, None)

    assert_loaded(module, state)


def test_two_state_dicts_that_fit_are_not_guessed_between(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    torch.save({"model": trained(), "state_dict": trained()}, path)

    assert "checkpoint_key" in unable(lambda: load_checkpoint(net(), path, None)).fix
    load_checkpoint(net(), path, "model")


def test_keys_that_do_not_fit_are_reported_with_the_nearest(tmp_path: Path) -> None:
    path, state = tmp_path / "other.pth", trained()
    state["0.wieght"] = state.pop("0.weight")
    state |= {f"head.{n}.weight": torch.ones(n + 1) for n in range(12)}
    state["0.bias"] = torch.ones(7)
    torch.save(state, path)

    error = unable(lambda: load_checkpoint(net(), path, None))

    assert error.reason == "model"
    assert "1 missing (0.weight)" in error.problem
    assert "13 unexpected (0.wieght, head.0.weight, head.1.weight and 10 more)" in error.problem
    assert "1 of another shape or dtype (0.bias)" in error.problem
    assert "0.weight float32[3, 2] (nearest: 0.wieght)" in error.detail
    assert "0.bias: float32[7] in the checkpoint, float32[3] in the model" in error.detail
    assert "and 3 more" in error.detail


def test_a_mismatch_changes_nothing(tmp_path: Path) -> None:
    path, module = tmp_path / "other.pth", net()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    torch.save({**trained(), "0.bias": torch.ones(7)}, path)

    unable(lambda: load_checkpoint(module, path, None))

    assert_loaded(module, before)


def test_a_part_that_alone_fits_is_found_by_itself(tmp_path: Path) -> None:
    """As Lightning saves a model beside its losses, and every trainer an encoder beside its decoder."""
    path, module = tmp_path / "last.ckpt", net()
    loss = {"loss.weight": torch.ones(2)}
    torch.save({"state_dict": {**prefixed("net._orig_mod.", trained()), **loss}}, path)
    (note,) = load_checkpoint(module, path, None)
    assert "those under 'net'" in note
    assert_loaded(module, trained())

    twice = {**prefixed("net.", trained()), **prefixed("ema.", trained()), **loss}
    torch.save({"state_dict": twice}, path)
    assert "checkpoint_key" in unable(lambda: load_checkpoint(net(), path, None)).fix
    load_checkpoint(net(), path, "state_dict.ema")

    wider = {**prefixed("net.", trained()), "net.0.bias": torch.ones(4), **loss}
    torch.save({"state_dict": wider}, path)
    unable(lambda: load_checkpoint(net(), path, None))


def test_tied_weights_that_are_saved_once_load_twice(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
            self.head.weight = self.embed.weight

    path, module = tmp_path / "model.safetensors", Tied()
    save_file({"embed.weight": torch.ones(3, 2)}, path)
    load_checkpoint(module, path, None)
    assert torch.equal(module.head.weight, torch.ones(3, 2))

    module.head.weight = nn.Parameter(torch.zeros(3, 2))
    assert "1 missing (head.weight)" in unable(lambda: load_checkpoint(module, path, None)).problem


def test_the_checkpoint_of_a_whole_model_says_which_key_to_set(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    beside = {"pts.head.bias": torch.ones(1), "img.bias": torch.ones(1)}
    torch.save({**prefixed("pts.backbone.", trained()), **beside}, path)

    assert "under 'pts.backbone'" in unable(lambda: load_checkpoint(net(), path, None)).fix


def test_a_cast_is_noted_and_another_kind_of_number_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.pth"
    torch.save({**trained(), "0.weight": torch.ones(3, 2).half()}, path)
    (note,) = load_checkpoint(net(), path, None)
    assert "1 tensors saved as torch.float16 were cast to the model's torch.float32" in note

    torch.save({**trained(), "0.weight": torch.ones(3, 2, dtype=torch.int8)}, path)
    assert "int8[3, 2] in the checkpoint" in unable(lambda: load_checkpoint(net(), path, None)).detail


def test_weights_that_a_module_knows_from_older_versions_load(tmp_path: Path) -> None:
    """Batch norm supplies `num_batches_tracked` to state dicts that have no version, by itself."""
    path, state = tmp_path / "old.safetensors", dict(trained())
    del state["1.num_batches_tracked"]
    save_file(state, path)
    module = net()

    load_checkpoint(module, path, None)

    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])


def test_a_module_that_would_take_anything_is_held_to_its_keys(tmp_path: Path) -> None:
    class Lenient(nn.Linear):
        def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
            return super().load_state_dict(state_dict, strict=False)

    path = tmp_path / "best.pth"
    torch.save({"weight": torch.ones(2, 2)}, path)

    assert "1 missing (bias)" in unable(lambda: load_checkpoint(Lenient(2, 2), path, None)).problem


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("form", ["zip", "old", "plain pickle", "protocol 2"])
def test_a_pickle_bomb_is_refused_and_never_executed(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "bomb.pth", tmp_path / "exploded"
    match form:
        case "plain pickle":
            path.write_bytes(pickle.dumps({"state_dict": Bomb(trace)}))
        case "protocol 2":
            path.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
        case _:
            torch.save({"state_dict": Bomb(trace)}, path, _use_new_zipfile_serialization=form == "zip")

    error = unable(lambda: load_checkpoint(net(), path, None))

    assert not trace.exists()
    assert error.reason == "model"
    assert "refused, nothing of it was run" in error.problem
    assert "weights_only" not in error.fix + error.detail


class Settings:
    pass


def test_what_a_refused_checkpoint_holds_is_named(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    torch.save({"state_dict": trained(), "args": Settings()}, path)

    assert "test_checkpoints.Settings)" in unable(lambda: load_checkpoint(net(), path, None)).problem


def test_what_trainers_save_beside_the_weights_is_not_in_the_way(tmp_path: Path) -> None:
    hub = MessageHub.get_instance("checkpoints")
    hub.update_scalar("loss", np.float32(0.5))
    path, module = tmp_path / "epoch_1.pth", net()
    beside = {
        "message_hub": hub.state_dict(),
        "hyper_parameters": argparse.Namespace(root=Path("/data"), best=np.float64(1.0)),
        "history": {"loss": np.ones(3)},
    }
    torch.save({"state_dict": trained(), **beside}, path)

    assert load_checkpoint(module, path, None) == ()
    assert_loaded(module, trained())


def test_weights_that_are_no_tensors_are_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "arrays.pth"
    torch.save({**trained(), "0.bias": np.zeros(3, np.float32)}, path)

    assert "0.bias: NotRead in the checkpoint" in unable(lambda: load_checkpoint(net(), path, None)).detail


def truncated(source: bytes) -> bytes:
    return source[: len(source) // 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "no checkpoint"),
        ("empty", "is empty"),
        ("truncated zip", "is truncated"),
        ("truncated old", "no PyTorch checkpoint, or is damaged"),
        ("text", "no PyTorch checkpoint, or is damaged"),
        ("torchscript", "TorchScript archive"),
        ("safetensors by name", "no safetensors file"),
        ("truncated safetensors", "no safetensors file"),
        ("a tensor", "no state dict, but an object of type Tensor"),
        ("no tensors", "no state dict, but the keys epoch"),
    ],
)
def test_a_file_that_is_no_checkpoint_gets_one_clear_message(tmp_path: Path, damage: str, said: str) -> None:
    path = tmp_path / ("best.safetensors" if "safetensors" in damage else "best.pth")
    match damage:
        case "empty":
            path.touch()
        case "truncated zip":
            torch.save(trained(), path)
            path.write_bytes(truncated(path.read_bytes()))
        case "truncated old":
            torch.save(trained(), path, _use_new_zipfile_serialization=False)
            path.write_bytes(truncated(path.read_bytes()))
        case "text":
            path.write_text("hello, these are words\n" * 20)
        case "torchscript":
            torch.jit.save(torch.jit.trace(net().eval(), torch.ones(1, 2)), path)
        case "safetensors by name":
            torch.save(trained(), path)
        case "truncated safetensors":
            save_file(trained(), path)
            path.write_bytes(truncated(path.read_bytes()))
        case "a tensor":
            torch.save(torch.ones(3), path)
        case "no tensors":
            torch.save({"epoch": 3}, path)

    error = unable(lambda: load_checkpoint(net(), path, None))

    assert said in error.problem
    assert error.fix
