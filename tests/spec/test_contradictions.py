"""Keys that are each right and don't go together."""

from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder, place

COMPONENTS = """\
version: 1
components:
  encoder: {model: {target: model.py:build}, onnx: model.onnx}
  head: {model: {target: model.py:build}, onnx: model.onnx}
pipeline: pipeline.py:run
inputs: {provider: data.py:samples}
"""

# text that is replaced in a sound specification, what by, (line, column), the problem
OF_ONE_MODEL = {
    "no-model": ("model: {target: model.py:build}\n", "", (1, 1), "'model' is missing"),
    "no-onnx": ("onnx: model.onnx\n", "", (1, 1), "'onnx' is missing"),
    "pipeline": ("onnx:", "pipeline: pipeline.py:run\nonnx:", (3, 1), "'pipeline' is given without"),
    "key": ("build}", "build, checkpoint_key: a}", (2, 33), "given without a 'checkpoint'"),
    "no-source": ("  tensors:\n    x: {shape: [2, 4]}\n", "  seed: 0\n", (4, 1), "the inputs have no source"),
    "two-sources": ("  tensors:", "  files: x.npz\n  tensors:", (5, 3), "'files' and 'tensors' are both"),
    "undeclared": ("[2, 4]", "[2, n]", (6, 20), "'n' is not in 'dims'"),
    "unused": ("  tensors:", "  dims: {n: 3}\n  tensors:", (5, 10), "no tensor has the dimension 'n'"),
    "too-many": ("  tensors:", "  samples: 10001\n  tensors:", (4, 1), "10001 input sets"),
    "devices": ("onnx:", "devices: [cpu, cuda, 'cuda:0']\nonnx:", (3, 22), "'cuda:0' is given twice"),
    "exact": ("onnx:", "tolerances: {y: {atol: 1, exact: true}}\nonnx:", (3, 27), "contradicts atol"),
    "quantile": ("onnx:", "tolerances: {y: {quantile: {0.5: 1, '0.50': 1}}}\nonnx:", (3, 18), "given twice"),
    "no-runs": ("onnx:", "performance: {runs: 0, max_latency_ratio: 2}\nonnx:", (3, 24), "measures nothing"),
    "no-memory": ("onnx:", "performance: {runs: 0, max_memory_ratio: 2}\nonnx:", (3, 24), "measures nothing"),
    "two-levels": (
        "onnx:",
        "numerics: {optimization: all}\nonnxruntime: {optimization: basic}\nonnx:",
        (4, 15),
        "contradicts 'optimization: all' of numerics",
    ),
    "few-runs": ("onnx:", "performance: {runs: 4, max_latency_ratio: 2}\nonnx:", (3, 24), "too few"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE_MODEL)
def test_a_contradiction_of_one_model(folder: SpecFolder, name: str) -> None:
    old, new, at, problem = OF_ONE_MODEL[name]
    if name == "two-sources":
        (folder.root / "x.npz").touch()
    (error,) = folder.errors(SOUND.replace(old, new))
    assert problem in error.problem
    assert place(error) == at
    assert error.fix


def test_a_size_that_is_given_twice(folder: SpecFolder) -> None:
    (error,) = folder.errors(
        SOUND.replace("  tensors:", "  dims: {n: [3, 3]}\n  tensors:").replace("[2,", "[n,")
    )
    assert error.problem == "a size of 'n' is given twice"
    assert place(error) == (5, 13)


OF_COMPONENTS = {
    "no-pipeline": ("pipeline: pipeline.py:run\n", "", (2, 1), "'components' need a 'pipeline'"),
    "model-beside": ("inputs:", "model: {target: model.py:build}\ninputs:", (6, 1), "beside 'components'"),
    "onnx-beside": ("inputs:", "onnx: model.onnx\ninputs:", (6, 1), "beside 'components'"),
    "outputs-beside": ("inputs:", "outputs: {y: a}\ninputs:", (6, 1), "beside 'components'"),
    "named-model": ("  head:", "  model:", (4, 3), "can't be named 'model'"),
    "named-pipeline": ("  head:", "  pipeline:", (4, 3), "can't be named 'pipeline'"),
    "unsafe-name": ("  head:", "  a/b:", (4, 3), "'a/b' can't be used as a name"),
    "tolerance": ("head: {", "head: {tolerances: {y: {exact: true, rms: 1}}, ", (4, 27), "contradicts rms"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_COMPONENTS)
def test_a_contradiction_of_components(folder: SpecFolder, name: str) -> None:
    old, new, at, problem = OF_COMPONENTS[name]
    (error,) = folder.errors(COMPONENTS.replace(old, new))
    assert problem in error.problem
    assert place(error) == at
    assert error.fix


def test_two_components_are_not_exported_into_one_file(folder: SpecFolder) -> None:
    text = COMPONENTS.replace(
        "onnx: model.onnx}\npipeline", "onnx: {path: model.onnx, export: {}}}\npipeline"
    )
    (error,) = folder.errors(text)
    assert "is the ONNX file of 'encoder' too" in error.problem
    assert place(error)[0] == 4


def test_two_components_may_share_a_file_that_is_there(folder: SpecFolder) -> None:
    assert folder.load(COMPONENTS).spec.pipeline == "pipeline.py:run"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("files: x.npz", "seed: 0"),
        ("files: x.npz", "samples: 1"),
        ("files: x.npz", "dims: {n: 1}"),
        ("provider: data.py:f", "seed: 0"),
        ("provider: data.py:f", "dims: {n: 1}"),
    ],
)
def test_what_has_no_meaning_with_a_source_is_refused(folder: SpecFolder, source: str, key: str) -> None:
    (folder.root / "x.npz").touch()
    (error,) = folder.errors(SOUND.replace("  tensors:\n    x: {shape: [2, 4]}", f"  {source}\n  {key}"))
    assert "has no meaning with" in error.problem
    assert place(error) == (6, 3)


