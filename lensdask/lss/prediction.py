"""Summaries of many mosaics: a resumable run that makes each from tiles, compresses it, and keeps only its row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensdask.compute import (
    NOT_IDENTITY,
    Chunks,
    Device,
    NewStore,
    RunOptions,
    RunResult,
    StoreReference,
    Table,
    Task,
    run,
)
from lensdask.data import LSS_SUMMARIES, common_attributes
from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.lss.compressor import Compressor, find_compressor, sky_warning
from lensdask.lss.forward.samples import draw_samples
from lensdask.lss.kept_spectra import KeptSpectra, open_spectra
from lensdask.lss.tile_task import SPLITS
from lensdask.lss.tiles import Split, open_split, open_tiles
from lensdask.places import PathLike, refuse_same

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PredictSummaries", "compress", "predict_run"]


@dataclass(frozen=True)
class PredictSummaries(Task):
    """Makes mosaics and compresses them."""

    tiles: StoreReference
    """Store of tiles."""
    split: str
    """Which of them."""
    compressor: Compressor
    """The network, and the forward model that it was trained on."""
    seed: int
    """Seed of the forward model."""
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Parameters that are not drawn from the prior."""
    kept: KeptSpectra | None = field(default=None, metadata=NOT_IDENTITY)
    """Spectra of the mosaics, where they have been made before."""

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return true parameters and summaries of some samples."""
        split = open_split(self.tiles, self.split)
        samples = draw_samples(np.arange(start, stop), split.boxes, self.compressor.model, self.seed, self.fixed)
        made = self.compressor.summaries(split, samples, self.seed, device, self.kept)
        theta = samples.theta.astype(np.float32)
        return {"theta_true": theta, "theta_summary": made.summary, "power": made.power}, None


def compress(
    tiles: "xr.Dataset",
    compressor: str | Path,
    *,
    samples: int | None = None,
    split: str = "likelihood",
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    chunk: int = 32,
) -> "xr.Dataset":
    """Return summaries of mosaics, made when they are computed; `lensdask.write` stores them.

    Parameters
    ----------
    tiles
        Of the schema ``lss_tiles``.
    compressor
        File of the weights.
    samples
        Number of mosaics; as many as the tiles of the split fill once when none.
    split, fixed, seed
        As for `predict_run`, whose summaries of a sample these are to the bit.
    chunk
        Samples that are made at once.

    Raises
    ------
    InputError
        The tiles do not fit the compressor.
    """
    import dask.array as da
    import xarray as xr

    check_choice("split", split, SPLITS)
    check_number("chunk", chunk, least=1, whole=True)
    found, boxes = find_compressor(compressor), Split(tiles, split)
    found.check(boxes)
    names, number = found.model.parameters, boxes.mosaics(found.model) if samples is None else samples
    check_number("samples", number, least=1, whole=True)
    drawn = draw_samples(np.arange(number), boxes.boxes, found.model, seed, fixed)
    ids = da.arange(number, chunks=chunk)
    made = ids.map_blocks(
        lambda rows: np.concatenate(found.summaries(boxes, drawn.rows(rows), seed), axis=1),
        chunks=(ids.chunks[0], (len(names) + found.features,)),
        new_axis=1,
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
    )
    settings = {"tiles": tiles.attrs["configuration_hash"], "split": split, "fixed": dict(fixed or {}), "seed": seed}
    attributes = common_attributes(LSS_SUMMARIES, settings | {"compressor": found.sha256})
    attributes |= _attributes(found, Path(compressor), tiles, split, seed)
    parameters = {"theta_true": drawn.theta.astype(np.float32), "theta_summary": made[:, : len(names)]}
    variables = {name: (("sample", "parameter"), values) for name, values in parameters.items()}
    variables["power"] = (("sample", "feature"), made[:, len(names) :])
    dataset = xr.Dataset(variables, {"sample": np.arange(number)}, attributes)
    return LSS_SUMMARIES.described(dataset)


def _attributes(compressor: Compressor, path: Path, tiles: "xr.Dataset", split: str, seed: int) -> dict[str, Any]:
    """Return what a store of summaries says of itself, beside the common attributes."""
    return {
        "parameters": list(compressor.model.parameters),
        "compressor_sha256": compressor.sha256,
        "compressor": path.stem,
        "probe": compressor.model.probe,
        "summary": compressor.summary,
        "tiles_hash": tiles.attrs["configuration_hash"],
        "sky": tiles.attrs["sky"],
        "compressor_sky": compressor.sky,
        "split": split,
        "priors": compressor.model.priors,
        "seed": seed,
    }


def predict_run(
    tiles: PathLike,
    compressor: str | Path,
    path: Path,
    *,
    samples: int,
    split: str = "likelihood",
    fixed: Mapping[str, float] | None = None,
    spectra: str | Path | None = None,
    seed: int = 0,
    chunk: int = 256,
    options: RunOptions | None = None,
    warn: Callable[[str], None] = lambda _line: None,
) -> RunResult:
    """Make a store of summaries.

    Parameters
    ----------
    tiles
        Store of the schema ``lss_tiles``.
    compressor
        File of the weights.
    path
        Store to write, schema ``lss_summaries``.
    samples
        Number of mosaics; their ids are 0, 1, ..., which no training uses.
    split
        Which simulations: "likelihood", or "test" for mock observations. Those of "training" and "validation" are what
        the compressor knows already: its summaries of them are too good, and inferences from them are warned of.
    fixed
        Values of parameters that are not drawn from the prior, by name.
    spectra
        Store of the schema ``lss_spectra`` of the same mosaics, for a compressor that takes nothing else: to the same
        summaries, without making the mosaics again.
    seed
        Seed of the forward model.
    chunk
        Samples per task and per chunk of the store; does not change the summaries.
    options
        Cluster, device, resumption.
    warn
        Told, before the run, if the compressor learned from tiles of another kind of sky.

    Raises
    ------
    InputError
        The output exists, or the tiles do not fit the compressor.
    """
    check_choice("split", split, SPLITS)
    check_number("samples", samples, least=1, whole=True)
    for source in (tiles, spectra):
        if source is not None:
            refuse_same(path, source)
    dataset, reference = open_tiles(tiles)
    found = find_compressor(compressor)
    kept, held = None if spectra is None else open_spectra(Path(spectra)), dict(fixed or {})
    if kept is not None:
        if found.summary != "power":
            raise InputError(f"spectra: a {found.summary} compressor; expected one of spectra alone")
        kept.check(reference, split, found.model, seed, held)
    task = PredictSummaries(reference, split, found, seed, held, kept)
    boxes = open_split(reference, split)
    found.check(boxes)
    # Now what every chunk would find: too few tiles for a mosaic, or a parameter that cannot be fixed.
    draw_samples(np.arange(1), boxes.boxes, found.model, seed, task.fixed)
    for line in sky_warning(found.sky, dataset.attrs["sky"]):
        warn(line)
    store = NewStore(
        path,
        LSS_SUMMARIES,
        {"sample": samples, "parameter": len(found.model.parameters), "feature": found.features},
        {"sample": range(samples)},
        _attributes(found, Path(compressor), dataset, split, seed),
        optional=("power",),
        measured=("theta_summary",),
    )
    return run(task, Chunks(samples, chunk, "samples"), store, options, label="predict")
