"""`parity schema`: the JSON Schema of the specification, for editors."""

from __future__ import annotations

import sys

from parity.errors import ExitCode
from parity.spec.json_schema import schema_text


def run() -> ExitCode:
    """Prints the schema on stdout."""
    sys.stdout.write(schema_text())
    return ExitCode.PASSED
