from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "centerpoint"
SMALL, FULL = EXAMPLE / "configs" / "small.yaml", EXAMPLE / "configs" / "full.yaml"
RECORDED = ROOT.parent / "shared" / "data"
NUSCENES, KITTI = RECORDED / "nuscenes_lidar_top.pcd.bin", RECORDED / "kitti_000008.bin"
BRANCHES = {"heatmap": 5, "reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}


@pytest.fixture(scope="module")
def example() -> Iterator[SimpleNamespace]:
    """The example's modules, imported as the gate does, with their folder on the path; gone afterwards."""
    names = [path.stem for path in EXAMPLE.glob("*.py")]
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small configuration on 48 x 48 pillars and with few channels and layers."""
    config = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    config["voxelization"]["point_cloud_range"] = [-7.68, -7.68, -3.0, 7.68, 7.68, 5.0]
    config["backbone"] |= {"out_channels": [8, 16, 16], "layer_nums": [1, 1, 1]}
    config["neck"] |= {"out_channels": [8, 8, 8]}
    config["head"] |= {"shared_channels": 16}
    path = tmp_path_factory.mktemp("configs") / "tiny.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def sweep(example: SimpleNamespace) -> torch.Tensor:
    return torch.from_numpy(example.scanner.simulate_sweep(5))


def torch_stages(encoder: nn.Module, network: nn.Module) -> dict[str, Any]:
    """Stages as the gate gives them to a pipeline: inputs by name, outputs by name."""
    return {
        "voxel_encoder": lambda *, input_features: {"pillar_features": encoder(input_features)},
        "backbone_head": lambda *, spatial_features: network(spatial_features),
    }


# The networks: the figures of the public configuration.


def convolutions(module: nn.Module) -> list[tuple[Any, ...]]:
    return [
        (
            type(conv).__name__,
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
        )
        for conv in module.modules()
        if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    ]


def conv(ins: int, outs: int, kernel: int, stride: int = 1) -> tuple[Any, ...]:
    return ("Conv2d", ins, outs, (kernel,) * 2, (stride,) * 2, (kernel // 2,) * 2)


@pytest.mark.parametrize(("config", "grid"), [(SMALL, (128, 128, 1)), (FULL, (760, 760, 1))])
def test_grid(example: SimpleNamespace, config: Path, grid: tuple[int, ...]) -> None:
    voxelization = example.config.load_config(config).voxelization
    assert voxelization.grid == grid
    assert voxelization.voxel_size == (0.32, 0.32, 8.0)
    assert (voxelization.max_points, voxelization.max_voxels) == (32, 64_000)


def test_small_and_full_differ_in_the_range_alone(example: SimpleNamespace) -> None:
    small, full = example.config.load_config(SMALL), example.config.load_config(FULL)
    range_of_full = full.voxelization.point_cloud_range
    assert range_of_full == (-121.6, -121.6, -3.0, 121.6, 121.6, 5.0)
    assert replace(small.voxelization, point_cloud_range=range_of_full) == full.voxelization
    assert replace(small, voxelization=full.voxelization) == full


@pytest.mark.parametrize(
    ("section", "change", "named"),
    [
        ("neck", {"strides": [1, 2, 4]}, "strides"),
        ("head", {"branches": None, "shared": 64}, "shared"),
        ("encoder", {}, "encoder"),
    ],
)
def test_unknown_keys_of_a_configuration(
    example: SimpleNamespace, tmp_path: Path, section: str, change: dict[str, Any], named: str
) -> None:
    config = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    config[section] = config.get(section, {}) | change
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    with pytest.raises(TypeError, match=named):
        example.config.load_config(path)


def test_missing_section_of_a_configuration(example: SimpleNamespace, tmp_path: Path) -> None:
    config = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    del config["neck"]
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    with pytest.raises(TypeError, match="neck"):
        example.config.load_config(path)


def test_pillar_feature_net(example: SimpleNamespace) -> None:
    encoder = example.model.build_voxel_encoder(FULL)
    linears = [module for module in encoder.modules() if isinstance(module, nn.Linear)]
    # Layers of 32 channels: the first is 16 of each point beside the pillar's maximum of them.
    assert [(linear.in_features, linear.out_features) for linear in linears] == [(11, 16), (32, 32)]
    assert all(linear.bias is None for linear in linears)
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm1d)]
    assert [(norm.num_features, norm.eps) for norm in norms] == [(16, 1e-3), (32, 1e-3)]


def test_pillar_feature_net_computes_what_it_says(example: SimpleNamespace) -> None:
    torch.manual_seed(0)
    encoder = example.model.build_voxel_encoder(FULL).double().eval()
    for norm in (module for module in encoder.modules() if isinstance(module, nn.BatchNorm1d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    features = torch.randn(7, 32, 11, dtype=torch.float64)

    def layer(x: torch.Tensor, pfn: Any) -> torch.Tensor:
        x = x @ pfn.linear.weight.T
        x = (x - pfn.norm.running_mean) / torch.sqrt(pfn.norm.running_var + 1e-3)
        return torch.relu(x * pfn.norm.weight + pfn.norm.bias)

    first = layer(features, encoder.pfn_layers[0])
    first = torch.cat([first, first.max(dim=1, keepdim=True).values.repeat(1, 32, 1)], dim=2)
    expected = layer(first, encoder.pfn_layers[1]).max(dim=1).values
    torch.testing.assert_close(encoder(features), expected)


def test_second(example: SimpleNamespace) -> None:
    backbone = example.model.build_backbone_head(FULL).backbone
    channels, further, strides = (64, 128, 256), (3, 5, 5), (1, 2, 2)
    for block, ins, outs, layers, stride in zip(
        backbone.blocks, (32, 64, 128), channels, further, strides, strict=True
    ):
        assert convolutions(block) == [conv(ins, outs, 3, stride)] + [conv(outs, outs, 3)] * layers
        assert [type(layer) for layer in block] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * (1 + layers)
        assert all(layer.inplace for layer in block if isinstance(layer, nn.ReLU))


def test_second_fpn(example: SimpleNamespace) -> None:
    neck = example.model.build_backbone_head(FULL).neck
    upsampling = [("ConvTranspose2d", ins, 128, (n, n), (n, n), (0, 0)) for ins, n in ((128, 2), (256, 4))]
    assert convolutions(neck) == [conv(64, 128, 1), *upsampling]


def test_center_head(example: SimpleNamespace) -> None:
    head = example.model.build_backbone_head(FULL).head
    assert convolutions(head.shared_conv) == [conv(384, 64, 3)]
    (task,) = head.task_heads
    assert [name for name, _ in task.named_children()] == list(BRANCHES)
    for name, channels in BRANCHES.items():
        assert convolutions(task.get_submodule(name)) == [conv(64, 64, 1), conv(64, channels, 1)]
    assert torch.equal(task.heatmap[1].bias, torch.full((5,), -4.595))


def test_norms_and_biases(example: SimpleNamespace) -> None:
    network = example.model.build_backbone_head(FULL)
    norms = {name: norm.eps for name, norm in network.named_modules() if isinstance(norm, nn.BatchNorm2d)}
    assert len(norms) == 16 + 3 + 1 + 6
    assert norms["backbone.blocks.1.4"] == norms["neck.deblocks.2.1"] == 1e-3
    assert {eps for name, eps in norms.items() if not name.startswith("head")} == {1e-3}
    biased = {name for name, module in network.named_modules() if getattr(module, "bias", None) is not None}
    assert biased == {*norms, *(f"head.task_heads.0.{branch}.1" for branch in BRANCHES)}


@pytest.mark.parametrize(("batch", "rows", "columns"), [(1, 16, 16), (2, 8, 24)])
def test_output_shapes(example: SimpleNamespace, batch: int, rows: int, columns: int) -> None:
    network = example.model.build_backbone_head(SMALL).eval()
    with torch.no_grad():
        outputs = network(spatial_features=torch.randn(batch, 32, rows, columns))
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        name: (batch, channels, rows, columns) for name, channels in BRANCHES.items()
    }


# From points to the canvas.


def naive_pillars(points: np.ndarray, low: list[float], columns: int, rows: int) -> dict[Any, list[Any]]:
    """Pillars in the order of their first point, points in the order of the sweep, one after the other."""
    pillars: dict[Any, list[Any]] = {}
    for point in points:
        cell = np.floor((point[:3] - np.float32(low)) / np.float32([0.32, 0.32, 8.0]))
        x, y, z = cell
        if 0 <= x < columns and 0 <= y < rows and z == 0:
            pillars.setdefault((int(y), int(x)), []).append(point)
    return pillars


@pytest.mark.parametrize("max_voxels", [64_000, 50])
def test_voxelize_against_a_loop(example: SimpleNamespace, tiny: Path, max_voxels: int) -> None:
    config = replace(example.config.load_config(tiny).voxelization, max_voxels=max_voxels)
    random = np.random.default_rng(3)
    points = random.normal(0.0, 4.0, (6_000, 5)).astype(np.float32)
    points[::50, random.integers(0, 3, 120)] = np.nan
    points[7::50, 0] = np.inf
    points[::3, :2] = random.normal(1.0, 0.3, (2_000, 2))  # more than 32 to a pillar
    naive = naive_pillars(points, [-7.68, -7.68, -3.0], 48, 48)
    assert max(map(len, naive.values())) > 32
    assert len(naive) > 50

    pillars = example.voxelize.voxelize(torch.from_numpy(points), config)
    assert len(pillars.coords) == min(len(naive), max_voxels)
    assert pillars.points.shape[1:] == (32, 5)
    for i, (cell, inside) in enumerate(list(naive.items())[:max_voxels]):
        assert tuple(pillars.coords[i].tolist()) == cell
        kept = min(len(inside), 32)
        assert pillars.num_points[i] == kept
        np.testing.assert_array_equal(pillars.points[i, :kept].numpy(), np.stack(inside[:kept]))
        assert not pillars.points[i, kept:].any()


def test_decorate_against_a_loop(example: SimpleNamespace, tiny: Path, sweep: torch.Tensor) -> None:
    config = example.config.load_config(tiny).voxelization
    pillars = example.voxelize.voxelize(sweep, config)
    features = example.voxelize.decorate(pillars, config)
    assert features.shape == (len(pillars.coords), 32, 11)
    assert features.dtype == torch.float32
    for i in range(0, len(features), 7):
        n = int(pillars.num_points[i])
        points = pillars.points[i, :n].double()
        row, column = pillars.coords[i].tolist()
        centre = torch.tensor([-7.68 + 0.32 * (column + 0.5), -7.68 + 0.32 * (row + 0.5), 1.0])
        offsets = [points[:, :3] - points[:, :3].mean(dim=0), points[:, :3] - centre]
        expected = torch.cat([points, *offsets], dim=1).float()
        torch.testing.assert_close(features[i, :n], expected, atol=1e-5, rtol=0)
        assert offsets[1][:, :2].abs().max() <= 0.1601
        assert not features[i, n:].any()


def test_voxelize_is_deterministic(example: SimpleNamespace, sweep: torch.Tensor) -> None:
    config = example.config.load_config(FULL).voxelization
    one, other = example.voxelize.voxelize(sweep, config), example.voxelize.voxelize(sweep, config)
    assert torch.equal(one.points, other.points)
    assert torch.equal(one.coords, other.coords)


def test_no_point_in_range(example: SimpleNamespace) -> None:
    config = example.config.load_config(SMALL).voxelization
    with pytest.raises(ValueError, match="no point of the sweep"):
        example.voxelize.voxelize(torch.full((10, 5), 1e6), config)


def test_scatter(example: SimpleNamespace, tiny: Path) -> None:
    config = example.config.load_config(tiny).voxelization
    features = torch.arange(1.0, 7.0).view(3, 2)
    coords = torch.tensor([[0, 47], [5, 6], [47, 0]])
    canvas = example.voxelize.scatter(features, coords, config)
    expected = torch.zeros(1, 2, 48, 48)
    for feature, (row, column) in zip(features, coords.tolist(), strict=True):
        expected[0, :, row, column] = feature
    assert torch.equal(canvas, expected)


def test_everything_is_made_on_the_device_of_the_points(
    example: SimpleNamespace, tiny: Path, sweep: torch.Tensor
) -> None:
    """A tensor made without saying where would be on the default device, and fail to mix with the others."""
    encoder, network = example.model.build_voxel_encoder(tiny), example.model.build_backbone_head(tiny)
    config = example.config.load_config(tiny).voxelization
    with torch.device("meta"), torch.no_grad():
        outputs = example.pipeline.detect(torch_stages(encoder.eval(), network.eval()), sweep, config)
    assert {output.device.type for output in outputs.values()} == {"cpu"}


# The scanner.


def elevations(points: np.ndarray) -> np.ndarray:
    return np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))


def test_a_sweep(example: SimpleNamespace) -> None:
    points = example.scanner.simulate_sweep(0)
    assert points.dtype == np.float32
    assert 25_000 < len(points) <= 32 * 1084
    assert np.isfinite(points).all()
    assert set(points[:, 4]) == set(range(32))
    np.testing.assert_allclose(
        elevations(points), example.scanner.ELEVATIONS[points[:, 4].astype(int)], atol=1e-5
    )
    assert 0 <= points[:, 3].min() < 20
    assert 100 < points[:, 3].max() <= 255
    assert np.array_equal(points[:, 3], np.rint(points[:, 3]))


def test_sweeps_of_a_seed(example: SimpleNamespace) -> None:
    simulate = example.scanner.simulate_sweep
    assert simulate(1).tobytes() == simulate(1).tobytes()
    assert simulate(1).tobytes() != simulate(2).tobytes()


def test_the_ground_and_the_noise(example: SimpleNamespace) -> None:
    scanner = example.scanner
    points = scanner.scan([], np.random.default_rng(0)).astype(np.float64)
    assert points[:, 4].max() < 23  # beams that point upward meet nothing
    near = points[points[:, 4] < 10]
    np.testing.assert_allclose(near[:, 2], -scanner.SENSOR_HEIGHT, atol=0.1)
    distance = np.linalg.norm(near[:, :3], axis=1)
    noise = distance + scanner.SENSOR_HEIGHT / np.sin(scanner.ELEVATIONS[near[:, 4].astype(int)])
    assert abs(noise.mean()) < 1e-3
    assert noise.std() == pytest.approx(scanner.RANGE_NOISE, rel=0.05)


def test_a_box_hides_what_is_behind_it(example: SimpleNamespace) -> None:
    scanner = example.scanner
    wall = scanner.Box(20.0, 0.0, length=1.0, width=30.0, height=8.0, yaw=0.0, reflectivity=0.5)
    car = scanner.Box(8.0, 0.0, length=4.0, width=4.0, height=8.0, yaw=0.0, reflectivity=0.9)
    directions = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-1.0, 0.0, 0.0], [0.8, 0.0, -0.6]])
    alone = scanner.cast(directions, [wall])
    np.testing.assert_allclose(alone.distance, [19.5, 19.5 / 0.8, np.inf, scanner.SENSOR_HEIGHT / 0.6])
    np.testing.assert_allclose(alone.cosine[[0, 1, 3]], [1.0, 0.8, 0.6])
    for boxes in ([wall, car], [car, wall]):
        hidden = scanner.cast(directions, boxes)
        np.testing.assert_allclose(hidden.distance, [6.0, 19.5 / 0.8, np.inf, scanner.SENSOR_HEIGHT / 0.6])
        np.testing.assert_allclose(hidden.reflectivity[:2], [0.9, 0.5])


def test_a_turned_box(example: SimpleNamespace) -> None:
    scanner = example.scanner
    box = scanner.Box(10.0, 0.0, length=4.0, width=1.0, height=4.0, yaw=np.pi / 2, reflectivity=0.5)
    hits = scanner.cast(np.array([[1.0, 0.0, 0.0]]), [box])
    np.testing.assert_allclose(hits.distance, [9.5])  # its width is along x now


# Recorded sweeps.


def nuscenes_points(n: int = 64) -> np.ndarray:
    random = np.random.default_rng(0)
    columns = [random.normal(0, 20, (n, 3)), random.integers(0, 256, n), random.integers(0, 32, n)]
    return np.column_stack(columns).astype("<f4")


def kitti_points(n: int = 61) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.column_stack([random.normal(0, 20, (n, 3)), random.random(n)]).astype("<f4")


@pytest.mark.parametrize("name", ["sweep.pcd.bin", "sweep.bin"])
def test_nuscenes_layout(example: SimpleNamespace, tmp_path: Path, name: str) -> None:
    points = nuscenes_points()
    points.tofile(tmp_path / name)
    np.testing.assert_array_equal(example.sweeps.read_sweep(tmp_path / name), points)


@pytest.mark.parametrize("n", [61, 60])  # 60 x 4 values are as many as 48 x 5
def test_kitti_layout(example: SimpleNamespace, tmp_path: Path, n: int) -> None:
    points = kitti_points(n)
    points.tofile(tmp_path / "sweep.bin")
    read = example.sweeps.read_sweep(tmp_path / "sweep.bin")
    np.testing.assert_array_equal(read[:, :3], points[:, :3])
    np.testing.assert_allclose(read[:, 3], 255 * points[:, 3], rtol=1e-6)
    beams = example.scanner.ELEVATIONS
    nearest = [np.abs(beams - elevation).argmin() for elevation in elevations(points.astype(np.float64))]
    np.testing.assert_array_equal(read[:, 4], nearest)


def damaged(points: np.ndarray, column: int, value: float) -> bytes:
    points[3, column] = value
    return points.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 17,
        nuscenes_points().tobytes()[:-4],
        damaged(nuscenes_points(), 4, 31.5),
        damaged(nuscenes_points(), 0, np.nan),
        damaged(kitti_points(), 3, 1.5),
        damaged(kitti_points(), 3, np.nan),
        damaged(kitti_points(), 1, 1e9),
    ],
)
def test_files_that_are_no_sweep(example: SimpleNamespace, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sweep.bin").write_bytes(content)
    with pytest.raises(ValueError, match="nuscenes or kitti"):
        example.sweeps.read_sweep(tmp_path / "sweep.bin")


def test_a_name_that_the_content_belies(example: SimpleNamespace, tmp_path: Path) -> None:
    kitti_points(60).tofile(tmp_path / "sweep.pcd.bin")
    with pytest.raises(ValueError, match="no sweep in the layout of nuscenes"):
        example.sweeps.read_sweep(tmp_path / "sweep.pcd.bin")


def test_a_file_that_fits_both_layouts(example: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "sweep.bin"
    np.full((20, 5), 0.0, "<f4").tofile(path)
    with pytest.raises(ValueError, match="say which"):
        example.sweeps.read_sweep(path)
    assert len(example.sweeps.read_sweep(path, "nuscenes")) == 20
    assert len(example.sweeps.read_sweep(path, "kitti")) == 25
    with pytest.raises(ValueError, match="unknown layout 'waymo'"):
        example.sweeps.read_sweep(path, "waymo")


@pytest.mark.parametrize(
    ("file", "count", "max_ring"), [(NUSCENES, 34_688, 31), (KITTI, 17_238, 31)], ids=["nuscenes", "kitti"]
)
def test_real_sweeps_through_the_pipeline(
    example: SimpleNamespace, file: Path, count: int, max_ring: int
) -> None:
    if not file.is_file():
        pytest.skip(f"no recorded sweep at {file}: it may not be redistributed")
    points = example.sweeps.read_sweep(file)
    assert points.shape == (count, 5)
    assert 200 < points[:, 3].max() <= 255
    assert points[:, 4].max() <= max_ring
    torch.manual_seed(0)
    encoder, network = example.model.build_voxel_encoder(SMALL), example.model.build_backbone_head(SMALL)
    with torch.no_grad():
        outputs = example.pipeline.run_small(
            torch_stages(encoder.eval(), network.eval()), {"points": torch.from_numpy(points)}
        )
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        name: (1, channels, 128, 128) for name, channels in BRANCHES.items()
    }
    assert all(output.isfinite().all() and output.std() > 0 for output in outputs.values())


def test_real_rings_are_the_simulated_ones(example: SimpleNamespace) -> None:
    if not NUSCENES.is_file():
        pytest.skip(f"no recorded sweep at {NUSCENES}: it may not be redistributed")
    points = example.sweeps.read_sweep(NUSCENES).astype(np.float64)
    measured = [np.median(elevations(points[points[:, 4] == ring])) for ring in range(32)]
    np.testing.assert_allclose(measured, example.scanner.ELEVATIONS, atol=np.radians(0.2))


# Providers.


def test_simulated_provider(example: SimpleNamespace) -> None:
    samples = list(example.data.simulated())
    assert [list(sample) for sample in samples] == [["points"]] * 3
    assert len({sample["points"].tobytes() for sample in samples}) == 3
    used = {*example.calibration.SWEEPS, example.calibration.CHECK_SWEEP}
    assert not used & set(example.data.SEEDS)  # the gate is not shown what the statistics were measured on


def test_recorded_provider(example: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nuscenes_points().tofile(tmp_path / "b.pcd.bin")
    kitti_points().tofile(tmp_path / "a.bin")
    monkeypatch.setenv("CENTERPOINT_SWEEPS", str(tmp_path))
    monkeypatch.delenv("CENTERPOINT_LAYOUT", raising=False)
    assert [sample["points"].shape for sample in example.data.recorded()] == [(61, 5), (64, 5)]
    monkeypatch.setenv("CENTERPOINT_SWEEPS", str(tmp_path / "a.bin"))
    assert [sample["points"].shape for sample in example.data.recorded()] == [(61, 5)]
    monkeypatch.setenv("CENTERPOINT_LAYOUT", "nuscenes")
    with pytest.raises(ValueError, match="no sweep in the layout of nuscenes"):
        list(example.data.recorded())


@pytest.mark.parametrize("place", ["", "missing", "missing.bin", "."])
def test_recorded_provider_without_files(
    example: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("CENTERPOINT_SWEEPS", str(tmp_path / place) if place else "")
    with pytest.raises(ValueError, match="CENTERPOINT_SWEEPS"):
        list(example.data.recorded())


# What prepare.py makes.


@pytest.fixture(scope="module")
def prepared(example: SimpleNamespace, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("build") / "tiny"
    assert example.prepare.prepare(tiny, directory)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_prepare_is_reproducible(
    example: SimpleNamespace, tiny: Path, prepared: Path, tmp_path: Path
) -> None:
    assert example.prepare.prepare(tiny, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(prepared)
    assert set(contents(prepared)) == {
        "backbone_head.safetensors",
        "broken/pts_backbone_neck_head.onnx",
        "broken/pts_voxel_encoder.onnx",
        "prepared.json",
        "voxel_encoder.pth",
    }


def test_prepare_mends_what_is_damaged_and_nothing_else(
    example: SimpleNamespace, tiny: Path, prepared: Path
) -> None:
    sound = contents(prepared)
    assert not example.prepare.prepare(tiny, prepared)
    stamp = json.loads(sound["prepared.json"])
    for name, damaged_content in (
        ("voxel_encoder.pth", b"damaged"),
        ("prepared.json", json.dumps(stamp | {"fingerprint": "of other sources"}).encode()),
    ):
        (prepared / name).write_bytes(damaged_content)
        assert example.prepare.prepare(tiny, prepared)
        assert contents(prepared) == sound


def test_prepare_knows_all_sources(example: SimpleNamespace) -> None:
    not_used = {"data.py", "pipeline.py", "sweeps.py"}
    assert {path.name for path in EXAMPLE.glob("*.py")} - not_used == set(example.prepare.SOURCES)


@pytest.fixture
def trained(example: SimpleNamespace, tiny: Path, prepared: Path) -> tuple[nn.Module, nn.Module]:
    encoder, network = example.model.build_voxel_encoder(tiny), example.model.build_backbone_head(tiny)
    checkpoint = torch.load(prepared / "voxel_encoder.pth", weights_only=True)
    encoder.load_state_dict(checkpoint["state_dict"])
    network.load_state_dict(load_file(prepared / "backbone_head.safetensors"))
    return encoder.eval(), network.eval()


def test_checkpoints_have_activations_of_real_scale(
    example: SimpleNamespace, tiny: Path, trained: tuple[nn.Module, nn.Module]
) -> None:
    deviations = example.calibration.activations(*trained, tiny)
    assert len(deviations) == 2 + 3 + 3 + 1 + 6
    for name, (_, expected) in example.calibration.HEAD_SCALES.items():
        assert deviations[name] == pytest.approx(expected, rel=0.5)


def test_activations_out_of_scale_are_refused(
    example: SimpleNamespace, tiny: Path, trained: tuple[nn.Module, nn.Module]
) -> None:
    encoder, network = trained
    with torch.no_grad():
        network.get_parameter("neck.deblocks.1.1.weight").mul_(1000.0)
    with pytest.raises(ValueError, match=r"not of real scale: .*neck\.deblocks\.1"):
        example.calibration.activations(encoder, network, tiny)


def session_stages(directory: Path, backbone: Path | bytes) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def stage(model: Path | bytes) -> Any:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def run(**inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            arrays = session.run(names, {name: value.numpy() for name, value in inputs.items()})
            return {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}

        return run

    return {
        "voxel_encoder": stage(directory / "pts_voxel_encoder.onnx"),
        "backbone_head": stage(backbone),
    }


def test_the_broken_file_has_one_fault_and_it_shows(
    example: SimpleNamespace,
    tiny: Path,
    prepared: Path,
    trained: tuple[nn.Module, nn.Module],
    sweep: torch.Tensor,
) -> None:
    path = prepared / "broken" / "pts_backbone_neck_head.onnx"
    broken = onnx.load(path)
    sound = onnx.load(path)
    example.faults.change_epsilon(sound, "backbone.blocks.1.4", 1e-3)
    faults = [
        (one.op_type, other.attribute[0].name)
        for one, other in zip(broken.graph.node, sound.graph.node, strict=True)
        if one != other
    ]
    assert faults == [("BatchNormalization", "epsilon")]
    epsilons = [
        attribute.f
        for node in sound.graph.node
        if node.op_type == "BatchNormalization"
        for attribute in node.attribute
        if attribute.name == "epsilon"
    ]
    assert len(epsilons) == 6 + 3 + 1 + 6  # the exporter folded none of them into a convolution

    config = example.config.load_config(tiny).voxelization
    detect, directory = example.pipeline.detect, prepared / "broken"
    with torch.no_grad():
        expected = detect(torch_stages(*trained), sweep, config)
    right = detect(session_stages(directory, sound.SerializeToString()), sweep, config)
    wrong = detect(session_stages(directory, path), sweep, config)
    assert list(right) == list(wrong) == list(expected) == list(BRANCHES)
    for name, reference in expected.items():
        noise = (right[name] - reference).abs().max().item()
        fault = (wrong[name] - reference).abs().max().item()
        assert noise < 2e-4
        assert fault > 100 * noise


def test_a_fault_without_its_place(example: SimpleNamespace, prepared: Path) -> None:
    model = onnx.load(prepared / "broken" / "pts_voxel_encoder.onnx")
    with pytest.raises(ValueError, match="0 batch norms"):
        example.faults.change_epsilon(model, "backbone.blocks.1.4", 1e-3)


# The specifications.


@pytest.mark.parametrize("spec", ["parity.yml", "broken.yml", "full.yml", "sweep.yml"])
def test_specifications_name_what_is_there(example: SimpleNamespace, spec: str) -> None:
    content = yaml.safe_load((EXAMPLE / spec).read_text(encoding="utf-8"))
    components = content["components"]
    targets = [content["pipeline"], content["inputs"]["provider"]]
    for name, onnx_file in (
        ("voxel_encoder", "pts_voxel_encoder.onnx"),
        ("backbone_head", "pts_backbone_neck_head.onnx"),
    ):
        component = components[name]
        targets.append(component["model"]["target"])
        assert (EXAMPLE / component["model"]["config"]).is_file()
        where = component["onnx"]
        assert Path(where if spec == "broken.yml" else where["path"]).name == onnx_file
    for target in targets:
        file, _, function = target.partition(":")
        assert callable(getattr(getattr(example, Path(file).stem), function))
    assert components["backbone_head"]["tolerances"] == content["tolerances"]
