"""What the ways of a diagnosis have in common, each looked for once and only when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

import torch
from google.protobuf.message import Error as ProtobufError
from onnx import ModelProto
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError

from parity.diagnosis import matching
from parity.diagnosis.graphs.comparing import Comparison, Unmendable, compare
from parity.diagnosis.graphs.reexport import FreshExport, export_again, first_line
from parity.diagnosis.initializers.findings import Finding, altered, summary
from parity.diagnosis.initializers.lookup import look_up
from parity.diagnosis.matching import Matches, Place, match
from parity.diagnosis.torch64 import Unknown
from parity.worker.problems import Unable

from . import causes
from .conversion import Conversion, conversion, narrowed
from .inner import InnerNode, inner_nodes
from .mending import Mended, Unit, measure
from .subject import Subject

# What the steps raise on a file or a module that is odd. One of them must not end the others.
_ODD = (
    *(Unmendable, Unable, Unknown, ValidationError, InferenceError, ProtobufError, OSError, MemoryError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)

T = TypeVar("T")


class Evidence:
    """What is known of a subject. A step that fails on it is left out, with a note.

    Attributes:
        notes: what could not be looked into, and why.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.notes: list[str] = []

    def tried(self, doing: str, step: Callable[[], T]) -> T | None:
        """What a step gives; None and a note where it fails."""
        try:
            return step()
        except (MemoryError, torch.OutOfMemoryError):
            self.notes.append(f"not enough memory for {doing}")
        except _ODD as error:
            self.notes.append(f"{doing} failed: {_short(error)}")
        return None

    @cached_property
    def matches(self) -> Matches:
        """The graph's tensors and the module's."""
        return match(self.subject.graph_trace, self.subject.module_trace)

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Of the graph's nodes in the PyTorch model."""
        subject = self.subject
        return matching.places(
            subject.graph_trace, subject.module_trace, self.matches, subject.model, subject.module
        )

    @cached_property
    def inner(self) -> Mapping[str, InnerNode]:
        """Nodes that the trace does not show."""
        return inner_nodes(self.subject.model)

    @cached_property
    def fresh(self) -> FreshExport | None:
        """The module exported now as the file was."""
        try:
            return self._export()
        except _ODD as error:
            self.notes.append(f"no fresh export to compare with: {_short(error)}")
            return None

    @property
    def has_exported(self) -> bool:
        """Whether anything asked for the fresh export yet."""
        return "fresh" in vars(self)

    @cached_property
    def conversion(self) -> Conversion | None:
        """What the file was converted to."""
        return conversion(self.subject)

    @cached_property
    def comparison(self) -> Comparison | None:
        """Of the file with a fresh export, which is of the file's own precision."""
        fresh, converted = self.fresh, self.conversion
        if fresh is None:
            return None
        model = fresh.model
        if converted is not None and converted.native is not None:
            model = narrowed(model, converted.native)
        return self.tried("comparing with a fresh export", lambda: compare(self.subject.model, model))

    @cached_property
    def initializers(self) -> tuple[Finding, ...]:
        subject = self.subject
        look = lambda: look_up(subject.model, subject.folder, subject.state)  # noqa: E731
        return self.tried("looking the initializers up in the checkpoint", look) or ()

    @cached_property
    def wrong(self) -> tuple[Unit, ...]:
        """The initializers that are not the checkpoint's."""
        found = self.initializers
        if not altered(found):
            return ()
        return causes.of_findings(
            altered(found),
            summary(found),
            self.subject.graph_trace,
            self.inner,
            made_here=self.subject.made_here,
        )

    @cached_property
    def repaired(self) -> Mended | None:
        """With the checkpoint's initializers where they are others."""
        if not self.wrong:
            return None
        return self.tried("putting the initializers right", lambda: measure(self.subject, self.wrong))

    @cached_property
    def changes(self) -> tuple[Unit, ...]:
        """What differs from a fresh export; nothing where it is another graph throughout."""
        comparison = self.comparison
        if comparison is None or comparison.messy:
            return ()
        changed = {change.tensor for change in comparison.changes} - {"", *self.subject.state}
        parameters = {each.name: each.parameter for each in self.initializers} if changed else {}
        said = summary(self.initializers)
        return causes.of_changes(comparison.changes, parameters, said, made_here=self.subject.made_here)

    def _export(self, exporter: str | None = None) -> FreshExport:
        """The module exported now, as the file was or by this exporter.

        Raises:
            Unable: it can't be.
        """
        subject = self.subject
        args, kwargs = subject.arguments()
        return export_again(
            subject.module,
            args,
            kwargs,
            subject.model,
            subject.scratch,
            output_names=subject.output_names,
            exporter=exporter,
        )

    def export_otherwise(self, exporter: str) -> ModelProto | None:
        """The module exported by this exporter; None and a note where it can't be."""
        found = self.tried(f"trying the {exporter} exporter", lambda: self._export(exporter))
        return found.model if found else None


_LENGTH = 200  # of an error in a note


def _short(error: BaseException) -> str:
    text = error.problem if isinstance(error, Unable) else first_line(error)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
