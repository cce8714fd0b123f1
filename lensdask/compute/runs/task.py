"""What a run computes: a frozen task of plain settings, called with the bounds of each chunk."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np

from lensdask.compute.devices import Device
from lensdask.compute.runs.journal_format import Sums

__all__ = ["NOT_IDENTITY", "Table", "Task", "settings_of"]

Table = dict[str, np.ndarray]
"""Rows of one chunk: every chunked variable of the store, by name."""

NOT_IDENTITY: Final = {"identity": False}
"""Metadata of a field that does not decide a result, such as where a file lies whose checksum stands beside it."""


class Task(ABC):
    """A pure function of the bounds of a chunk.

    Subclasses are frozen dataclasses at module level: workers import them, and a task travels with every chunk, so it
    holds settings, paths and checksums, never arrays or networks. Its results depend on its fields alone.
    """

    @abstractmethod
    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table | None, Sums | None]:
        """Compute the objects from `start` to before `stop`.

        Parameters
        ----------
        start, stop
            Positions along the unit dimension of the store.
        device
            "cpu" or "cuda".

        Returns
        -------
        table, sums
            Rows for the store, none for a run without one; and sums of the chunk, which the journal keeps.
        """

    def settings(self) -> dict[str, Any]:
        """Return all that decides the result, in plain JSON values: files by their checksums, wherever they lie."""
        found: dict[str, Any] = settings_of(self)
        return found


def settings_of(value: Any) -> Any:
    """Return a dataclass as plain JSON values, without the fields that are `NOT_IDENTITY`; others as they are."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: settings_of(getattr(value, f.name)) for f in fields(value) if f.metadata != NOT_IDENTITY}
    if isinstance(value, Mapping):
        return {name: settings_of(part) for name, part in value.items()}
    return [settings_of(part) for part in value] if isinstance(value, list | tuple) else value
