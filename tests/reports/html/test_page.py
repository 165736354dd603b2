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

from parity.records.matching import Matching
from parity.records.results import Repro
from parity.reports import html
from parity.reports.html import cells

KINDS = made.all_kinds()
PAGES = {kind: html.render(report) for kind, report in KINDS.items()}
VOID = {"meta", "link", "line", "rect", "circle", "polyline"}
# All that the template writes; what a name could smuggle in is not among them.
OURS = frozenset(
    re.findall(
        r"\w+",
        """html head meta link title style body header div h1 h2 h3 span p code ul li b main section article
        dl dt dd pre details summary figure figcaption svg line rect circle text g table thead tbody tr th td
        footer script small i b a polyline""",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        """lang charset http-equiv content name rel href class aria-hidden aria-label role width height
        viewbox x y x1 x2 y1 y2 rx cx cy r points text-anchor scope data-sort data-sortable data-filter""",
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
    icon, *links = [value for name, value in read.attributes if name in ("href", "src")]
    assert icon == "data:,"
    assert all(re.fullmatch(r"\./[\w.~%/-]+/", link) for link in links)  # a folder beside the page
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


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (
            "loops",
            (
                "1.00e-6 → 6.10e-4, first beyond in step 7 of 8, 2.50 x a step",
                "errors add up",
                "beyond tolerance too: 2.90e-4, 2.90 x the tolerance in step 1",
                "▁▂▃▄▅▆▇█",
                "Steps of decoder / faulty",
                "step 4 alone, on the reference's own state",
            ),
        ),
        (
            "limits",
            (
                "latency 1.83 x the reference's",
                "220 ms → 403 ms",
                "1.71 x, noise allowed for",
                "max_latency_ratio 1.5 at examples/centerpoint/parity.yml:88:3",
                "max_memory_ratio: the driver does not tell",
                "above the limit, but noise could make that of it",
                "1 beyond limits of latency or memory",
                "15 runs of each side, in turns, after 1 to warm up",
            ),
        ),
        (
            "matched",
            (
                "2 rows without a counterpart",
                "12 rows with 11, 3 at another place, 3 without a counterpart (1 of them optional)",
                "row 7 of the reference has no counterpart: boxes [1.0, 2.0]",
                "[2, 0] ↔ [5, 0]",
                "rows, optional ≤ 0.051, atol 1e-4",
                "nothing of it was compared",
            ),
        ),
        (
            "compared",
            (
                "torch@cuda:0 → onnxruntime+cuda@cuda:0",
                "float32 → float16[1, 2, 128, 128]",
                "all 2 beyond tolerance; worst: 1",
                "parity run examples/centerpoint/parity.yml --case centerpoint/cuda:0/1/backbone_head",
                "python repro/centerpoint-cuda-0-1-backbone_head/repro.py, in the folder of the reports",
                "3 of 43 nodes are not on CUDAExecutionProvider",
                "Det x 3 (head/Det, ...) on CPUExecutionProvider",
                "3 MiB cross between providers in each run (2 tensors), and more of unknown size",
                "head.anchors",
                "anchors [3, 4] is on cpu, the module on cuda:0 (model.py:40)",
            ),
        ),
        ("red", ("4 of 4", "Worst in", "all 4 beyond tolerance; worst: 0")),
        ("grown", ("2 grown since the baseline", "1.10e-7 1.10e-5 100 x", "so not held against it")),
    ],
)
def test_every_fact_of_a_kind_is_there(kind: str, facts: tuple[str, ...]) -> None:
    text = " ".join(Reader(PAGES[kind]).text.replace("\u00a0", " ").split()).replace(" ,", ",")
    assert [fact for fact in facts if fact not in text] == []


def test_a_decision_that_flipped_is_told_with_the_reason() -> None:
    flipped = Matching(kind="argmax", reference=9, candidate=9, flipped=2, examples=("3 became 4 at [1]",))
    classes = made.output("classes", 0.5)
    assert classes.measurement is not None
    told = replaced(classes, measurement=replaced(classes.measurement, matching=flipped))
    page = html.render(made.report((made.case("model", (told,)),), 1))
    reason = page.partition('<dl class="reason">')[2].partition("</dl>")[0]
    assert "7 of 9 decisions as in the reference" in reason
    assert "3 became 4 at [1]" in reason


def test_the_folder_that_was_saved_is_a_link_whatever_its_name() -> None:
    for folder, link in (
        ("repro/a b", "./repro/a%20b/"),
        ("//example.com/x", "./example.com/x/"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29/"),
        ('"><script>', "./%22%3E%3Cscript%3E/"),
    ):
        case = made.case("model", (made.output("y", 0.5),), repro=Repro(folder=folder))
        read = Reader(html.render(made.report((case,), 1)))
        assert [value for name, value in read.attributes if name == "href"] == ["data:,", link]


def test_suites_and_sides_are_told_apart_where_there_are_several() -> None:
    cases = [made.case("model", (made.output("y", 0.5),), suite=name) for name in ("one", "two")]
    page = html.render(made.report(tuple(cases), 1, tuple(made.suite(name=name) for name in ("one", "two"))))
    outputs = page.partition("<h2>All outputs</h2>")[2].partition("</table>")[0]
    assert '<th scope="col">Suite</th><th scope="col">Sides</th>' in outputs
    assert "<code>two</code>" in outputs
    assert "Suite" not in PAGES["green"].partition("<main")[2]


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
