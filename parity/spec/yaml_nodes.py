"""YAML text -> a tree of nodes, each with its line and column.

The tree is built from PyYAML's events rather than by its composer, which recurses once for each level of
nesting and needs the whole file before anything can be refused. An alias shares the node of its anchor, so
that even a file made to explode takes no memory; its expanded size is summed up and limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from parity.errors import SpecError, SpecErrors
from parity.spec.scalars import resolve, resolve_key
from parity.spec.syntax import syntax_error

DEPTH_LIMIT = 32  # levels of nesting; libyaml takes minutes over half a megabyte of open brackets
EXPANDED_LIMIT = 4 * 1024 * 1024  # characters with every alias written out

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERGE = "<<"


class Place(NamedTuple):
    """Where something starts; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, sequence or mapping. `value` is plain data: sequences are tuples, keys are text."""

    place: Place
    value: Any
    size: int  # characters of its text, with aliases expanded, and one for each node
    depth: int = 0  # levels of nesting in it, with aliases expanded
    children: Mapping[str | int, Node] = field(default_factory=dict)
    keys: Mapping[str, Place] = field(default_factory=dict)
    text: str | None = None  # of a scalar, as written
    plain: bool = False  # a scalar without quotes


def parse(text: str, file: str, loader: Any = LOADER) -> Node:
    """The one document of a YAML text.

    Args:
        text: the whole file.
        file: its name, for the places in errors.
        loader: PyYAML's class that makes the events.

    Raises:
        SpecError: it is not YAML, or uses what a specification has no need of: several documents, tags,
            cyclic aliases, keys that are not text, nesting beyond all measure.
        SpecErrors: keys are given twice.
    """
    if found := _FORBIDDEN.search(text):
        place = _place_of(text, found.start())
        raise SpecError(
            f"the character U+{ord(found[0]):04X} can't be in a YAML file",
            at=f"{file}:{place.line}:{place.column}",
            fix="remove it; the file may be damaged or no text file",
        )
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.YAMLError as error:
        raise syntax_error(error, text, file) from error
    return builder.finish()


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    place: Place
    is_mapping: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)
    merges: list[Node] = field(default_factory=list)
    key: Node | None = None


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}  # None: still open
        self._root: Node | None = None
        self._duplicates: list[SpecError] = []

    def take(self, event: yaml.Event) -> None:
        """Adds what one event brings."""
        assert event.start_mark is not None
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        match event:
            case yaml.AliasEvent(anchor=str(anchor)):
                self._add(self._aliased(anchor, place))
            case yaml.ScalarEvent():
                self._refuse_tag(event, place)
                self._finish_node(self._scalar(event, place), event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._refuse_tag(event, place)
                self._start(_Open(place, isinstance(event, yaml.MappingStartEvent), event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                opened = self._open.pop()
                self._finish_node(self._collection(opened), opened.anchor)
            case yaml.DocumentStartEvent() if self._root is not None:
                raise self._error(
                    place, "the file holds more than one YAML document", "use one file for each"
                )

    def finish(self) -> Node:
        if self._duplicates:
            raise SpecErrors(self._duplicates)
        if self._root is None:
            raise self._error(
                Place(1, 1), "the file is empty", "see `parity schema`, or start with `version: 1`"
            )
        return self._root

    def _start(self, opened: _Open) -> None:
        if len(self._open) >= DEPTH_LIMIT:
            raise self._error(opened.place, f"nested more than {DEPTH_LIMIT} levels deep", "flatten it")
        if opened.anchor is not None:
            self._anchors[opened.anchor] = None
        self._open.append(opened)

    def _finish_node(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if not parent.is_mapping:
            parent.items.append(node)
        elif parent.key is None:
            parent.key = self._checked_key(node)
        else:
            self._add_entry(parent, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _Open, key: Node, node: Node) -> None:
        assert key.text is not None
        if key.plain and key.text == _MERGE:
            parent.merges.extend(self._merged(node, key.place))
            return
        name = resolve_key(key.text) if key.plain else key.text
        if name in parent.entries:
            first = parent.keys[name].line
            self._duplicates.append(
                self._error(key.place, f"the key {name!r} is given twice", f"it is on line {first} already")
            )
            return
        parent.entries[name], parent.keys[name] = node, key.place

    def _checked_key(self, node: Node) -> Node:
        if node.text is None:
            raise self._error(node.place, "a key must be text", "quote it if it starts with [ or {")
        if not node.text:
            raise self._error(node.place, "a key is empty", "write `key: value`")
        return node

    def _merged(self, node: Node, place: Place) -> Iterator[Node]:
        sources = list(node.children.values()) if isinstance(node.value, tuple) else [node]
        for source in sources:
            if not isinstance(source.value, dict):
                raise self._error(place, "only a mapping can be merged by `<<`", "write `<<: *anchor`")
            yield source

    def _collection(self, opened: _Open) -> Node:
        entries, keys = opened.entries, opened.keys
        for source in opened.merges:
            for name, child in source.children.items():
                assert isinstance(name, str)
                if name not in entries:  # the mapping's own keys win, then the merge that comes first
                    entries[name], keys[name] = child, source.keys[name]
        children = entries if opened.is_mapping else dict[str | int, Node](enumerate(opened.items))
        size = 1 + sum(child.size for child in children.values()) + sum(map(len, keys))
        depth = 1 + max((child.depth for child in children.values()), default=0)
        if size > EXPANDED_LIMIT or depth > DEPTH_LIMIT:
            limit = f"{EXPANDED_LIMIT // 2**20} Mi characters, or {DEPTH_LIMIT} levels"
            problem = f"with its aliases written out this has more than {limit}"
            raise self._error(opened.place, problem, "use fewer aliases")
        if opened.is_mapping:
            value: Any = {name: child.value for name, child in entries.items()}
        else:
            value = tuple(child.value for child in opened.items)
        return Node(opened.place, value, size, depth, children, keys)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Node:
        text, plain = event.value, event.implicit[0]
        if found := _FORBIDDEN.search(text):  # by an escape such as "\0"
            raise self._error(
                place, f"the text holds the character U+{ord(found[0]):04X}", "remove the escape"
            )
        try:
            value = resolve(text) if plain else text
        except ValueError as error:
            raise self._error(place, f"the number has {len(text)} digits", "write it shorter") from error
        return Node(place, value, 1 + len(text), text=text, plain=plain)

    def _aliased(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            raise self._error(
                place, f"there is no anchor '&{anchor}' before the alias '*{anchor}'", "define it first"
            )
        node = self._anchors[anchor]
        if node is None:
            raise self._error(
                place, f"the alias '*{anchor}' is inside of what it stands for", "break the cycle"
            )
        return node

    def _refuse_tag(self, event: yaml.NodeEvent, place: Place) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise self._error(
                place, f"the tag {shown!r} is not allowed", "remove it; quote what must stay text"
            )

    def _error(self, place: Place, problem: str, fix: str) -> SpecError:
        return SpecError(problem, at=f"{self._file}:{place.line}:{place.column}", fix=fix)


def _place_of(text: str, index: int) -> Place:
    start = text.rfind("\n", 0, index) + 1
    return Place(text.count("\n", 0, index) + 1, index - start + 1)
