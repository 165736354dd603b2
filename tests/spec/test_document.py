"""docs/specification.md and the code that it describes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.specs import SpecFolder

from parity.errors import SpecError
from parity.measuring import default_bound
from parity.spec.document import document, main

PAGE = Path(__file__).parents[2] / "docs" / "specification.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text("utf-8")
    assert document(text) == text, "run: python -m parity.spec.document"


def test_both_files_are_written(tmp_path: Path) -> None:
    stale = document(PAGE.read_text("utf-8")).replace("Greatest absolute error.", "Something else.")
    (tmp_path / "specification.md").write_text(stale)
    main(str(tmp_path))
    assert (tmp_path / "specification.md").read_text("utf-8") == PAGE.read_text("utf-8")
    published = PAGE.with_name("parity.schema.json").read_text("utf-8")
    assert (tmp_path / "parity.schema.json").read_text("utf-8") == published


def test_a_page_that_lacks_a_table_is_refused() -> None:
    text = PAGE.read_text("utf-8").replace("<!-- begin LimitsSpec -->", "")
    with pytest.raises(SpecError, match="LimitsSpec"):
        document(text)


def test_the_specification_that_it_shows_is_valid(folder: SpecFolder) -> None:
    block = PAGE.read_text("utf-8").split("```yaml\n")[2].split("```")[0]
    for name in ("configs/pillar.yaml", "work/best.pth", "build/model.onnx"):
        (folder.root / name).parent.mkdir(exist_ok=True)
        (folder.root / name).touch()
    spec = folder.load(block).spec
    assert spec.name == "centerpoint"
    assert spec.tolerances["heatmap"].atol == 1e-3


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_default_tolerances_are_those_that_are_applied(dtype: str) -> None:
    (row,) = (line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {dtype} |"))
    atol, rtol = (float(cell) for cell in row.strip("| ").split("|")[1:])
    assert default_bound(dtype) == (atol, rtol)