def test_samples_of_a_provider_are_how_many_are_taken(folder: SpecFolder) -> None:
    spec = folder.load(COMPONENTS.replace("{provider", "{samples: 2, provider")).spec
    assert spec.inputs.samples == 2


MATCHING = {
    "axis-alone": ("{axis: 1}", "'axis' has no meaning here"),
    "margin-of-rows": ("{match: rows, margin: 1}", "'margin' has no meaning here"),
    "together-alone": ("{together: [a], atol: 1}", "'together' has no meaning here"),
    "together-sorted": ("{match: sorted, together: [a]}", "'together' has no meaning here"),
    "optional-sorted": ("{match: sorted, optional_below: 0.1}", "'optional_below' has no meaning here"),
    "column-alone": ("{match: rows, score_column: 4}", "'score_column' is given without 'optional_below'"),
    "no-bound": ("{match: rows, cosine: 0.9}", "needs a bound on each element"),
    "noise": ("{match: rows, noise_factor: 10}", "'noise_factor' contradicts 'match: rows'"),
    "topk-alone": ("{match: topk}", "needs the output with the indices"),
    "topk-of-two": ("{match: topk, together: [a, b]}", "needs the output with the indices"),
    "axis-from-behind": ("{match: rows, axis: -1}", "counted from the front"),
}


@pytest.mark.parametrize("name", MATCHING)
def test_a_contradiction_of_matching(folder: SpecFolder, name: str) -> None:
    tolerance, problem = MATCHING[name]
    (error,) = folder.errors(f"{SOUND}tolerances:\n  y: {tolerance}\n")
    assert problem in error.problem
    assert place(error)[0] == 8
    assert error.fix


@pytest.mark.parametrize(
    "tolerance",
    [
        "{match: rows, atol: 0.01}",
        "{match: rows}",
        "{match: rows, exact: true}",
        "{match: rows, max_abs: 0.1, together: scores, axis: 1}",
        "{match: rows, atol: 0.01, optional_below: -1.5, score_column: 4}",
        "{optional_below: 0.1, atol: 0.01}",
        "{match: sorted, axis: -1}",
        "{match: topk, together: indices, atol: 0.01}",
        "{match: argmax, margin: 0.1, noise_factor: 10}",
    ],
)
def test_what_matching_allows(folder: SpecFolder, tolerance: str) -> None:
    assert folder.load(f"{SOUND}tolerances: {{y: {tolerance}}}\n")


def test_an_unknown_kind_of_matching_is_refused(folder: SpecFolder) -> None:
    (error,) = folder.errors(f"{SOUND}tolerances: {{y: {{match: row}}}}\n")
    assert "rows" in error.problem + error.fix
