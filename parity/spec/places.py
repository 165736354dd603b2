"""Where everything in a specification file is."""

from __future__ import annotations

from collections.abc import Iterator

from parity.spec.yaml_nodes import Node, Place

Path = tuple[str | int, ...]
"""The way from the top of a file to a value: keys, and positions in lists."""


def is_opaque(path: Path) -> bool:
    """Whether a mapping is the user's own: no error is about a single key in it once the file is read."""
    owner = path[:-1]
    is_model = owner == ("model",) or (len(owner) == 3 and owner[0] == "components" and owner[2] == "model")
    return is_model and path[-1] in ("args", "config")


class Places:
    """Line and column of every key and value of one file."""

    def __init__(self, file: str, root: Node) -> None:
        self.file, self._root = file, root

    def find(self, path: Path) -> Place | None:
        """Where the key of `path` is, or the item of a list; None when the file does not have it."""
        place, node = Place(1, 1), self._root
        for part in path:
            if part not in node.children:
                return None
            child = node.children[part]
            place, node = (node.keys[part] if isinstance(part, str) else child.place), child
        return place

    def key(self, path: Path) -> Place:
        """Where the key of `path` is; the nearest parent's where the file does not have it."""
        return self.find(path) or self.key(path[:-1])

    def value(self, path: Path) -> Place:
        """Where the value of `path` starts; the nearest parent's key where the file does not have it."""
        node = self._root
        for part in path:
            if part not in node.children:
                # Text may stand for a mapping: `onnx: model.onnx` has the value of `onnx.path`.
                return node.place if node.text is not None else self.key(path)
            node = node.children[part]
        return node.place

    def at(self, place: Place) -> str:
        """A place as ``file:line:column``."""
        return f"{self.file}:{place.line}:{place.column}"

    def dotted(self) -> dict[str, tuple[int, int]]:
        """The places of all keys and items of lists by their dotted path, as `SuitePlan.places` has them."""
        return {".".join(map(str, path)): (line, column) for path, (line, column) in _keys_of(self._root, ())}


def _keys_of(node: Node, path: Path) -> Iterator[tuple[Path, Place]]:
    for name, place in node.keys.items():
        here = (*path, name)
        yield here, place
        if not is_opaque(here):
            yield from _keys_of(node.children[name], here)
    for index, item in node.children.items():
        if isinstance(index, int):
            yield (*path, index), item.place
            yield from _keys_of(item, (*path, index))
