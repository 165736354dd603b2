from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_schema_is_printed_as_it_is_published() -> None:
    done = subprocess.run([sys.executable, "-m", "parity", "schema"], capture_output=True, check=True)
    published = Path(__file__).parents[2] / "docs" / "parity.schema.json"
    assert done.stdout == published.read_bytes()
    schema = json.loads(done.stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == ["version", "inputs"]
