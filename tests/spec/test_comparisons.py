"""`comparisons`: what text and mappings come to, and what is wrong with them, where, and how to mend it."""

from __future__ import annotations

import pytest
from support.specs import SOUND, SpecFolder, place

from parity.errors import SpecError
from parity.planning import plan
from parity.records.providers import PROVIDERS, runs_on
from parity.records.sides import OnnxRuntimeSide, TorchSide
from parity.spec.comparisons import SideSpec

HEAD = "comparisons:\n"
PAIR = "  - {{reference: {}, candidate: {}}}\n"


def pair(reference: str = "torch@cpu", candidate: str = "onnxruntime@cpu") -> str:
    return f"{SOUND}{HEAD}{PAIR.format(reference, candidate)}"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("torch@cpu", {"backend": "torch", "device": "cpu"}),
        ("torch+compile@cuda", {"backend": "torch", "device": "cuda:0", "variant": "compile"}),
        ("onnxruntime@cuda:1", {"backend": "onnxruntime", "device": "cuda:1"}),
        (
            "onnxruntime+tensorrt@cuda:0",
            {"backend": "onnxruntime", "device": "cuda:0", "provider": "TensorrtExecutionProvider"},
        ),
        (
            "onnxruntime+FancyExecutionProvider@cpu",
            {"backend": "onnxruntime", "device": "cpu", "provider": "FancyExecutionProvider"},
        ),
    ],
)
def test_text_stands_for_a_mapping(folder: SpecFolder, text: str, side: dict[str, str]) -> None:
    spec = folder.load(pair(reference=f'"{text}"')).spec
    assert spec.comparisons is not None
    assert spec.comparisons[0].reference == SideSpec.model_validate(side)


@pytest.mark.parametrize(
    ("reference", "candidate", "where", "problem", "fix"),
    [
        ("torch", "onnxruntime@cpu", "reference", "'torch' names no device", "torch@cpu"),
        ('"@cpu"', "onnxruntime@cpu", "reference", "'@cpu' names no backend", "torch[+variant]@device"),
        ("torhc@cpu", "onnxruntime@cpu", "reference", "not the text 'torhc'", "did you mean 'torch'?"),
        (
            "torch+compil@cpu",
            "onnxruntime@cpu",
            "reference",
            "not the text 'compil'",
            "did you mean 'compile'?",
        ),
        ("torch@gpu", "onnxruntime@cpu", "reference", "no device 'gpu'", "cuda:N"),
        (
            "torch@cpu",
            "onnxruntime+tensort@cuda",
            "candidate",
            "no execution provider 'tensort'",
            "'tensorrt'?",
        ),
        ("torch@cpu", "onnxruntime+zzz@cuda", "candidate", "no execution provider 'zzz'", "its full name"),
        (
            "torch@cpu",
            "onnxruntime+cuda@cpu",
            "candidate",
            "does not take its tensors from cpu",
            "+cuda@cuda:0",
        ),
        (
            "torch@cpu",
            "onnxruntime+dnnl@cuda",
            "candidate",
            "does not take its tensors from cuda:0",
            "+dnnl@cpu",
        ),
        (
            "torch@cpu",
            "torch+compile@cpu",
            "candidate",
            "the candidate must be an ONNX file",
            "as the reference",
        ),
        ("onnxruntime@cpu", "onnxruntime@cpu", "item", "compares a side with itself", "another side"),
        ("torch@cpu", "7", "candidate", "expected a mapping", "onnxruntime@cpu"),
    ],
)
def test_what_is_wrong_with_a_side(
    folder: SpecFolder, reference: str, candidate: str, where: str, problem: str, fix: str
) -> None:
    (error,) = folder.errors(pair(reference, candidate))
    assert problem in error.problem
    assert fix in error.fix
    line = SOUND.count("\n") + 2
    assert place(error)[0] == line
    columns = {"item": 5, "reference": 17, "candidate": 17 + len(reference) + len(", candidate: ")}
    assert place(error)[1] == columns[where]


@pytest.mark.parametrize(
    ("side", "problem"),
    [
        ("{backend: torch, device: cpu, provider: cuda}", "'provider' has no meaning with torch"),
        ("{backend: torch, device: cpu, onnx: model.onnx}", "'onnx' has no meaning with torch"),
        ("{backend: torch, device: cpu, optimization: all}", "'optimization' has no meaning with torch"),
        (
            "{backend: onnxruntime, device: cpu, variant: compile}",
            "'variant' has no meaning with onnxruntime",
        ),
        ("{backend: onnxruntime, device: cpu, onnx: absent.onnx}", "there is no file 'absent.onnx'"),
        ("{backend: onnxruntime, device: cpu, onnx: {head: model.onnx}}", "there is no component 'head'"),
        ("{backend: onnxruntime, device: cpu, onxx: model.onnx}", "unknown key 'onxx'"),
        ("{backend: onnxruntime, onnx: model.onnx}", "'device' is missing"),
    ],
)
def test_what_is_wrong_with_a_mapping(folder: SpecFolder, side: str, problem: str) -> None:
    (error,) = folder.errors(pair(reference=side))
    assert problem in error.problem
    assert error.fix


def test_devices_and_comparisons_exclude_each_other(folder: SpecFolder) -> None:
    (error,) = folder.errors(f"devices: [cpu]\n{pair()}")
    assert error.problem == "'devices' and 'comparisons' are both given"
    assert place(error) == (1, 1)


