"""Live progress: one line that moves on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from . import figures
from .escaping import visible


class _CountColumn(TextColumn):
    """``3/12``; nothing while it isn't known how many there are."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        known = bool(task.total)
        return Text(f"{int(task.completed)}/{int(task.total or 0)}" if known else "", style="dim")


class ProgressView:
    """Shows what is going on, on stderr: stdout belongs to the report.

    A context manager; `update` may be called from one thread at a time.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._live: Progress | None = None
        self._task = TaskID(0)
        self._last = ""
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Progress(
                SpinnerColumn(style="cyan"),
                BarColumn(bar_width=24),
                _CountColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._live.add_task("starting", total=None)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def update(self, message: str, done: int, total: int | None) -> None:
        """Says what runs now and how many of the steps are done; `total` None: not known yet."""
        said = visible(message, limit=100)
        if self._live:
            self._live.update(self._task, description=said, completed=done, total=total)
        elif said != self._last:
            # Never at the line's start: a CI runner obeys ::commands:: there.
            elapsed = figures.seconds(time.monotonic() - self._started)
            count = f"{done}/{total}  " if total else ""
            self._console.print(f"[{elapsed:>6}]  {count}{said}", markup=False, soft_wrap=True)
        self._last = said
