"""What the specification knows by name and this version does not do yet. It is refused, never ignored."""

from __future__ import annotations

# Model of the schema -> its keys -> what to do meanwhile.
LATER_KEYS: dict[str, dict[str, str]] = {
    "Spec": {
        "match": "give it to a tolerance: boxes: {match: rows, atol: 0.01}",
    },
}
