"""Where a run keeps what it makes: a store with its journal beside it, or a journal alone."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from lensdask.compute.room import require_disk
from lensdask.compute.runs.journal import journal_path
from lensdask.data import Schema, configuration_hash, create, require_store
from lensdask.data.template import layout_from_sizes
from lensdask.errors import InputError
from lensdask.places import local_path

__all__ = ["IfExists", "NewStore", "refuse_existing"]

IfExists = Literal["refuse", "resume", "overwrite"]
"""What to do about an earlier run in the same place."""


@dataclass(frozen=True)
class NewStore:
    """A store that a run writes, with its journal beside it; see `lensdask.data.create` for what it holds."""

    path: Path
    """Directory of the store; made absolute, since workers may run in another directory than this process."""
    schema: Schema
    """What it holds."""
    sizes: Mapping[str, int]
    """Length of each dimension."""
    coords: Mapping[str, Any]
    """Coordinates, whole; a `range` is written piece by piece."""
    attributes: Mapping[str, Any]
    """Those of the schema, beside the common ones."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Variables without the unit dimension, whole."""
    optional: tuple[str, ...] = ()
    """Names of further variables that it holds, among those that a dataset may lack."""
    measured: tuple[str, ...] = ()
    """Names of variables in which each object has a finite number; how many objects have none is told."""
    beside: tuple[Path, ...] = ()
    """Files that describe the store; removed when it is made anew."""

    def __post_init__(self) -> None:
        # A run renames and locks files, which no object store can.
        object.__setattr__(self, "path", local_path(self.path, "what a run writes").resolve())

    @property
    def journal(self) -> Path:
        """File of the journal."""
        return journal_path(self.path)

    def require_room(self, unit: str) -> None:
        """Refuse a store that its disk cannot hold.

        Parameters
        ----------
        unit
            What its objects are, in the plural, for the message.

        Raises
        ------
        InputError
            It cannot.
        """
        layout = layout_from_sizes(self.schema, self.sizes, self.fixed, self.optional)
        # Other numbers, labels and masks, compress to next to nothing.
        floats = {
            name: v for name, v in self.schema.variables.items() if name in layout and v.dtype.startswith("float")
        }
        size = sum(
            np.dtype(v.dtype).itemsize * math.prod(self.sizes[dim] for dim in layout[name])
            for name, v in floats.items()
        )
        what = f"{self.path.name}, {self.sizes[self.schema.unit_dim]} {unit}"
        require_disk(self.path, size, what, replaces=self.path.exists())

    def create(self, chunk: int, settings: Mapping[str, Any]) -> None:
        """Write the template.

        Parameters
        ----------
        chunk
            Objects of a chunk.
        settings
            Those of the task, whose hash the store carries.
        """
        for path in self.beside:
            path.unlink(missing_ok=True)
        self._create(self.path, chunk, settings)

    def restore(self, chunk: int, settings: Mapping[str, Any]) -> None:
        """Write the template of a store again, over what is left of it; chunks that the run has written stay.

        Parameters
        ----------
        chunk, settings
            As for `create`.
        """
        with TemporaryDirectory(prefix=f".{self.path.name}.", suffix=".partial", dir=self.path.parent) as folder:
            fresh = Path(folder) / self.path.name
            self._create(fresh, chunk, settings)
            for file in sorted(path for path in fresh.rglob("*") if path.is_file()):
                place = self.path / file.relative_to(fresh)
                if not place.parent.resolve().is_relative_to(self.path):
                    raise InputError(f"{place}: a link leads out of the store; expected a folder of its own")
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                file.replace(place)

    def _create(self, path: Path, chunk: int, settings: Mapping[str, Any]) -> None:
        create(
            path,
            self.schema,
            sizes=self.sizes,
            coords=self.coords,
            attributes={"configuration_hash": configuration_hash(settings), **self.attributes},
            chunk=chunk,
            fixed=self.fixed,
            optional=self.optional,
        )


def refuse_existing(journal: Path, store: Path | None, if_exists: IfExists) -> None:
    """Refuse a place that is taken, unless it is to be resumed or overwritten.

    Raises
    ------
    InputError
        There is a journal or a store; or what would be overwritten is no store of lensdask.
    """
    if if_exists == "overwrite" and store is not None and store.exists():
        require_store(store)
    started = journal.exists() and journal.stat().st_size > 0
    if if_exists == "refuse" and (started or (store is not None and store.exists())):
        raise InputError(
            f"{journal if started else store} is of an earlier run; "
            'continue it with if_exists="resume" or replace it with if_exists="overwrite"'
        )
