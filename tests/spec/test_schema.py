"""Wrong keys, types and values: each is one readable error at its place. All are in the files' own text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.specs import SOUND, SpecFolder, errors_of, place

from parity import registry
from parity.records.jobs import SAVED
from parity.spec.inputs import Dtype
from parity.spec.loading import load_spec
from parity.spec.models import ExportSpec, ModelSpec
from parity.spec.unsupported import LATER_KEYS

# a line that is added to the sound specification -> column, words of the problem, words of the fix
WRONG = {
    "unknown-key": ("tolerence: {}", 1, ["unknown key 'tolerence'"], ["did you mean 'tolerances'?"]),
    "unknown-nested": ("tolerances: {y: {atoll: 1}}", 18, ["unknown key 'atoll'"], ["did you mean 'atol'?"]),
    "key-of-another": ("samples: 3", 1, ["unknown key 'samples'"], ["under 'inputs'"]),
    "key-of-none": ("zzz: 3", 1, ["unknown key 'zzz'"], ["version, name, model"]),
    "switch-or-folder": ("onnxruntime: {save_optimized: 3}", 31, ["3 is neither"], ["a folder"]),
    "ambiguous-folder": ("onnxruntime: {save_optimized: yes}", 31, ["may be a folder"], ["quote it"]),
    "number-as-text": ("tolerances: {y: {atol: '1e-4'}}", 24, ["a number", "text '1e-4'"], ["atol: 0.0001"]),
    "truth-as-number": ("tolerances: {y: {atol: true}}", 24, ["a number", "the truth value true"], ["atol:"]),
    "yes-as-truth": ("tolerances: {y: {equal_nan: yes}}", 29, ["true or false", "'yes'"], ["true"]),
    "number-as-mapping": ("tolerances: {y: 1}", 17, ["a mapping", "the number 1"], ["atol"]),
    "list-as-mapping": ("limits: [1]", 9, ["a mapping", "a list"], ["timeout"]),
    "text-as-list": ("devices: cpu", 10, ["a list", "'cpu'"], ["[cpu"]),
    "fraction": ("performance: {runs: 1.5}", 21, ["a whole number", "1.5"], ["runs: 5"]),
    "negative": ("tolerances: {y: {rtol: -1}}", 24, ["at least 0", "-1"], ["rtol:"]),
    "infinite": ("tolerances: {y: {atol: .inf}}", 24, ["finite"], ["atol:"]),
    "not-a-number": ("tolerances: {y: {snr_db: .nan}}", 26, ["finite"], ["snr_db:"]),
    "no-noise": ("tolerances: {y: {noise_factor: 0}}", 32, ["greater than 0", "not 0"], ["noise_factor: 10"]),
    "negative-noise": ("tolerances: {y: {noise_factor: -1}}", 32, ["greater than 0"], ["noise_factor: 10"]),
    "infinite-noise": ("tolerances: {y: {noise_factor: .inf}}", 32, ["finite"], ["noise_factor: 10"]),
    "nan-noise": ("tolerances: {y: {noise_factor: .nan}}", 32, ["finite"], ["noise_factor: 10"]),
    "text-noise": ("tolerances: {y: {noise_factor: ten}}", 32, ["a number", "'ten'"], ["noise_factor: 10"]),
    "cosine": ("tolerances: {y: {cosine: 1.01}}", 26, ["at most 1"], ["cosine:"]),
    "mismatch": ("tolerances: {y: {mismatch: 1}}", 28, ["less than 1"], ["mismatch:"]),
    "no-cosine": ("tolerances: {y: {cosine: -1}}", 26, ["greater than -1"], ["cosine:"]),
    "quantile-key": ("tolerances: {y: {quantile: {1.5: 1}}}", 29, ["'1.5' is no quantile"], ["0.999"]),
    "quantile-nan": ("tolerances: {y: {quantile: {nan: 1}}}", 29, ["'nan' is no quantile"], ["0.999"]),
    "quantile-value": ("tolerances: {y: {quantile: {0.9: -1}}}", 34, ["at least 0"], ["quantile"]),
    "no-value": ("tolerances: {y: {atol: }}", 18, ["'atol' has no value"], ["atol: 0.0001"]),
    "null": ("limits: {memory: ~}", 10, ["'memory' has no value"], ["8GiB"]),
    "no-tolerances": ("tolerances: {}", 13, ["must not be empty"], ["tolerances:"]),
    "no-devices": ("devices: []", 10, ["must not be empty"], ["devices:"]),
    "device": ("devices: [gpu]", 11, ["no device 'gpu'"], ["cuda:N"]),
    "device-index": ("devices: ['cuda:-1']", 11, ["no device 'cuda:-1'"], ["cuda:N"]),
    "preset": ("numerics: strikt", 11, ["strict or default", "'strikt'"], ["did you mean 'strict'?"]),
    "setting": ("numerics: {tf32: 1}", 18, ["true or false", "the number 1"], ["tf32:"]),
    "choice": ("onnxruntime: {optimization: none}", 29, ["disable_all", "'none'"], ["write disable_all"]),
    "size": ("limits: {memory: 8 gigs}", 18, ["'8 gigs' is no size"], ["8GiB"]),
    "no-memory": ("limits: {memory: 0B}", 18, ["greater than 0"], ["8GiB"]),
    "timeout": ("limits: {timeout: 0}", 19, ["greater than 0"], ["timeout:"]),
    "name": ("name: a/b", 7, ["'a/b' can't be used as a name"], ["letters"]),
    "hidden-name": ("name: ..", 7, ["'..' can't be used as a name"], ["letters"]),
    "name-number": ("name: 5", 7, ["text", "the number 5"], ["name: centerpoint"]),
    "option": ("onnxruntime: {session_config: {a: [1]}}", 35, ["text", "a list"], ["session_config"]),
    "option-word": ("onnxruntime: {provider_options: {a: on}}", 37, ["'on' without quotes"], ["quote"]),
    "diagnose": ("diagnose: on-failures", 11, ["on-failure, always or never"], ["mean 'on-failure'?"]),
    "diagnose-word": ("diagnose: true", 11, ["on-failure", "the truth value true"], ["on-failure"]),
    "outputs": ("outputs: {y: 0}", 14, ["text", "the number 0"], ["outputs:"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_is_one_readable_error(folder: SpecFolder, name: str) -> None:
    line, column, problem, fix = WRONG[name]
    (error,) = folder.errors(f"{SOUND}{line}\n")
    assert place(error) == (7, column)
    for word in problem:
        assert word in error.problem
    for word in fix:
        assert word in error.fix
    assert "Input should" not in error.problem


# what replaces the sound `model` line
WRONG_MODELS = {
    "no-target": ("model: {loader: python}", 1, "'target' is missing"),
    "target": ("model: {target: build}", 17, "'build' names no Python callable"),
    "target-path": ("model: {target: 'model.py:'}", 17, "names no Python callable"),
    "loader-type": ("model: {loader: {a: 1}, target: model.py:build}", 17, "expected text, not a mapping"),
    "loader": ("model: {loader: pyton, target: model.py:build}", 17, "there is no loader 'pyton'"),
    "config": ("model: {target: model.py:build, config: 3}", 41, "a file's path or a mapping"),
    "args-word": ("model: {target: model.py:build, args: {a: [{b: no}]}}", 48, "'no' without quotes"),
    "args-number": ("model: {target: model.py:build, args: {a: 012}}", 43, "'012' without quotes"),
    "args-key": ("model: {target: model.py:build, args: {a: {1: x}}}", 44, "'1' would reach the model"),
    "args-nan": ("model: {target: model.py:build, args: {a: .nan}}", 43, "finite"),
    "args-large": ("model: {target: model.py:build, args: {a: 9223372036854775808}}", 43, "64 bits"),
    "config-word": ("model: {target: model.py:build, config: {a: on}}", 45, "'on' without quotes"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrong_model_is_one_readable_error(folder: SpecFolder, name: str) -> None:
    line, column, problem = WRONG_MODELS[name]
    (error,) = folder.errors(SOUND.replace("model: {target: model.py:build}", line))
    assert place(error) == (2, column)
    assert problem in error.problem


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("", "'version' is missing"),
        ("version: 2\n", "expected 1, not the number 2"),
        ("version: '1'\n", "expected 1, not the text '1'"),
        ("version: 1.0\n", "the number 1"),
        ("version: true\n", "the number 1"),
    ],
)
def test_the_version_is_the_number_1(folder: SpecFolder, version: str, problem: str) -> None:
    (error,) = folder.errors(SOUND.replace("version: 1\n", version))
    assert problem in error.problem
    assert place(error)[0] == 1


@pytest.mark.parametrize("export", ["{exporter: dynmo}", "{opset: '18'}", "{dynamic_shapes: {x: {a: b}}}"])
def test_a_wrong_export_is_one_readable_error(folder: SpecFolder, export: str) -> None:
    (error,) = folder.errors(SOUND.replace("model.onnx", f"{{path: a.onnx, export: {export}}}"))
    assert place(error)[0] == 3
    assert error.fix


LATER_LINES = {
    "Spec": "{key}: 1",
}


@pytest.mark.parametrize(
    ("owner", "key"), [(owner, key) for owner in LATER_LINES for key in LATER_KEYS[owner]]
)
def test_a_key_of_a_later_version_is_refused_by_name(folder: SpecFolder, owner: str, key: str) -> None:
    (error,) = folder.errors(f"{SOUND}{LATER_LINES[owner].format(key=key)}\n")
    assert error.problem == f"{key!r} is not supported yet"
    assert place(error)[0] == 7
    assert error.fix


def test_all_errors_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(
        "verson: 1\nmodel: {target: 3}\ninputs: {files: , seed: x}\ntolerances: {'*': {rtol: -1, foo: 1}}\n"
    )
    errors = errors_of(tmp_path / "bad.yml")
    assert [place(error) for error in errors] == [(1, 1), (1, 1), (2, 17), (3, 10), (3, 25), (4, 26), (4, 30)]
    assert all(re.fullmatch(r".*bad\.yml:\d+:\d+", error.at) for error in errors)


def test_defaults(folder: SpecFolder) -> None:
    spec = folder.load(SOUND).spec
    assert spec.devices == ("cpu",)
    assert spec.numerics.preset == "strict"
    assert spec.inputs.seed == 0
    assert spec.limits.timeout == 600
    assert spec.diagnose == "on-failure"
    assert spec.limits.memory is None
    assert (spec.performance.runs, spec.performance.warmup) == (5, 1)
    assert list(spec.tolerances) == ["*"]
    assert not spec.tolerances["*"].model_fields_set


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 * 2**30),
        ("512 MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("100B", 100),
        ("4096", 4096),
    ],
)
def test_sizes(folder: SpecFolder, text: str, size: int) -> None:
    assert folder.load(f"{SOUND}limits: {{memory: {text}}}\n").spec.limits.memory == size


def test_words_of_yaml_1_1_are_text_where_text_is_expected(folder: SpecFolder) -> None:
    spec = folder.load(f"{SOUND}name: on\noutputs: {{no: yes, 1374: off}}\n").spec
    assert spec.name == "on"
    assert spec.outputs == {"no": "yes", "1374": "off"}
    assert all(type(key) is str for key in spec.outputs)


def test_options_reach_onnx_runtime_as_text(folder: SpecFolder) -> None:
    options = "{a: true, b: false, c: 3, d: 0.5, e: text}"
    spec = folder.load(f"{SOUND}onnxruntime: {{session_config: {options}}}\n").spec
    assert spec.onnxruntime.session_config == {"a": "1", "b": "0", "c": "3", "d": "0.5", "e": "text"}


def test_the_schema_offers_what_is_registered() -> None:
    own, others = ModelSpec.model_json_schema()["properties"]["loader"]["anyOf"]
    assert set(own["enum"]) == {*registry.LOADERS, SAVED}
    assert others == {"type": "string"}  # those of installed packages
    exporters = ExportSpec.model_json_schema()["properties"]["exporter"]["enum"]
    assert set(exporters) == set(registry.EXPORTERS)


def test_every_dtype_can_be_stored() -> None:
    from parity.artifacts import dtype_name, numpy_dtype

    for name in Dtype.__args__:
        assert dtype_name(numpy_dtype(name)) == name


def test_a_specification_can_be_reached_from_another_folder(
    folder: SpecFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(SOUND)
    monkeypatch.chdir(folder.root.parent)
    assert load_spec(f"{folder.root.name}/suite.yml").places.file == f"{folder.root.name}/suite.yml"
