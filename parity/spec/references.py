"""What the kind of reference asks of the other keys: a module's target, or outputs that were saved."""

from __future__ import annotations

from collections.abc import Iterator

from parity.spec.messages import Finding
from parity.spec.models import ModelSpec
from parity.spec.places import Path
from parity.spec.schema import Spec


def check_references(spec: Spec) -> Iterator[Finding]:
    """What is wrong with `model`, and with what stands beside it."""
    if spec.model is not None:
        yield from _model(("model",), spec.model)
        if spec.model.saved:
            yield from _beside_saved(spec)
    for name, component in (spec.components or {}).items():
        path: Path = ("components", name, "model")
        if component.model is None:
            continue
        yield from _model(path, component.model)
        if component.model.saved:
            fix = "give a suite without components for outputs that were saved"
            yield Finding((*path, "loader"), "a pipeline calls modules, which saved outputs are not", fix)


def _model(path: Path, model: ModelSpec) -> Iterator[Finding]:
    if not model.saved:
        if model.checkpoint_key is not None and model.checkpoint is None:
            at = (*path, "checkpoint_key")
            yield Finding(
                at, "'checkpoint_key' is given without a 'checkpoint'", "add the checkpoint", on_key=True
            )
        return
    for name in sorted(model.model_fields_set - {"loader"}):
        problem = f"{name!r} has no meaning with the loader {model.loader!r}"
        yield Finding((*path, name), problem, "leave it out: there is no module", on_key=True)


def _beside_saved(spec: Spec) -> Iterator[Finding]:
    if spec.inputs.files is None:
        fix = "give `files: test_data_set_*`, folders with input_0.pb, ... and output_0.pb, ..."
        yield Finding(("inputs",), "outputs that were saved need 'files'", fix, on_key=True)
    if spec.onnx is not None and spec.onnx.export is not None:
        fix = "name an ONNX file that is there"
        yield Finding(("onnx", "export"), "there is no module to export", fix, on_key=True)
    if spec.comparisons is not None:
        fix = "leave it out: the outputs that were saved are the reference on each of `devices`"
        yield Finding(("comparisons",), "'comparisons' have no meaning with saved outputs", fix, on_key=True)
    if spec.diagnose == "always":
        fix = "leave it out: an error budget needs a module"
        yield Finding(("diagnose",), "saved outputs can't be diagnosed", fix)
    for pattern, tolerance in spec.tolerances.items():
        if tolerance.noise_factor is not None:
            fix = "give an 'atol': the noise floor is that of a module"
            yield Finding(
                ("tolerances", pattern, "noise_factor"), "saved outputs have no noise floor", fix, on_key=True
            )
