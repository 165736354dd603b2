"""What the project's detectors have in common."""

default_scope = "lidar"
custom_imports = {"imports": ["lidar"], "allow_failed_imports": False}

model = {
    "type": "PillarDetector",
    "voxel_encoder": {"type": "PillarFeatureNet", "in_channels": 5, "channels": 16},
    "backbone": {"type": "SECOND", "in_channels": 16, "channels": [16, 32], "layers": [1, 1]},
    "head": {"type": "CenterHead", "in_channels": 48, "branches": {"heatmap": 3, "reg": 2}},
}
