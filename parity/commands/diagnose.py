"""`parity diagnose`: the gate, with an error budget of what passed as well as of what failed."""

from __future__ import annotations

from parity.commands import run as gate
from parity.errors import ExitCode


def run(specs: list[str], options: gate.Options) -> ExitCode:
    """The gate with ``diagnose: always``, whatever the specifications say, and with every budget printed.

    The exit status is that of the gate: a diagnosis changes no verdict.

    Raises:
        SpecError: as the gate.
    """
    return gate.run(specs, options, diagnose="always", all_budgets=True)
