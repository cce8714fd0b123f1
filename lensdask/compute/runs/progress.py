"""How far a run is: a bar in a terminal, one line at the end elsewhere."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

__all__ = ["Progress"]

_NAMED = 10
"""Chunks given up that are named; `lensdask.compute.status` names all."""


class Progress:
    """Progress of a run, shown on stderr while in a ``with`` block.

    Parameters
    ----------
    label
        What is being done.
    unit
        What the objects are: galaxies, maps.
    chunks, chunks_done
        Chunks of the whole run, and those that an earlier call has finished.
    dashboard
        Link to the dashboard of the cluster, printed once.
    show
        False for silence.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        chunks: int,
        chunks_done: int = 0,
        dashboard: str | None = None,
        show: bool = True,
    ) -> None:
        self._label, self._unit, self._show = label, unit, show
        self._dashboard = dashboard
        self._objects = self._retries = self._quarantined = 0
        console = Console(stderr=True)
        self._console = console
        self._live = show and console.is_terminal
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("chunks {task.fields[counts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )
        self._task: TaskID = self._bar.add_task(label, start=False, total=chunks, completed=chunks_done, counts="")

    def __enter__(self) -> Self:
        if self._live and self._dashboard:
            self._console.print(f"dashboard: {self._dashboard}")
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._show and not self._live and kind is None:
            print(f"{self._label}: {self._counts()}", file=sys.stderr)

    def begin(self) -> None:
        """Start the clock of rate and time left."""
        self._bar.start_task(self._task)

    def finished(self, objects: int) -> None:
        """Count a finished chunk of so many objects."""
        self._objects += objects
        self._update(advance=1)

    def retried(self) -> None:
        """Count a second or later attempt."""
        self._retries += 1
        self._update()

    def quarantined(self, chunk: int, start: int, stop: int, reason: str) -> None:
        """Count a chunk that was given up, and name it unless there are many."""
        self._quarantined += 1
        if self._quarantined <= _NAMED:
            self.say(f"{self._label}: chunk {chunk} ({self._unit} {start} to {stop - 1}) was given up: {reason}")
        self._update(advance=1)

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._show:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _update(self, advance: int = 0) -> None:
        self._bar.update(self._task, advance=advance, counts=self._counts())

    def _counts(self) -> str:
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = self._objects / elapsed if elapsed else 0.0
        text = f"{self._objects} {self._unit} ({rate:.4g}/s)"
        text += f", {self._retries} retries" * bool(self._retries)
        return text + f", {self._quarantined} quarantined" * bool(self._quarantined)
