from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from cmarkgfm import github_flavored_markdown_to_html
from cmarkgfm.cmark import Options
from support import reports as made

from parity.github import history
from parity.github.comment import SIZE_LIMIT, comment_key, is_marked, marker, render
from parity.github.context import Context

CONTEXT = Context(commit="0123456789abcdef", run_url="https://github.com/org/models/actions/runs/5")


OURS = {"h2", "h3", "p", "strong", "code", "pre", "br", "ul", "li", "details", "summary", "sub", "a"}
OURS |= {"table", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """Tags, links and comments of a page, as GitHub makes it of Markdown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.comments: list[str] = []
        self.text = ""
        self.feed(github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.split(maxsplit=1)[0])


def body_of(kind: str, key: str = "key") -> str:
    report = made.all_kinds()[kind]
    return render(report, key, CONTEXT, history.state_of(report, CONTEXT.commit))


@pytest.mark.parametrize("kind", sorted(made.all_kinds()))
def test_every_report_is_a_comment(kind: str) -> None:
    body = body_of(kind)
    assert is_marked(body, "key")
    assert len(body.encode()) <= SIZE_LIMIT
    page = Page(body)
    assert page.comments == ["onnx-parity:key", "parity-state"]
    assert page.tags <= OURS
    assert page.links == [CONTEXT.run_url]
    assert "commit 0123456 · run and artifacts · parity" in page.text


def test_the_verdict_comes_first() -> None:
    assert body_of("red").split("\n")[1].startswith("## ❌ parity: ")


@pytest.mark.parametrize(
    ("name", "job", "matrix"),
    [
        ("", "verify", ""),
        ("centerpoint", "verify", "null"),
        ("", "verify", '{"model": "a", "device": ["cpu", 1]}'),
        ("--> <script>", "@job\n", '{"x": "-->"}'),
        ("", "", ""),
        ("ä" * 500, "", "{not json"),
        ("-", "-", "[" * 100_000),
    ],
)
def test_a_key_is_safe_in_a_marker(name: str, job: str, matrix: str) -> None:
    key = comment_key(name, job, matrix)
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,80}", key)
    assert "--" not in key
    assert key == comment_key(name, job, matrix)
    assert is_marked(f"{marker(key)}\r\ntext", key)


def test_keys_tell_jobs_apart() -> None:
    keys = {
        comment_key("a", "b"),
        comment_key("a-b"),
        comment_key("", "a-b"),
        comment_key("", "a", '{"x": "b"}'),
        comment_key("", "a", '{"y": "b"}'),
        comment_key("", "a", '{"x": "b", "z": 1}'),
        comment_key("ä", ""),
        comment_key("ö", ""),
    }
    assert len(keys) == 8


def test_the_order_of_a_matrix_does_not_matter() -> None:
    assert comment_key("", "a", '{"x": 1, "y": 2}') == comment_key("", "a", '{"y": 2, "x": 1}')
    assert comment_key("", "a", "null") == comment_key("", "a", "")


def test_another_key_is_another_comment() -> None:
    assert not is_marked(body_of("green", "a"), "b")
    assert not is_marked(f"text\n{marker('a')}", "a")
