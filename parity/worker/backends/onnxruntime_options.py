"""Settings of ONNX Runtime: from the specification's names to sessions, and read back from them.

ONNX Runtime ignores a session configuration entry that it does not know, and the CPU provider ignores
options altogether. Here, both are errors. Options of other providers are theirs to refuse, in their words.
"""

from __future__ import annotations

import difflib
import mmap
from pathlib import Path
from typing import Any

from parity.records.jobs import Numerics, OnnxRuntimeOptions, Optimization
from parity.records.outcomes import Setting
from parity.worker.backends.onnxruntime_errors import explain
from parity.worker.placement import RECORDING
from parity.worker.problems import Unable

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
LEVELS: dict[Optimization, str] = {
    "disable_all": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
# Options of the CUDA provider that a text can set: core/providers/cuda/cuda_execution_provider_info.cc
_CUDA_OPTIONS = frozenset(
    {
        "arena_extend_strategy",
        "cudnn_conv1d_pad_to_nc1d",
        "cudnn_conv_algo_search",
        "cudnn_conv_use_max_workspace",
        "device_id",
        "do_copy_in_default_stream",
        "enable_cuda_graph",
        "enable_skip_layer_norm_strict_mode",
        "fuse_conv_bias",
        "gpu_mem_limit",
        "prefer_nhwc",
        "sdpa_kernel",
        "tunable_op_enable",
        "tunable_op_max_tuning_duration_ms",
        "tunable_op_tuning_enable",
        "use_ep_level_unified_stream",
        "use_tf32",
    }
)
# Keys that compilers build piecewise, so that `check_session_config` can't find them in the library:
# onnxruntime_session_options_config_keys.h
_PIECEWISE_KEYS = frozenset(
    {
        "ep.context_node_name_prefix",
        "ep.share_ep_contexts",
        "ep.stop_share_ep_contexts",
        "mlas.enable_gemm_fastmath_arm64_bfloat16",
        "session.model_external_initializers_file_folder_path",
    }
)


def session_options(ort: Any, numerics: Numerics, options: OnnxRuntimeOptions) -> Any:
    """New session options; what the specification leaves open stays ONNX Runtime's own default."""
    made = ort.SessionOptions()
    optimization = options.optimization or numerics.optimization
    if optimization is not None:
        made.graph_optimization_level = _level(ort, optimization)
    if numerics.deterministic_compute is not None:
        made.use_deterministic_compute = numerics.deterministic_compute
    for key, value in {RECORDING: "1", **options.session_config}.items():
        made.add_session_config_entry(key, value)
    for library in options.custom_ops:
        _register(made, library)
    return made


def provider_of(kind: str, options: OnnxRuntimeOptions) -> str:
    """The execution provider that is asked for: the specification's, or the device's own."""
    return options.provider or (CUDA if kind == "cuda" else CPU)


def providers(
    kind: str, index: int, numerics: Numerics, options: OnnxRuntimeOptions
) -> tuple[list[tuple[str, dict[str, str]]], tuple[str, ...]]:
    """What a session is opened with: the requested provider and its options first, the CPU provider last.

    Returns:
        Providers with their options, and notes on options that have no meaning on this device.

    Raises:
        Unable: ``specification``; no provider knows an option, or it contradicts the device.
    """
    provider = provider_of(kind, options)
    chosen, notes = provider_options(kind, index, numerics, options)
    if provider == CPU:
        return [(CPU, chosen)], notes
    # For the nodes that the requested provider has no kernel for: the next best, then the CPU.
    next_best = [(CUDA, {"device_id": str(index)})] if provider == TENSORRT else []
    return [(provider, chosen), *next_best, (CPU, {})], notes


def provider_options(
    kind: str, index: int, numerics: Numerics, options: OnnxRuntimeOptions
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Options of the requested provider, and notes on those that have no meaning on this device.

    Raises:
        Unable: ``specification``; no provider knows the option, or it contradicts the device.
    """
    asked, provider = options.provider_options, provider_of(kind, options)
    if provider not in (CPU, CUDA, TENSORRT):
        return dict(asked), ()
    if provider == CPU:
        for name in asked:
            if name not in _CUDA_OPTIONS:
                raise _unknown_option(name, "no supported execution provider has an option")
        ignored = ", ".join(sorted(asked))
        return {}, ((f"the CPU provider has no options; not applied here: {ignored}",) if asked else ())
    if asked.get("device_id", str(index)) != str(index):
        raise Unable(
            "specification",
            f"onnxruntime.provider_options.device_id is {asked['device_id']}, the device is cuda:{index}",
            fix="leave device_id out: the device decides it",
        )
    if provider == TENSORRT:
        return {**asked, "device_id": str(index)}, ()
    switches = {"use_tf32": numerics.tf32, "do_copy_in_default_stream": numerics.do_copy_in_default_stream}
    chosen = {name: str(int(on)) for name, on in switches.items() if on is not None}
    if numerics.arena_extend_strategy is not None:
        chosen["arena_extend_strategy"] = numerics.arena_extend_strategy
    if numerics.cudnn_conv_algo_search is not None:
        chosen["cudnn_conv_algo_search"] = numerics.cudnn_conv_algo_search
    return {**chosen, **asked, "device_id": str(index)}, ()


def check_provider_options(native: Any, provider: str, asked: dict[str, str]) -> tuple[str, ...]:
    """Raises `Unable` unless the session's provider reports every option that was asked of it.

    Returns:
        A note where the provider reports no options at all, so that nobody can tell.
    """
    if provider == CPU or not asked:
        return ()
    reported = native.get_provider_options()[provider]
    if not reported:
        return (f"{provider} does not report its options; asked of it: {', '.join(sorted(asked))}",)
    for name in asked:
        if name not in reported:
            raise _unknown_option(name, f"{provider} has no option")
    return ()


def check_session_config(entries: dict[str, str]) -> None:
    """Raises `Unable` for a key that the installed ONNX Runtime can't know.

    There is no list to ask it for, and it differs between versions. A key that its libraries do not hold
    as a string is none that they read.
    """
    for key in entries:
        if key not in _PIECEWISE_KEYS and not any(_holds(library, key) for library in _libraries()):
            raise Unable(
                "specification",
                f"the installed ONNX Runtime knows no session configuration entry {key!r}",
                fix="check onnxruntime.session_config against onnxruntime_session_options_config_keys.h",
            )


def settings_of(native: Any, session_config: dict[str, str]) -> dict[str, Setting]:
    """The settings in force, as the session reports them."""
    options = native.get_session_options()
    names = {level: name for name, level in LEVELS.items()}
    level = options.graph_optimization_level.name
    settings: dict[str, Setting] = {
        "optimization": names.get(level, level),
        "deterministic_compute": bool(options.use_deterministic_compute),
        "execution_mode": str(options.execution_mode.name),
        "intra_op_num_threads": int(options.intra_op_num_threads),  # 0: one for each core
        "inter_op_num_threads": int(options.inter_op_num_threads),
    }
    for key in session_config:
        settings[f"session_config.{key}"] = str(options.get_session_config_entry(key))
    for provider, values in native.get_provider_options().items():
        settings.update({f"{provider}.{name}": str(value) for name, value in values.items()})
    return settings


def _register(options: Any, library: str) -> None:
    if not Path(library).is_file():
        raise Unable(
            "specification",
            f"there is no library of custom operators {library}",
            fix="see onnxruntime.custom_ops; paths are relative to the specification",
        )
    try:
        options.register_custom_ops_library(library)
    except Exception as error:
        problem, _ = explain(error)
        raise Unable(
            "onnx",
            f"ONNX Runtime can't load the custom operators of {library}: {problem}",
            fix="build the library for this onnxruntime and machine; it must export RegisterCustomOps",
            detail=str(error),
        ) from error


def _level(ort: Any, optimization: Optimization) -> Any:
    level = getattr(ort.GraphOptimizationLevel, LEVELS[optimization], None)
    if level is None:
        raise Unable(
            "specification",
            f"onnxruntime {ort.__version__} has no optimization level {optimization!r}",
            fix="use another level, or a newer onnxruntime",
        )
    return level


def _unknown_option(name: str, problem: str) -> Unable:
    near = difflib.get_close_matches(name, _CUDA_OPTIONS, 1)
    fix = f"did you mean {near[0]!r}?" if near else "see the documentation of the execution provider"
    return Unable("specification", f"{problem} {name!r}", fix=fix)


def _libraries() -> list[Path]:
    """The runtime's shared libraries, the core first."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    endings = (".so", ".pyd", ".dll", ".dylib")
    found = [path for path in folder.iterdir() if path.suffix in endings or ".so." in path.name]
    return sorted(found, key=lambda path: "providers" in path.name)


def _holds(library: Path, key: str) -> bool:
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(f"\0{key}\0".encode()) >= 0
