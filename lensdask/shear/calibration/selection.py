"""Cuts on measured quantities, and the shear response that a cut has of its own.

Shear changes the flux of a galaxy, and with it whether the galaxy passes a cut. A sample ``X > X0`` thus depends on
the shear that it is to measure: a cut through noisy galaxies of one flux biases m by -20 % (``make science``). With
weights w that follow the cut (equation 16)::

    d<w e_i> / dg_j = <w de_i/dg_j> + <e_i dw/dg_j>

The second term is the selection response. A hard cut is a step, without a derivative; instead the measured quantity
is sheared by ±g0 through its own response, ``X ± g0 dX/dg_j``, and cut again (Sheldon & Huff 2017; equation 17)::

    e_i dw/dg_j = e_i (w^+j - w^-j) / (2 g0)

Only galaxies within ``g0 |dX/dg|`` of the cut count there, so it is shot-noise limited. A smooth step has a derivative,
``dw/dg_j = dw/dX dX/dg_j``, and less noise.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lensdask.conventions import flux_from_magnitude
from lensdask.errors import InputError, check_choice, check_number
from lensdask.shear.shapes.measurement import COLUMNS

__all__ = ["Selection", "magnitude_cut"]

Float64 = npt.NDArray[np.float64]

Column = Literal["flux", "e1", "e2"]


@dataclass(frozen=True)
class Selection:
    """A cut ``above < X <= below`` on a measured quantity X with a known shear response."""

    column: Column = "flux"
    """Name of X among the columns of a table of shapes."""
    above: float | None = None
    """Lower edge; none for no edge."""
    below: float | None = None
    """Upper edge; none for no edge."""
    width: float = 0.0
    """Half width of the edges, in units of X: weights rise from 0 to 1 over edge ± width; 0 is a hard cut."""
    gamma0: float = 0.02
    """Mock shear g0 by which a hard cut is moved; a smooth one needs none."""

    def __post_init__(self) -> None:
        """Refuse what selects nothing or has no response."""
        check_choice("selection: column", self.column, get_args(Column))
        edges = [edge for edge in (self.above, self.below) if edge is not None]
        if not edges or not np.isfinite(edges).all() or edges != sorted(set(edges)):
            raise InputError(f"selection: above {self.above}, below {self.below}; expected one number or two that rise")
        check_number("selection: width", self.width, least=0, meaning="0 for a hard cut")
        check_number("selection: gamma0", self.gamma0, above=0, below=0.5, meaning="a shear")

    def weight(self, X: Float64) -> Float64:
        """Return w(X), 0 to 1, of the same shape."""
        rise, fall = self._steps(X)
        return rise * (1 - fall)

    def slope(self, X: Float64) -> Float64:
        """Return dw/dX of a smooth cut, of the same shape."""
        rise, fall = self._steps(X)
        d_rise, d_fall = (0.0 if edge is None else _slope(X - edge, self.width) for edge in (self.above, self.below))
        return np.asarray(d_rise * (1 - fall) - rise * d_fall)

    def _steps(self, X: Float64) -> tuple[Float64, Float64]:
        rise = np.ones_like(X) if self.above is None else _step(X - self.above, self.width)
        fall = np.zeros_like(X) if self.below is None else _step(X - self.below, self.width)
        return rise, fall

    def weights(self, table: Float64) -> tuple[Float64, Float64]:
        """Return the weights of galaxies and their shear responses.

        Parameters
        ----------
        table
            Shape (..., column), columns as in `lensdask.shear.shapes.measurement.COLUMNS`. Its weights play no part.

        Returns
        -------
        w, dw_dg
            Shapes (...) and (..., 2). For a hard cut dw_dg is the finite difference of equation 17.
        """
        X, *dX_dg = (table[..., COLUMNS.index(n)] for n in (self.column, f"d{self.column}_dg1", f"d{self.column}_dg2"))
        if self.width > 0:
            dw_dg = [self.slope(X) * d for d in dX_dg]
        else:
            mock = [self.gamma0 * d for d in dX_dg]
            dw_dg = [(self.weight(X + d) - self.weight(X - d)) / (2 * self.gamma0) for d in mock]
        return self.weight(X), np.stack(dw_dg, axis=-1)


_WIDEST = 1.0
"""Half width in magnitudes; at 1.09 a smooth cut, linear in flux, would give weight to objects without flux."""


def magnitude_cut(magnitude: float, width: float = 0.0) -> Selection:
    """Return the cut that keeps galaxies brighter than a magnitude, as FPFS measures it.

    FPFS fluxes are smaller than total ones, by what its Gaussian weight misses of a galaxy.

    Parameters
    ----------
    magnitude
        AB magnitude of the cut.
    width
        Half width in magnitudes, turned into flux at the cut; 0 is a hard cut.

    Raises
    ------
    InputError
        The magnitude is not finite, or the width is negative or so large that the cut would reach down to no flux.
    """
    check_number("magnitude cut", magnitude)
    check_number("magnitude cut: width", width, least=0, below=_WIDEST, meaning="magnitudes")
    flux = flux_from_magnitude(magnitude)
    return Selection(above=flux, width=0.4 * math.log(10) * flux * width)


def _step(x: Float64, width: float) -> Float64:
    """Return a step from 0 to 1 at x = 0: hard, or a quintic over ±width with two continuous derivatives."""
    if width == 0:
        return (x > 0).astype(np.float64)
    t = np.clip(x / (2 * width) + 0.5, 0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _slope(x: Float64, width: float) -> Float64:
    """Return the derivative of a smooth `_step`."""
    t = np.clip(x / (2 * width) + 0.5, 0.0, 1.0)
    return 15 * (t * (1 - t)) ** 2 / width
