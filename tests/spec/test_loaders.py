from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.specs import SOUND, SpecFolder, place

from parity.spec.models import ModelSpec

DOCS = Path(__file__).parents[2] / "docs" / "loaders.md"

# name -> what `model:` is, column of the error, words of the problem, words of the fix
WRONG = {
    "unknown": (
        "{loader: torchscrpt, target: m.ts}",
        17,
        "there is no loader 'torchscrpt'",
        "'torchscript'?",
    ),
    "far": ("{loader: keras, target: m}", 17, "there is no loader 'keras'", "write python, mmengine"),
    "python": ("{loader: python}", 1, "'target' is missing", "model.py:build"),
    "mmengine": ("{loader: mmengine, target: neck}", 1, "'config' is missing", "configs/"),
    "part": ("{loader: mmengine, config: config.yaml, target: a b}", 56, "names no part", "backbone.layer1"),
    "wrapper": (
        "{loader: mmengine, config: config.yaml, target: 'a b:c'}",
        56,
        "no Python callable",
        "file.py",
    ),
    "no-wrapper": ("{loader: mmengine, config: config.yaml, target: p.py:f}", 56, "no file 'p.py'", ""),
    "no-config": ("{loader: mmengine, config: confg.yaml}", 35, "no file 'confg.yaml'", "'config.yaml'?"),
    "hub": ("{loader: transformers, config: org/bert}", 39, "no folder 'org/bert'", "hf download org/bert"),
    "folder": ("{loader: transformers, config: .}", 39, "no config.json", "save_pretrained"),
    "archive": ("{loader: torchscript}", 1, "'target' is missing", "build/model.ts"),
    "no-archive": ("{loader: exported-program, target: m.pt2}", 43, "no file 'm.pt2'", ""),
    "twice": ("{loader: torchscript, target: a, config: b}", 41, "'config' is given beside", "once"),
    "mapping": ("{loader: torchscript, config: {a: 1}}", 38, "a mapping is no file", "model.ts"),
    "args": (
        "{loader: torchscript, target: weights.pth, args: {a: 1}}",
        51,
        "'args' has no meaning",
        "leave",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_loader_can_not_take_is_an_error(folder: SpecFolder, name: str) -> None:
    model, column, problem, fix = WRONG[name]
    (error,) = folder.errors(SOUND.replace("{target: model.py:build}", model))
    assert problem in error.problem
    assert fix in error.fix
    assert place(error) == (2, column)


def test_every_recipe_of_the_manual_is_a_model() -> None:
    recipes = [
        yaml.safe_load(text) for text in re.findall(r"```yaml\n(model:.*?)```", DOCS.read_text(), re.DOTALL)
    ]
    models = [ModelSpec.model_validate(recipe["model"]) for recipe in recipes]
    loaders = {model.loader for model in models}
    assert loaders == {"python", "mmengine", "transformers", "torchscript", "exported-program"}


def test_two_packages_with_one_name_are_not_guessed_between(folder: SpecFolder, tmp_path: Path) -> None:
    for name in ("one", "two"):
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[onnx_parity.loaders]\nshared = {name}:load\n")
    path = folder.write(SOUND.replace("{target: model.py:build}", "{loader: shared}"))
    done = subprocess.run(
        [sys.executable, "-m", "parity", "check", str(path)],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "one:load, two:load" in done.stderr
