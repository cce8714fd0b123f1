"""Power spectra of mosaics, kept in a store: made once, for all networks that take nothing else.

Mosaics do not depend on the probe nor on the kind of cross spectra, and are most of the work. One store of both probes
and both kinds serves every network of spectra of an experiment, and all of them see the same mosaics.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lensdask.compute import StoreReference, refer_to, require_finished
from lensdask.data import LSS_SPECTRA, configuration_hash
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.parameters import BINS
from lensdask.lss.spectra import pairs

__all__ = ["KeptSpectra", "model_hash", "open_spectra"]


def model_hash(model: ForwardModel, fixed: Mapping[str, float]) -> str:
    """Return the checksum of a model, the same for all probes, and of the parameters that are not drawn."""
    return configuration_hash(asdict(replace(model, probe="combined")) | {"fixed": dict(fixed)})


@dataclass(frozen=True)
class KeptSpectra:
    """A store of spectra."""

    reference: StoreReference
    """The store."""

    def check(
        self,
        tiles: StoreReference,
        split: str,
        model: ForwardModel,
        seed: int,
        fixed: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Refuse spectra of other mosaics.

        Raises
        ------
        InputError
            They are of other tiles, or were made with another model, split or seed, or lack the probe.
        """
        found = self.reference.open().attrs
        wanted = {"tiles_hash": tiles.hash, "split": split, "model_hash": model_hash(model, fixed), "seed": seed}
        for name, value in wanted.items():
            if found[name] != value:
                raise InputError(f"{self.reference.path}: {name} {found[name]}; expected {value}")
        if found["probe"] not in ("combined", model.probe):
            raise InputError(
                f"{self.reference.path}: spectra of {found['probe']}; expected {model.probe}, or both probes"
            )

    def take(self, ids: npt.NDArray[np.int64], probe: str, cross: str) -> npt.NDArray[np.float32]:
        """Return the spectra of mosaics, shape (sample, pair, bin).

        Parameters
        ----------
        ids
            Which mosaics, shape (sample,).
        probe
            "lensing", "clustering" or "combined".
        cross
            "signed" or "modulus".

        Raises
        ------
        InputError
            The store does not have some of them.
        """
        store = self.reference.open()
        rows = ids - int(store["sample"][0])
        if rows.min() < 0 or rows.max() >= store.sizes["sample"]:
            raise InputError(f"{self.reference.path}: {store.sizes['sample']} mosaics; expected more, or other ids")
        chunk = LSS_SPECTRA.chunk
        taken = np.empty((len(ids), *store[cross].shape[1:]), dtype=np.float32)
        for number in np.unique(rows // chunk).tolist():
            here = rows // chunk == number
            taken[here] = _block(self.reference, cross, number)[rows[here] - number * chunk]
        return taken if probe == store.attrs["probe"] else taken[:, _pairs_of(probe)]


def _pairs_of(probe: str) -> list[int]:
    """Return the numbers of the pairs of one probe among those of both."""
    own = range(BINS) if probe == "lensing" else range(BINS, 2 * BINS)
    return [number for number, (i, j) in enumerate(pairs(2 * BINS)) if i in own and j in own]


@lru_cache(maxsize=4)
def _block(reference: StoreReference, cross: str, number: int) -> npt.NDArray[np.float32]:
    """Return one chunk of a store, from memory if this process has just read it."""
    rows = slice(number * LSS_SPECTRA.chunk, (number + 1) * LSS_SPECTRA.chunk)
    spectra: npt.NDArray[np.float32] = reference.load(rows, (cross,))[cross].to_numpy()
    return spectra


def open_spectra(path: Path) -> KeptSpectra:
    """Return a store of spectra.

    Raises
    ------
    InputError
        It is no store, one of something else, or its run is not finished.
    """
    dataset = open_store(path)
    if dataset.attrs["schema"] != LSS_SPECTRA.name:
        raise InputError(f"{path}: a store of {dataset.attrs['schema']}; expected one of {LSS_SPECTRA.name}")
    require_finished(path, "spectra_run")
    return KeptSpectra(refer_to(path, dataset))