def test_a_comparison_is_given_once_but_for_a_name(folder: SpecFolder) -> None:
    twice = PAIR.format("torch@cpu", "onnxruntime@cpu")
    (error,) = folder.errors(pair() + twice)
    assert error.problem == "this comparison is given twice"
    named = PAIR.format("torch@cpu", "{backend: onnxruntime, device: cpu, name: again}")
    labels = [each.label for each in plan(folder.load(pair() + named)).comparisons]
    assert labels == ["torch@cpu~onnxruntime@cpu", "torch@cpu~onnxruntime(again)@cpu"]


@pytest.mark.parametrize(
    "candidate",
    [
        "onnxruntime+cpu@cpu",
        "{backend: onnxruntime, device: cpu, name: other}",
        "{backend: onnxruntime, device: cpu, onnx: ./model.onnx}",
        "{backend: onnxruntime, device: cpu, optimization: disable_all}",
    ],
)
def test_a_side_against_itself_in_other_words(folder: SpecFolder, candidate: str) -> None:
    text = pair("onnxruntime@cpu", candidate)
    with pytest.raises(SpecError) as raised:
        plan(folder.load(text))
    assert "compares a side with itself" in raised.value.problem
    assert "another side" in raised.value.fix
    assert place(raised.value) == (text.count("\n"), 5)


def test_a_file_against_another_is_no_side_against_itself(folder: SpecFolder) -> None:
    (folder.root / "other.onnx").touch()
    candidates = ("{backend: onnxruntime, device: cpu, onnx: other.onnx}", "onnxruntime@cuda:0")
    for candidate in (*candidates, "{backend: onnxruntime, device: cpu, optimization: all}"):
        assert len(plan(folder.load(pair("onnxruntime@cpu", candidate))).comparisons) == 1


def test_files_of_one_name_need_a_name(folder: SpecFolder) -> None:
    (folder.root / "other").mkdir()
    (folder.root / "other" / "model.onnx").touch()
    sides = [
        f"{{backend: onnxruntime, device: cpu, onnx: {path}}}" for path in ("model.onnx", "other/model.onnx")
    ]
    text = pair(candidate=sides[0]) + PAIR.format("torch@cpu", sides[1])
    with pytest.raises(SpecError) as raised:
        plan(folder.load(text))
    assert "could not tell this comparison" in raised.value.problem
    assert place(raised.value) == (text.count("\n"), 5)
    named = sides[1].replace("cpu,", "cpu, name: other,")
    assert len(plan(folder.load(pair(candidate=sides[0]) + PAIR.format("torch@cpu", named))).comparisons) == 2


def test_a_model_is_needed_where_there_is_torch(folder: SpecFolder) -> None:
    without = pair().replace("model: {target: model.py:build}\n", "")
    (error,) = folder.errors(without)
    assert error.problem == "'model' is missing"
    other = without.replace("torch@cpu", "{backend: onnxruntime, device: cpu, optimization: all}")
    assert plan(folder.load(other)).components[0].model is None


def test_nothing_can_be_exported_without_torch(folder: SpecFolder) -> None:
    text = pair("onnxruntime@cpu", "{backend: onnxruntime, device: cpu, optimization: all}")
    (error,) = folder.errors(text.replace("onnx: model.onnx", "onnx: {path: model.onnx, export: {}}"))
    assert "nothing to export" in error.problem


def test_devices_of_the_command_line_say_why_they_can_not_be_had(folder: SpecFolder) -> None:
    with pytest.raises(SpecError) as raised:
        plan(folder.load(pair()), ("cuda:0",))
    assert raised.value.at == "--devices"
    assert "has comparisons" in raised.value.problem
    assert "--case" in raised.value.fix


def test_options_of_the_suite_and_of_a_side(folder: SpecFolder) -> None:
    text = pair(
        "torch+compile@cpu", "{backend: onnxruntime, device: cuda, optimization: all, onnx: model.onnx}"
    )
    text += PAIR.format("onnxruntime@cuda", "{backend: onnxruntime, device: cuda, provider: tensorrt}")
    text += "onnxruntime: {optimization: basic, provider_options: {use_tf32: 0}, session_config: {a: 1}}\n"

    first, second = plan(folder.load(text)).comparisons

    assert first.reference == TorchSide(device="cpu", variant="compile")
    assert first.candidate.options.optimization == "all"
    assert first.candidate.options.provider_options == {"use_tf32": "0"}
    assert first.candidate.files == {"model": str(folder.root / "model.onnx")}
    assert first.candidate.text == "onnxruntime(model.onnx, optimization=all)@cuda:0"
    assert isinstance(second.reference, OnnxRuntimeSide)
    assert second.reference.options.provider_options == {"use_tf32": "0"}
    assert second.candidate.options.provider == "TensorrtExecutionProvider"
    assert second.candidate.options.provider_options == {}  # those of the suite are for the device's own
    assert second.candidate.options.session_config == {"a": "1"}
    assert second.label == "onnxruntime@cuda-0~onnxruntime+tensorrt@cuda-0"
    assert (first.key_of("candidate"), second.key) == ("comparisons.0.candidate", "comparisons.1")


def test_every_provider_runs_on_one_kind_of_device() -> None:
    assert all(runs_on(name, "cpu") != runs_on(name, "cuda:0") for name in PROVIDERS.values())
    assert runs_on("FancyExecutionProvider", "cpu")
    assert runs_on("FancyExecutionProvider", "cuda:1")
