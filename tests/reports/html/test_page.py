from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reports as made
from support.reports import replaced

from parity.records.placement import Crossings, Misplaced, Placement
from parity.reports import html
from parity.reports.html import cells

KINDS = made.all_kinds()
PAGES = {kind: html.render(report) for kind, report in KINDS.items()}
VOID = {"meta", "link", "line", "rect", "circle"}
# All that the template writes; what a name could smuggle in is not among them.
OURS = frozenset(
    re.findall(
        r"\w+",
        """html head meta link title style body header div h1 h2 h3 span p code ul li b main section article
        dl dt dd pre details summary figure figcaption svg line rect circle text g table thead tbody tr th td
        footer script small i""",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        """lang charset http-equiv content name rel href class aria-hidden aria-label role width height
        viewbox x y x1 x2 y1 y2 rx cx cy r text-anchor scope data-sort data-sortable data-filter""",
    )
)


class Reader(HTMLParser):
    """Tags, attributes and texts of a page; every tag must be closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.sources: dict[str, str] = {}
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.sources[self.open[-1]] = self.sources.get(self.open[-1], "") + data
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_only_our_own_tags_and_attributes_come_out(kind: str) -> None:
    read = Reader(PAGES[kind])
    assert set(read.tags) <= OURS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES
    assert (read.tags.count("script"), read.tags.count("style")) == (1, 1)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", read.text)
    PAGES[kind].encode()  # no lone surrogate


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_asks_for_nothing_and_runs_its_own_script_alone(kind: str) -> None:
    read = Reader(PAGES[kind])
    assert [value for name, value in read.attributes if name in ("href", "src")] == ["data:,"]
    (policy,) = [value for name, value in read.attributes if "default-src" in value]
    for name, source in read.sources.items():
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
        assert not re.search(r"url\(|@import|fetch|XMLHttp|https?:|innerHTML|eval", source)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not [name for name, _ in read.attributes if name == "style" or name.startswith("on")]


def test_every_hostile_text_is_there_and_is_text() -> None:
    text = Reader(PAGES["hostile"]).text
    assert "</code><img src=x onerror=alert(1)>" in text
    assert "<!-- --> <details> & &lt; ]]>" in text
    assert "{{7*7}}" in text
    assert "lone \\ud800 surrogate" in text
    assert "\\x1b[31mred" in text


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_any_name_stays_a_text(name: str) -> None:
    told = made.output(name, 0.5, problem=name, diagnosis=made.suspicious(name))
    report = made.report((made.case(name, (told,), suite=name),), 1, (made.suite(name=name),))
    read = Reader(html.render(report))
    assert set(read.tags) <= OURS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES


@pytest.mark.parametrize(
    ("kind", "tone", "headline"),
    [
        ("green", "passed", "13 outputs within tolerance"),
        ("one-fault", "failed", "2 of 13 outputs beyond tolerance"),
        ("empty", "error", "nothing was compared"),
        ("grown", "passed", "13 outputs within tolerance, 2 grown since the baseline"),
    ],
)
def test_the_verdict_stands_first(kind: str, tone: str, headline: str) -> None:
    page = PAGES[kind]
    assert f'<header class="verdict {tone}">' in page
    body = page.partition("<body>")[2]
    assert body.index(headline) < body.index("<main")
    assert f"<title>parity: {headline}</title>" in page


def test_a_failure_says_where_why_and_what_mends_it_before_the_tables() -> None:
    head = Reader(PAGES["explained"].partition("<h2>All outputs</h2>")[0] + "</section></main></body></html>")
    for said in (
        "epsilon is 2e-3 in the file, 1e-3 in the module (99.8 % of the export error)",
        "export again: the file is stale",
        "backbone.blocks.1.4 (BatchNormalization, model.py:31)",
        "3,865 x the float32 noise floor of 5.20e-5",
        "-4.2130",
        "6 more failed outputs of the pipeline, which its components explain, in the table below",
    ):
        assert said in head.text
    assert head.text.count("epsilon is") == 1


def test_the_bars_of_a_budget_are_in_the_order_of_the_legs_sizes() -> None:
    figure = re.search(r'<figure class="budget">.*?</figure>', PAGES["explained"], re.DOTALL)
    assert figure is not None
    bars = re.findall(r'<rect class="(\w+)"[^>]* width="([\d.]+)%"', figure[0])
    assert [name for name, _ in bars] == ["export", "reference", "runtime", "repeatability"]
    widths = [float(width) for _, width in bars]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0.0


def test_the_modules_are_plotted_once_with_the_worst_named() -> None:
    page = PAGES["explained"]
    assert page.count('<figure class="modules">') == 1
    assert page.count('<rect class="worst"') == 1
    assert page.count('<rect class="local"') == 45
    assert re.search(r'<text class="label"[^>]*>backbone\.blocks\.1\.4</text>', page)


def test_a_module_that_only_holds_others_has_no_bar_of_its_own() -> None:
    whole = [replaced(made.modules()[20], module=path) for path in ("", "backbone", "backbone.blocks.1")]
    far = made.output("y", 0.5, diagnosis=made.diagnosis("export", 0.5))
    told = made.case("model", (far,), modules=(*whole, *made.modules()))
    page = html.render(made.report((told,), 1))
    assert page.count('<rect class="worst"') == 1
    assert page.count('<rect class="local"') == 45


def test_what_could_not_be_judged_comes_with_remedy_and_last_words() -> None:
    text = Reader(PAGES["errors"]).text
    for said in ("raise limits.timeout", "parity.yml:52:12", "got mat2 is on cuda:0", "and 17 more"):
        assert said in text


def test_the_run_is_told() -> None:
    text = Reader(PAGES["green"]).text
    for said in ("ORT_DISABLE_ALL", "AMD EPYC", "torchscript", "183 ms", made.points("0").sha256):
        assert said in text


def test_nodes_that_another_provider_took_are_told() -> None:
    elsewhere = Misplaced(op_type="Det", provider="CPUExecutionProvider", count=3, nodes=("a", "b", "c"))
    crossings = Crossings(input_set="0", count=2, bytes=3 * 2**20)
    nodes = {"CUDAExecutionProvider": 40, "CPUExecutionProvider": 3}
    placed = Placement("model", "CUDAExecutionProvider", nodes, (elsewhere,), crossings)
    sides = tuple(replaced(side, placements=(placed,)) for side in made.suite().sides[1:])
    page = html.render(made.report(made.centerpoint_cases(), 0, (made.suite(sides=sides),)))
    text = Reader(page).text
    for said in ("Placement in centerpoint", "3 Det on CPUExecutionProvider", "2 tensors, 3.00 MiB"):
        assert said in text


def test_every_row_of_all_cases_can_be_sorted_by_its_figures() -> None:
    rows = re.findall(
        r"<tr>.*?</tr>", PAGES["red"].partition("<h2>All cases</h2>")[2].partition("</table>")[0]
    )
    assert len(rows) == 1 + sum(len(case.outputs) for case in KINDS["red"].cases)
    for row in rows[1:]:
        sorts = re.findall(r'data-sort="([^"]*)"', row)
        assert len(sorts) == 2
        assert all(float(value) >= 0 for value in sorts)


def test_a_large_report_keeps_its_worst_rows() -> None:
    passing = tuple(made.output(f"passing.{i}", 1e-6) for i in range(cells.MOST_ROWS))
    failing = tuple(made.output(f"failing.{i}", 0.5) for i in range(30))
    page = html.render(made.report((made.case("model", (*passing, *failing)),), 1))
    assert len(page) < 10_000_000
    assert page.count("30 more, see results.json") == 2
    assert page.partition("<h2>All cases</h2>")[2].count("failing.") == 30


def test_nothing_broken_is_drawn_of_odd_figures() -> None:
    for changes in ({"export_error": 1e300}, {"export_error": 5e-324}, {"noise_floor": 0.0}):
        told = made.output("y", 0.5, diagnosis=made.diagnosis("export", 0.5, **changes))
        page = html.render(made.report((made.case("model", (told,)),), 1))
        widths = [float(width) for width in re.findall(r'width="([-\d.e]+)%"', page)]
        assert widths
        assert all(0 <= width <= 100 for width in widths)
        assert not re.search(r'"(nan|inf)[%"]', page.partition("<h2>All")[0])


def test_the_templates_are_part_of_the_package() -> None:
    folder = files("parity.reports.html") / "templates"
    assert {entry.name for entry in folder.iterdir()} == {
        "parts.html.j2",
        "report.css",
        "report.html.j2",
        "report.js",
    }


@pytest.mark.skipif(shutil.which("node") is None, reason="NOT CHECKED: the syntax of report.js takes node")
def test_the_script_can_be_parsed() -> None:
    script = files("parity.reports.html") / "templates" / "report.js"
    done = subprocess.run(["node", "--check", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
