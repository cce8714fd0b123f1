"""Weights of detections and their shear response, from columns that go with the shapes.

Which galaxies of an image are found depends on the shear; `lensdask.shear.detect` says how.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.errors import InputError
from lensdask.shear.shapes.measurement import COLUMNS

__all__ = ["DETECTION", "DetectionWeights", "detection_columns"]

Float64 = npt.NDArray[np.float64]

DETECTION = ("wdet", "dwdet_dg1", "dwdet_dg2")
"""Weight of a detection, and its response to shear."""


@dataclass(frozen=True)
class DetectionWeights:
    """The weights of detections, where a table has them behind the columns of shapes."""

    def weights(self, table: Float64) -> tuple[Float64, Float64]:
        """Return weights, shape (...), and their shear responses, shape (..., 2)."""
        first = len(COLUMNS)
        return table[..., first], table[..., first + 1 : first + 3]


def detection_columns(shapes: xr.Dataset) -> list[xr.DataArray]:
    """Return the columns `DETECTION` of shapes, none if they have none of them.

    Raises
    ------
    InputError
        Some of them are missing, or not finite.
    """
    present = [name for name in DETECTION if name in shapes.variables]
    if not present:
        return []
    if len(present) < len(DETECTION):
        missing = sorted(set(DETECTION) - set(present))
        raise InputError(f"shapes: {present[0]} without {', '.join(missing)}; expected all columns of detect, or none")
    columns = [shapes[name].reset_coords(drop=True) for name in DETECTION]
    if not all(np.isfinite(column).all() for column in columns):
        raise InputError("shapes: weights of detections are not finite; expected those of detect")
    return columns
