"""Spectra of many mosaics into a store: what every network of spectra takes, made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.arrays import to_numpy
from lensdask.compute import Chunks, Device, NewStore, RunOptions, RunResult, StoreReference, Table, Task, run
from lensdask.data import LSS_SPECTRA
from lensdask.errors import check_choice, check_number, check_seed
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import draw_samples
from lensdask.lss.kept_spectra import model_hash
from lensdask.lss.networks.trainingset import network_inputs, seen
from lensdask.lss.parameters import PROBES
from lensdask.lss.spectra import ell_edges, pairs
from lensdask.lss.tile_task import SPLITS
from lensdask.lss.tiles import open_split, open_tiles
from lensdask.places import refuse_same

__all__ = ["MakeSpectra", "spectra_run"]

_CROSS = ("signed", "modulus")

_AT_ONCE = 16
"""Mosaics that are in memory together."""


@dataclass(frozen=True)
class MakeSpectra(Task):
    """Makes mosaics and keeps their spectra."""

    tiles: StoreReference
    """Store of tiles."""
    split: str
    """Which of them."""
    model: ForwardModel
    """What is seen of them."""
    seed: int
    """Seed of the forward model."""
    first: int
    """Id of the first mosaic."""
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Parameters that are not drawn from the prior."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return parameters and spectra of some mosaics."""
        split = open_split(self.tiles, self.split)
        samples = draw_samples(self.first + np.arange(start, stop), split.boxes, self.model, self.seed, self.fixed)
        parts: dict[str, list[npt.NDArray[np.float32]]] = {cross: [] for cross in _CROSS}
        for at in range(0, stop - start, _AT_ONCE):
            maps = seen(split, samples.rows(slice(at, at + _AT_ONCE)), self.model, self.seed, device)
            for cross in _CROSS:
                parts[cross].append(to_numpy(network_inputs(("spectra",), maps, self.model, cross)[0]))
        spectra = {cross: np.concatenate(rows) for cross, rows in parts.items()}
        return {"theta_true": samples.theta.astype(np.float32), **spectra}, None


def spectra_run(
    tiles: Path,
    path: Path,
    model: ForwardModel,
    *,
    samples: int,
    split: str,
    first: int = 0,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    options: RunOptions | None = None,
) -> RunResult:
    """Make a store of spectra.

    Parameters
    ----------
    tiles
        Store of the schema ``lss_tiles``.
    path
        Store to write, schema ``lss_spectra``.
    model
        Forward model; one of both probes serves each probe as well.
    samples
        Number of mosaics.
    split
        Which simulations.
    first
        Id of the first mosaic.
    fixed
        Values of parameters that are not drawn from the prior, by name.
    seed
        Seed of the forward model.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, or the tiles do not fit the model.
    """
    check_choice("split", split, SPLITS)
    check_number("samples", samples, least=1, whole=True)
    check_seed(seed)
    refuse_same(path, tiles)
    dataset, reference = open_tiles(tiles)
    boxes = open_split(reference, split)
    boxes.check(model)
    task = MakeSpectra(reference, split, model, seed, first, dict(fixed or {}))
    maps, size = PROBES[model.probe], dataset.sizes["y"]
    sizes = {
        "sample": samples,
        "parameter": len(model.parameters),
        "spectrum": len(pairs(maps)),
        "bin": len(ell_edges(size, model.pixel_scale)) - 1,
    }
    attributes = {
        "parameters": list(model.parameters),
        "probe": model.probe,
        "tiles_hash": reference.hash,
        "split": split,
        "model_hash": model_hash(model, task.fixed),
        "seed": seed,
    }
    store = NewStore(path, LSS_SPECTRA, sizes, {"sample": range(first, first + samples)}, attributes)
    return run(task, Chunks(samples, LSS_SPECTRA.chunk, "mosaics"), store, options, label="spectra")
