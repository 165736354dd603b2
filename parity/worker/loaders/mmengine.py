"""The ``mmengine`` loader: a config file with `_base_` and `custom_imports`, built by the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.records.jobs import ModelJob
from parity.worker.loaders import Built
from parity.worker.loaders.common import RANDOM, part, require, seeded
from parity.worker.problems import Unable, user_code


def load(job: ModelJob, base_dir: Path) -> Built:
    """Builds the ``model`` of an mmengine config; ``args`` are options over it, as with ``--cfg-options``.

    Raises:
        Unable: mmengine is not installed, the config can't be read, or its model can't be built.
    """
    require("mmengine", job.loader)
    from mmengine.registry import init_default_scope

    config = _config(job)
    scope = config.get("default_scope", "mmengine")
    with user_code(f"importing the registry of the scope {scope!r}"):
        init_default_scope(scope)
    model = config.get("model")
    if not isinstance(model, dict) or "type" not in model:
        raise Unable(
            "specification",
            f"the config has no 'model' with a 'type', but the keys {', '.join(config) or 'none'}",
            fix="name the config that has `model = dict(type=...)`",
        )
    return Built(_build(model), part(job.target, base_dir), notes=(RANDOM,) if job.checkpoint is None else ())


def _config(job: ModelJob) -> Any:
    from mmengine.config import Config

    if job.config is None:
        raise Unable("specification", "the loader 'mmengine' needs a 'config'", fix="name the config file")
    named = Path(job.config).name if isinstance(job.config, str) else "the config"
    # The file is Python: whatever it or its custom_imports raise is the user's.
    with user_code(f"reading {named} with mmengine"):
        config = Config.fromfile(job.config) if isinstance(job.config, str) else Config(job.config)
        config.merge_from_dict(job.args)
    return config


def _build(model: Any) -> Any:
    from mmengine.registry import MODELS

    try:
        with user_code(f"building the model {model['type']!r} with mmengine's registry"), seeded():
            return MODELS.build(model)
    except Unable as error:
        if isinstance(error.__cause__, KeyError) and "registry" in str(error.__cause__):
            error.fix = (
                "import the module that registers it: `custom_imports = dict(imports=['package.module'])` in "
                "the config; the specification's folder is on sys.path"
            )
        raise
