"""A LiDAR detector as projects on mmengine are made: modules in a registry, put together by a config."""

from lidar.models import SECOND, CenterHead, PillarDetector, PillarFeatureNet
from lidar.registry import MODELS

__all__ = ["MODELS", "SECOND", "CenterHead", "PillarDetector", "PillarFeatureNet"]
