"""Every extension point: each registered name can be resolved and says what it is."""

from __future__ import annotations

import pytest

from parity import registry

KINDS = {
    "loader": registry.LOADERS,
    "input format": registry.INPUT_FORMATS,
    "exporter": registry.EXPORTERS,
    "side": registry.SIDES,
    "criterion": registry.CRITERIA,
    "reporter": registry.REPORTERS,
}


@pytest.mark.parametrize(
    ("kind", "name", "target"),
    [(kind, name, target) for kind, members in KINDS.items() for name, target in members.items()],
)
def test_it_resolves_and_is_documented(kind: str, name: str, target: str) -> None:
    extension = registry.resolve(target)
    assert callable(extension), f"the {kind} {name} is no callable"
    assert (extension.__doc__ or "").strip(), f"the {kind} {name} has no docstring"
