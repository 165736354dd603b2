"""How a script makes the session that the gate has made, without the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.worker.backends.onnxruntime_options import LEVELS


def session_script(
    providers: Sequence[tuple[str, Mapping[str, str]]], numerics: Numerics, options: OnnxRuntimeOptions
) -> tuple[str, ...]:
    """Lines of Python that set `options` and `providers`; onnxruntime is there as `ort`.

    Args:
        providers: names and options of the execution providers, the preferred first.
        numerics: of the suite.
        options: of ONNX Runtime; each wins over `numerics`.
    """
    lines = ["options = ort.SessionOptions()"]
    if (level := options.optimization or numerics.optimization) is not None:
        lines.append(f"options.graph_optimization_level = ort.GraphOptimizationLevel.{LEVELS[level]}")
    if numerics.deterministic_compute is not None:
        lines.append(f"options.use_deterministic_compute = {numerics.deterministic_compute}")
    lines += [
        f"options.add_session_config_entry({key!a}, {value!a})"
        for key, value in options.session_config.items()
    ]
    lines += [f"options.register_custom_ops_library({library!a})" for library in options.custom_ops]
    made = ", ".join(f"({name!a}, {dict(own)!a})" for name, own in providers)
    return (*lines, f"providers = [{made}]")
