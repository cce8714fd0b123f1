"""Load a network, and open a store, once per process.

A network in the task graph travels with every task, which makes a run four to six times slower.
Tasks carry (path, sha256, device) instead.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensdask.compute.runs.task import NOT_IDENTITY
from lensdask.data import SCHEMAS, check_unchanged, load_card, load_into
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.places import PathLike, located, version_of

if TYPE_CHECKING:
    import torch
    import xarray as xr

__all__ = ["StoreReference", "cached_model", "refer_to"]


def cached_model(
    build: "Callable[[dict[str, Any]], torch.nn.Module]",
    path: str | os.PathLike[str],
    sha256: str,
    device: str,
) -> "torch.nn.Module":
    """Return a frozen network, from memory if this process has loaded it before.

    Parameters
    ----------
    build
        Module-level function from the card of the weights to the network.
    path
        File of the weights.
    sha256
        The weights that are wanted.
    device
        "cpu" or "cuda".

    Raises
    ------
    InputError
        The weights cannot be read, are not the ones wanted, or do not fit the network.
    """
    # A card says what becomes of the same weights.
    return _load(build, Path(path), sha256, device, json.dumps(load_card(path)))


@lru_cache(maxsize=8)
def _load(
    build: "Callable[[dict[str, Any]], torch.nn.Module]", path: Path, sha256: str, device: str, _card: str
) -> "torch.nn.Module":
    card = json.loads(_card)
    try:
        model = build(card)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    load_into(model, path, sha256)
    return model.eval().requires_grad_(False).to(device)


@dataclass(frozen=True)
class StoreReference:
    """A store by its place and its content: small enough to travel with every task."""

    path: str = field(metadata=NOT_IDENTITY)
    """Directory of the store, or its URL."""
    hash: str
    """Its attribute ``configuration_hash``."""

    def open(self) -> "xr.Dataset":
        """Return the store, from memory if this process has opened it before: opening reads all its ids.

        Raises
        ------
        InputError
            It is no store of lensdask, or another one than was referred to.
        """
        try:
            written = version_of(located(self.path) / "zarr.json")
        except FileNotFoundError:
            written = ""
        found = _opened(self.path, written)
        check_unchanged(self.path, found.attrs["configuration_hash"], self.hash, "store")
        return found

    def load(self, rows: slice, names: Sequence[str] | None = None) -> "xr.Dataset":
        """Return some rows of some variables, in memory: what a task works on.

        Parameters
        ----------
        rows
            Which galaxies or fields: elements of the dimension along which chunks are cut.
        names
            Variables; all when none.

        Raises
        ------
        InputError
            As `open`.
        """
        store = self.open()
        part = (store if names is None else store[list(names)]).isel({SCHEMAS[store.attrs["schema"]].unit_dim: rows})
        # One chunk after another, in this thread: a task has one core.
        return part.compute(scheduler="synchronous")


def refer_to(path: PathLike, store: "xr.Dataset") -> StoreReference:
    """Return the reference to a store that is open here."""
    place = located(path)
    # Workers may run in another directory than this process.
    return StoreReference(str(place.resolve() if isinstance(place, Path) else place), store.attrs["configuration_hash"])


@lru_cache(maxsize=16)
def _opened(path: str, _written: str) -> "xr.Dataset":
    return open_store(path)
