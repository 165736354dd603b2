"""What the specification knows by name and this version does not do yet. It is refused, never ignored."""

from __future__ import annotations

# Model of the schema -> its keys -> what to do meanwhile.
LATER_KEYS: dict[str, dict[str, str]] = {
    "Spec": {
        "baseline": "leave it out",
        "loop": "leave it out; a `pipeline` may call a component many times",
        "match": "leave it out, and give each output a tolerance by its own name",
    },
    "ComponentSpec": {"loop": "leave it out; a `pipeline` may call a component many times"},
    "PerformanceSpec": {
        "max_latency_ratio": "leave it out: latency is measured and reported, not judged",
        "max_memory_ratio": "leave it out: memory is measured and reported, not judged",
    },
    "ToleranceSpec": {
        "match": "leave it out: elements are compared in order",
    },
}

# Loader -> what to use meanwhile.
LATER_LOADERS: dict[str, str] = dict.fromkeys(
    ("mmengine", "transformers", "torchscript", "exported-program"),
    "use the loader 'python' with a function that builds the model",
)
