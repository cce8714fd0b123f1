"""The table that ships: the cosmologies and their matter power, made by ``docs/lss_theory.py``."""

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_table"]


@lru_cache(maxsize=1)
def read_table() -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays of the table.

    Returns
    -------
    mapping
        ``omega_m``, ``sigma8``, ``calibration`` (whether of that set), each (cosmology,); ``wave_number`` in 1 / Mpc
        (k,), ``redshift`` (z,), ``linear`` (cosmology, k), ``boost`` (cosmology, z, k); see `lensdask.sky.tomography.
        matter`; and ``card``, JSON that says how they were made.
    """
    place = resources.files("lensdask.sky").joinpath("tables", "tomography.npz")
    with place.open("rb") as file, np.load(file, allow_pickle=False) as table:
        return {name: table[name] for name in table.files}
