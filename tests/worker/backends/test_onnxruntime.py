from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from support import onnx_models

from parity.artifacts import numpy_dtype
from parity.records.jobs import Numerics, OnnxRuntimeOptions
from parity.worker.backends.onnxruntime import OnnxRuntime
from parity.worker.backends.onnxruntime_errors import explain
from parity.worker.backends.onnxruntime_loading import why_not_loaded
from parity.worker.backends.onnxruntime_session import Session
from parity.worker.onnx_files import dtype_name
from parity.worker.problems import Unable
from parity.worker.tensors import to_numpy, to_torch

IS_CUDA_BUILD = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
HAS_CUDA = IS_CUDA_BUILD and torch.cuda.is_available()
INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
FLOATS = ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"]
FLOATS8 = ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"]
NUMERIC = [*FLOATS, *FLOATS8, *INTEGERS, "BOOL"]


def runtime(numerics: Numerics | None = None, device: str = "cpu", **options) -> OnnxRuntime:
    return OnnxRuntime(device, numerics or Numerics(), OnnxRuntimeOptions(**options))


def opened(path: str, **options) -> Session:
    return runtime(**options).open(path)


def any_bits(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random bits, so NaNs of every kind, infinities and subnormal numbers are among them."""
    dtype = numpy_dtype(name)
    if name == "bool":
        return np.resize([True, False, True], shape).astype(bool)
    content = np.random.default_rng(0).bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape)


class TestDtypes:
    @pytest.mark.parametrize("shape", [(7, 3), (), (0, 2), (1,)])
    @pytest.mark.parametrize("code", NUMERIC)
    def test_through_numpy_and_torch(self, tmp_path, code, shape):
        number = getattr(TensorProto, code)
        name = dtype_name(number)
        session = opened(onnx_models.identity(tmp_path / "m.onnx", number))
        given = any_bits(name, shape)
        by_array = session.run({"x": given})["y"]
        by_tensor = to_numpy(session.run_tensors({"x": to_torch(given, torch.device("cpu"))})["y"])
        for result in (by_array, by_tensor):
            assert result.dtype == numpy_dtype(name)
            assert result.shape == shape
            assert result.tobytes() == given.tobytes()

    @pytest.mark.parametrize("given", [["a", "bé", ""], []])
    def test_strings(self, tmp_path, given):
        session = opened(onnx_models.identity(tmp_path / "m.onnx", TensorProto.STRING))
        result = session.run({"x": np.array(given, np.str_)})["y"]
        assert result.dtype.kind == "U"
        assert result.tolist() == given
        session.prepare({"x": np.array(given, np.str_)})()

    def test_strings_beside_bfloat16_are_refused_not_mangled(self, tmp_path):
        for code in (TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN):
            made = onnx_models.model(
                [helper.make_node("Identity", ["s"], ["t"]), helper.make_node("Identity", ["x"], ["y"])],
                [onnx_models.value("s", TensorProto.STRING), onnx_models.value("x", code)],
                [onnx_models.value("t", TensorProto.STRING), onnx_models.value("y", code)],
            )
            session = opened(onnx_models.save(made, tmp_path / "m.onnx"))
            feeds = {"s": np.array(["a"]), "x": np.ones(1).astype(numpy_dtype(dtype_name(code)))}
            with pytest.raises(Unable) as caught:
                session.run(feeds)
            assert caught.value.reason == "onnx"

    def test_arithmetic_in_bfloat16(self, tmp_path):
        made = onnx_models.model(
            [
                helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
                helper.make_node("Add", ["wide", "wide"], ["sum"]),
                helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.BFLOAT16),
            ],
            [onnx_models.value("x", TensorProto.BFLOAT16)],
            [onnx_models.value("y", TensorProto.BFLOAT16)],
        )
        session = opened(onnx_models.save(made, tmp_path / "m.onnx"))
        given = np.array([1.5, -2.0, np.inf], ml_dtypes.bfloat16)
        assert (session.run({"x": given})["y"] == given + given).all()

    def test_dynamic_shapes_and_scalars(self, tmp_path):
        session = opened(onnx_models.positive_rows(tmp_path / "m.onnx"))
        for given, count in (([1, -1, 3], 2), ([-1, -1], 0)):
            array = np.array(given, np.float32)
            results = session.run({"x": array})
            assert [results[name].shape for name in ("kept", "where", "count")] == [(count,), (1, count), ()]
            assert results["kept"].tolist() == [v for v in given if v > 0]
            assert results["count"] == count
            tensors = session.run_tensors({"x": torch.from_numpy(array)})
            assert [tuple(tensors[name].shape) for name in ("kept", "where", "count")] == [
                (count,),
                (1, count),
                (),
            ]

    def test_results_outlive_later_runs_and_their_session(self, tmp_path):
        session = opened(onnx_models.scale(tmp_path / "m.onnx", 3))
        first = session.run({"x": np.ones((500, 2), np.float32)})["scaled"]
        second = session.run_tensors({"x": torch.ones(500, 2) * 2})["scaled"]
        for _ in range(5):
            session.run({"x": np.zeros((500, 2), np.float32)})
        del session
        assert (first == 3).all()
        assert (second == 6).all()

    def test_views_of_any_stride(self, tmp_path):
        session = opened(onnx_models.scale(tmp_path / "m.onnx", 2))
        wide = np.arange(12, dtype=np.float32).reshape(2, 6)
        assert (session.run({"x": wide.T[::2]})["scaled"] == 2 * wide.T[::2]).all()
        tensor = torch.from_numpy(wide).T[::2]
        assert (session.run_tensors({"x": tensor})["scaled"] == 2 * tensor).all()


class TestInputs:
    def test_by_name_in_any_order_else_by_order(self, tmp_path):
        session = opened(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        assert session.names_for(["b", "a"], "it") == {"a": "a", "b": "b"}
        assert session.names_for(["q", "a"], "it") == {"a": "q", "b": "a"}

    @pytest.mark.parametrize("given", [[], ["a"], ["a", "b", "c"]])
    def test_too_few_or_too_many(self, tmp_path, given):
        session = opened(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        with pytest.raises(Unable, match=r"component 'enc' is given .* declares 2 inputs") as caught:
            session.names_for(given, "component 'enc'")
        assert caught.value.reason == "specification"

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.zeros((1, 3)), "float64[1,3]"),
            (np.zeros((1, 4), np.float32), "float32[1,4]"),
            (np.zeros((3,), np.float32), "float32[3]"),
            (np.zeros((1, 1, 3), np.float32), "float32[1,1,3]"),
            (np.zeros((1, 3), np.int32), "int32[1,3]"),
            (np.zeros((1, 3), np.float16), "float16[1,3]"),
        ],
    )
    def test_wrong_dtype_or_shape(self, tmp_path, array, words):
        session = opened(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        good = np.zeros((1, 3), np.float32)
        for attempt in (
            lambda: session.run({"a": good, "b": array}),
            lambda: session.prepare({"a": good, "b": array}),
            lambda: session.run_tensors({"a": torch.from_numpy(good), "b": torch.from_numpy(array)}),
        ):
            with pytest.raises(Unable) as caught:
                attempt()
            assert caught.value.reason == "specification"
            assert f"input 'b' is {words}" in caught.value.problem
            assert "declares float32['batch',3]" in caught.value.problem

    def test_a_missing_input_does_not_crash_the_process(self, tmp_path):
        session = opened(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        with pytest.raises(Unable, match=r"'b' of .* is not given"):
            session.run({"a": np.zeros((1, 3), np.float32)})

    def test_unknown_rank_takes_any(self, tmp_path):
        session = opened(onnx_models.identity(tmp_path / "m.onnx"))
        assert session.run({"x": np.zeros((1, 2, 3, 4), np.float32)})["y"].shape == (1, 2, 3, 4)


class TestPrepared:
    def test_inputs_live_as_long_as_the_prepared_run(self, tmp_path):
        session = opened(onnx_models.sum_and_double(tmp_path / "m.onnx"))
        run = session.prepare({name: np.full((4096, 6), 7, np.float32)[:, ::2] for name in "ab"})
        rubbish = [
            np.full((4096, 3), 1e30, np.float32) for _ in range(8)
        ]  # where freed inputs would have been
        run()
        binding = run.__closure__[0].cell_contents
        assert (binding.get_outputs()[0].numpy() == 14).all()
        assert len(rubbish) == 8


def settings_of(made: OnnxRuntime, folder: Path) -> dict[str, object]:
    return made.settings(made.open(onnx_models.identity(folder / "m.onnx")))


class TestSettings:
    @pytest.mark.parametrize("level", ["disable_all", "basic", "extended", "layout", "all"])
    def test_levels_are_read_back(self, tmp_path, level):
        path = onnx_models.identity(tmp_path / "m.onnx")
        for made in (runtime(Numerics(optimization=level)), runtime(optimization=level)):
            assert made.settings(made.open(path))["optimization"] == level

    def test_options_win_over_numerics(self, tmp_path):
        made = runtime(Numerics(optimization="all"), optimization="disable_all")
        assert settings_of(made, tmp_path)["optimization"] == "disable_all"

    def test_what_is_left_open_is_the_default_of_onnxruntime(self, tmp_path):
        made = runtime()
        settings = settings_of(made, tmp_path)
        assert settings["optimization"] == "all"
        assert settings["deterministic_compute"] is False
        assert settings["intra_op_num_threads"] == 0

    @pytest.mark.parametrize("on", [True, False])
    def test_deterministic_compute(self, tmp_path, on):
        made = runtime(Numerics(deterministic_compute=on))
        assert settings_of(made, tmp_path)["deterministic_compute"] is on

    def test_session_config_is_read_back(self, tmp_path):
        made = runtime(
            session_config={"session.set_denormal_as_zero": "1", "session.disable_prepacking": "0"}
        )
        settings = settings_of(made, tmp_path)
        assert settings["session_config.session.set_denormal_as_zero"] == "1"
        assert settings["session_config.session.disable_prepacking"] == "0"

    @pytest.mark.parametrize(
        "key",
        [
            "session.set_denormal_as_zer",
            "session.set_denormal_as_zeros",
            "denormal_as_zero",
            "session",
            "bogus",
            "SESSION.DISABLE_PREPACKING",
        ],
    )
    def test_unknown_session_config_is_an_error(self, key):
        with pytest.raises(Unable, match=f"knows no session configuration entry '{key}'") as caught:
            runtime(session_config={key: "1"})
        assert caught.value.reason == "specification"

    @pytest.mark.parametrize(
        "key",
        [
            "session.disable_cpu_ep_fallback",
            "session.intra_op.allow_spinning",
            "session.use_env_allocators",
            "session.intra_op_thread_affinities",
            "session.model_external_initializers_file_folder_path",
            "optimization.disable_specified_optimizers",
            "optimization.enable_gelu_approximation",
        ],
    )
    def test_documented_session_config_is_known(self, key):
        runtime(session_config={key: "0"})

    def test_options_of_cuda_are_noted_on_the_cpu(self):
        assert runtime(provider_options={"cudnn_conv_algo_search": "HEURISTIC"}).notes == (
            "the CPU provider has no options; not applied here: cudnn_conv_algo_search",
        )

    def test_settings_of_cuda_in_numerics_need_no_note_on_the_cpu(self):
        numerics = Numerics(
            tf32=False, cudnn_conv_algo_search="HEURISTIC", arena_extend_strategy="kNextPowerOfTwo"
        )
        assert runtime(numerics).notes == ()

    def test_options_of_no_provider_are_an_error(self):
        with pytest.raises(Unable, match="has an option 'cudnn_conv_alg_search'") as caught:
            runtime(provider_options={"cudnn_conv_alg_search": "HEURISTIC"})
        assert caught.value.reason == "specification"
        assert "'cudnn_conv_algo_search'" in caught.value.fix


class TestDevices:
    @pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "", "cpu:0", "cuda:0 ", "rocm:0"])
    def test_no_such_kind_of_device(self, device):
        with pytest.raises(Unable) as caught:
            runtime(device=device)
        assert caught.value.reason == "specification"

    @pytest.mark.skipif(
        "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
        reason="this is a CUDA build of onnxruntime",
    )
    def test_a_cpu_build_says_what_it_is(self):
        with pytest.raises(Unable) as caught:
            runtime(device="cuda:0")
        assert caught.value.reason == "device"
        assert (
            f"onnxruntime {onnxruntime.__version__} (CPU build) has no CUDAExecutionProvider"
            in caught.value.problem
        )
        assert "CPUExecutionProvider" in caught.value.problem
        assert "onnxruntime-gpu" in caught.value.fix

    @pytest.mark.skipif(HAS_CUDA, reason="the CUDA provider really loads on this machine")
    @pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
    def test_a_session_that_fell_back_is_not_opened(self, tmp_path):
        """ONNX Runtime opens it on the CPU with no more than a warning: it must be found out afterwards."""
        made = runtime()
        made.provider = "CUDAExecutionProvider"
        with pytest.raises(Unable, match="CUDAExecutionProvider did not load") as caught:
            made.open(onnx_models.identity(tmp_path / "m.onnx"))
        assert caught.value.reason == "device"
        assert "CPUExecutionProvider" in caught.value.problem

    def test_the_reason_is_the_loaders_own(self, tmp_path):
        (tmp_path / "libonnxruntime_providers_cuda.so").write_bytes(b"\x7fELF, but no more than that")
        reason = why_not_loaded("CUDAExecutionProvider", tmp_path)
        assert "libonnxruntime_providers_cuda.so" in reason
        assert "loads" not in reason

    def test_the_reason_when_the_build_has_no_such_provider(self, tmp_path):
        assert "no library onnxruntime_providers_cuda" in why_not_loaded("CUDAExecutionProvider", tmp_path)


def one_node(operator: str, given: str = "x", **options) -> onnx.ModelProto:
    node = helper.make_node(operator, [given], ["y"], name="mine")
    return onnx_models.model([node], [onnx_models.value("x")], [onnx_models.value("y")], **options)


class TestErrors:
    def failure(self, path: str) -> Unable:
        with pytest.raises(Unable) as caught:
            opened(path)
        assert caught.value.reason == "onnx"
        return caught.value

    def test_unknown_operator(self, tmp_path):
        made = one_node("Nonesuch")
        made.graph.node[0].domain = "my.ops"
        made.opset_import.append(helper.make_opsetid("my.ops", 1))
        error = self.failure(onnx_models.save(made, tmp_path / "m.onnx"))
        assert "Nonesuch" in error.problem
        assert "custom_ops" in error.fix
        assert "[ONNXRuntimeError]" not in error.problem

    def test_opset_of_the_future(self, tmp_path):
        made = onnx_models.model(
            [helper.make_node("Identity", ["x"], ["y"])],
            [onnx_models.value("x")],
            [onnx_models.value("y")],
            opset=999,
        )
        error = self.failure(onnx_models.save(made, tmp_path / "m.onnx"))
        assert "lower opset" in error.fix

    def test_no_kernel(self, tmp_path):
        error = self.failure(onnx_models.identity(tmp_path / "m.onnx", TensorProto.INT4))
        assert "Identity" in error.problem
        assert "no kernel" in error.fix

    def test_inconsistent_graph(self, tmp_path):
        made = onnx_models.model(
            [helper.make_node("Identity", ["nowhere"], ["y"])],
            [onnx_models.value("x")],
            [onnx_models.value("y")],
        )
        assert "nowhere" in self.failure(onnx_models.save(made, tmp_path / "m.onnx")).problem

    def test_external_data_is_found_beside_the_file(self, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        path = onnx_models.external(tmp_path / "m.onnx")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert (opened(path).run({"x": np.ones(64, np.float32)})["y"] == 2).all()

    def test_a_failing_node_is_named(self, tmp_path):
        made = onnx_models.model(
            [helper.make_node("Reshape", ["x", "to"], ["y"], name="/head/Reshape_1")],
            [onnx_models.value("x", shape=["n"])],
            [onnx_models.value("y", shape=["a", "b"])],
            [helper.make_tensor("to", TensorProto.INT64, [2], [2, 3])],
        )
        session = opened(onnx_models.save(made, tmp_path / "m.onnx"))
        for attempt in (
            lambda: session.run({"x": np.zeros(5, np.float32)}),
            lambda: session.run_tensors({"x": torch.zeros(5)}),
            session.prepare({"x": np.zeros(5, np.float32)}),
        ):
            with pytest.raises(Unable) as caught:
                attempt()
            assert caught.value.reason == "onnx"
            assert "the Reshape node '/head/Reshape_1' failed" in caught.value.problem
            assert "requested shape:{2,3}" in caught.value.problem
            assert "onnxruntime_src" not in caught.value.problem
            assert "onnxruntime_src" in caught.value.detail

    @pytest.mark.parametrize("text", ["", "[ONNXRuntimeError] : 1 : FAIL : "])
    def test_an_error_without_words_still_has_a_name(self, text):
        assert explain(ValueError(text))[0] == "ValueError"

    def test_sequences_are_refused_even_where_the_file_does_not_say(self, tmp_path):
        made = onnx_models.model(
            [helper.make_node("SequenceConstruct", ["x"], ["y"])],
            [onnx_models.value("x")],
            [onnx.ValueInfoProto(name="y")],
        )
        assert "only tensors" in self.failure(onnx_models.save(made, tmp_path / "m.onnx")).problem


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device, a CUDA build of PyTorch and onnxruntime-gpu")
class TestOnCuda:
    def test_settings_are_taken_over(self, tmp_path):
        numerics = Numerics(
            tf32=False,
            cudnn_conv_algo_search="HEURISTIC",
            arena_extend_strategy="kNextPowerOfTwo",
            do_copy_in_default_stream=True,
        )
        made = runtime(numerics, device="cuda:0")
        session = made.open(onnx_models.identity(tmp_path / "m.onnx"))
        settings = made.settings(session)
        assert session.providers[0] == "CUDAExecutionProvider"
        assert settings["CUDAExecutionProvider.use_tf32"] == "0"
        assert settings["CUDAExecutionProvider.cudnn_conv_algo_search"] == "HEURISTIC"
        assert settings["CUDAExecutionProvider.arena_extend_strategy"] == "kNextPowerOfTwo"
        assert settings["CUDAExecutionProvider.do_copy_in_default_stream"] == "1"
        assert made.device_name == torch.cuda.get_device_name(0)

    def test_unknown_option(self):
        with pytest.raises(Unable) as caught:
            runtime(device="cuda:0", provider_options={"bogus": "1"})
        assert caught.value.reason == "specification"

    def test_no_such_device(self):
        with pytest.raises(Unable) as caught:
            runtime(device=f"cuda:{torch.cuda.device_count()}")
        assert caught.value.reason == "device"

    @pytest.mark.parametrize("shape", [(7, 3), (), (0, 2)])
    @pytest.mark.parametrize("code", ["FLOAT", "FLOAT16", "BFLOAT16", "INT64", "BOOL"])
    def test_values_stay_on_the_device_bit_for_bit(self, tmp_path, code, shape):
        number = getattr(TensorProto, code)
        session = opened(onnx_models.identity(tmp_path / "m.onnx", number), device="cuda:0")
        given = any_bits(dtype_name(number), shape)
        tensor = session.run_tensors({"x": to_torch(given, torch.device("cuda:0"))})["y"]
        assert tensor.device == torch.device("cuda:0")
        for result in (session.run({"x": given})["y"], to_numpy(tensor)):
            assert result.tobytes() == given.tobytes()
            assert result.shape == shape
        session.prepare({"x": given})()
