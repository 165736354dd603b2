"""The project's own registry, under mmengine's; `default_scope = "lidar"` in a config looks here first."""

from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

MODELS = Registry("model", parent=MMENGINE_MODELS, scope="lidar", locations=["lidar.models"])
