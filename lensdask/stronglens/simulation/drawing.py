"""The lenses of one class, and the numbers that a store keeps of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.stronglens.simulation.lenses import (
    Lenses,
    area_of,
    draw_lenses,
    turned,
    with_subhaloes,
    with_vortex,
)
from lensdask.stronglens.simulation.masses import vortex_half_length
from lensdask.stronglens.simulation.presets import Preset, Signal, Survey

__all__ = ["PARAMETERS", "Drawn", "draw_class"]

Float64 = npt.NDArray[np.float64]

_MACRO = ("theta_e", "e1", "e2", "gamma1", "gamma2")
_SOURCE = tuple(f"source_{name}" for name in ("x", "y", "flux", "radius", "index", "e1", "e2"))
_VORTEX = ("vortex_half_length", "vortex_angle")

PARAMETERS = ("log10_mass", *_MACRO, *_SOURCE, "subhaloes", "subhalo_mass", *_VORTEX)
"""What is kept of a lens beside its image and its class; variables of the schema ``lenses``."""


@dataclass(frozen=True)
class Drawn:
    """Lenses of one class."""

    lenses: Lenses
    """What their images are made of."""
    subhaloes: Float64
    """Number of subhaloes of each."""
    subhalo_mass: Float64
    """Mass of all of them together, solar masses."""
    log10_mass: Float64
    """Decimal logarithm of the axion mass in eV; NaN without a vortex."""
    vortex_angle: Float64
    """From x to the vortex, rad; NaN without one."""

    def parameters(self) -> dict[str, Float64]:
        """Return the numbers that a store keeps, by the names of `PARAMETERS`."""
        macro = dict(zip(_MACRO, self.lenses.macro, strict=True))
        source = dict(zip(_SOURCE, self.lenses.source, strict=True))
        vortex = dict(zip(_VORTEX, (vortex_half_length(self.log10_mass), self.vortex_angle), strict=True))
        own = {"log10_mass": self.log10_mass, "subhaloes": self.subhaloes, "subhalo_mass": self.subhalo_mass}
        return own | macro | source | vortex


def draw_class(
    ids: npt.NDArray[np.int64], name: str, preset: Preset, signal: Signal, survey: Survey, angle: float, seed: int
) -> Drawn:
    """Return lenses of one class.

    Parameters
    ----------
    ids
        Their ids.
    name
        The class, of `CLASSES`.
    preset, signal, survey
        What they are drawn from.
    angle
        By which they are turned counter-clockwise, degrees.
    seed
        Of all random numbers.
    """
    lenses, zero = draw_lenses(ids, preset, survey, seed), np.zeros(len(ids))
    if name == "cdm":
        lenses = with_subhaloes(lenses, ids, signal, preset, seed)
        area = next(clumps for clumps in (lenses.points, lenses.haloes) if clumps is not None).mass
        # One after another: a sum in pairs depends on how many zeros follow.
        mass = np.cumsum(area, axis=1)[:, -1] / area_of(1.0, preset)
        return Drawn(turned(lenses, angle), (area > 0).sum(axis=1), mass, zero * np.nan, zero * np.nan)
    if name == "vortex":
        lenses, log10_mass, direction = with_vortex(lenses, ids, signal, preset, seed)
        return Drawn(turned(lenses, angle), zero, zero, log10_mass, direction + np.radians(angle))
    return Drawn(turned(lenses, angle), zero, zero, zero * np.nan, zero * np.nan)
