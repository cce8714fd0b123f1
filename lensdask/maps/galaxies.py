"""The galaxies of a shear catalogue: their columns, what is refused of them, and what each of them is worth."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.data.catalogues.columns import UsableRows, as_numbers
from lensdask.errors import InputError, check_number
from lensdask.maps.tangent import north_angle, tangent_plane

__all__ = ["Facts", "Galaxies", "Rows", "checked_rows", "doubt_of_density", "facts_of", "on_plane"]

Float64 = npt.NDArray[np.float64]

Rows = Mapping[str, Float64]
"""Columns of a catalogue, or of a block of it: x, y, g1, g2, and maybe weight and measurement_error."""


class Galaxies(NamedTuple):
    """Columns of a catalogue, each of shape (galaxy,)."""

    x: Float64
    y: Float64
    g1: Float64
    g2: Float64
    weight: Float64
    error: Float64
    """Standard deviation of the measurement of each component."""
    variance: Float64
    """Of each component, with the measurement."""

    def among(self, chosen: npt.NDArray[Any]) -> "Galaxies":
        """Return the galaxies of an index or a mask."""
        return Galaxies(*(column[chosen] for column in self))


def checked_rows(
    x: Any,
    y: Any,
    g1: Any,
    g2: Any,
    weight: Any,
    error: Any,
    *,
    sky: bool = False,
    positions: tuple[str, str] = ("x", "y"),
    drop_bad: bool = False,
    warn: Callable[[str], None],
) -> Rows:
    """Return the columns of a catalogue without the galaxies that have no value or no weight.

    Parameters
    ----------
    x, y, g1, g2, weight, error, sky, drop_bad, warn
        As for `lensdask.massmap.bin_catalogue`.
    positions
        What errors call x and y.

    Raises
    ------
    InputError
        Columns of different lengths, units that cannot be converted, values that are not finite.
    """
    unit = "deg" if sky else "arcmin"
    given = {positions[0]: (x, unit), positions[1]: (y, unit), "g1": (g1, ""), "g2": (g2, "")}
    given |= {name: (column, "") for name, column in {"measurement_error": error}.items() if column is not None}
    columns = {name: as_numbers(name, *column) for name, column in given.items()}
    if weight is not None:
        # Only their ratios count.
        columns["weight"] = as_numbers("weight", getattr(weight, "value", weight))
    for name, column in columns.items():
        _check_shape(name, column.shape, columns[positions[0]].size)
    usable = UsableRows(drop_bad=drop_bad)
    rows = usable.among(columns)
    if line := usable.line():
        warn(line)
    return {dict(zip(positions, ("x", "y"), strict=True)).get(name, name): column for name, column in rows.items()}


def _check_shape(name: str, shape: tuple[int, ...], count: int) -> None:
    if shape != (count,) or not count:
        raise InputError(f"{name}: shape {shape}; expected one value for each galaxy, {(count,)}, at least one")


class Facts(NamedTuple):
    """What is known of a catalogue once all of its galaxies were seen."""

    number: int
    """Of galaxies."""
    sigma_e: float
    """Dispersion of a component of the ellipticity; with the measurement where it is that of the catalogue."""
    variance: float
    """Its square."""
    is_measured: bool
    """Whether the dispersion is that of the catalogue."""
    middle: tuple[float, float]
    """Of the smallest box about the galaxies; on the sky RA ends at 360."""

    def galaxies(self, rows: Rows) -> Galaxies:
        """Return the galaxies of a block."""
        weight, error = rows.get("weight", np.ones(len(rows["x"]))), rows.get("measurement_error", 0 * rows["x"])
        variance = np.full(len(error), self.variance) if self.is_measured else self.variance + error**2
        return Galaxies(rows["x"], rows["y"], rows["g1"], rows["g2"], weight, error, variance)


def facts_of(blocks: Iterable[Rows], sigma_e: float | None, *, sky: bool = False) -> Facts:
    """Look at all galaxies of a catalogue, whose blocks may be of any sizes: the facts are the same to the bit.

    Parameters
    ----------
    blocks
        From `checked_rows`, or a `lensdask.data.tables.ShearCatalogue`.
    sigma_e, sky
        As for `lensdask.massmap.bin_catalogue`.

    Raises
    ------
    InputError
        |g| >= 1 for many, negative weights or errors, no weight above 0, a dispersion that is not positive.
    """
    if sigma_e is not None:
        check_number("sigma_e", sigma_e, least=1e-6, most=10.0, meaning="the dispersion of each component")
    seen = _Seen(sky)
    for rows in blocks:
        if len(rows["x"]):
            seen.add(rows)
    seen.check()
    if sigma_e is None and seen.square == 0:
        raise InputError("sigma_e: not given, and the shears are all 0; expected the dispersion of each component")
    variance = seen.square / (2 * seen.squared_weight) if sigma_e is None else float(sigma_e) ** 2
    intrinsic = float(np.sqrt(variance)) if sigma_e is None else float(sigma_e)
    return Facts(seen.count, intrinsic, variance, sigma_e is None, seen.middle)


_STRAY, _STRAYS = 1.5, 0.02
"""Highest |g| of an estimate, and the part of a catalogue whose estimates may be 1 or more: noise over a response."""


class _Seen:
    """What is added up, and the extremes, of the galaxies that were seen so far."""

    def __init__(self, sky: bool) -> None:
        self._sky = sky
        self.count, self._strays, self._highest = 0, 0, 0.0
        self.square, self.squared_weight = 0.0, 0.0
        self._lowest = {"weight": np.inf, "measurement_error": np.inf}
        self._first = 0.0
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, rows: Rows) -> None:
        for name in self._lowest.keys() & rows.keys():
            self._lowest[name] = min(self._lowest[name], float(rows[name].min()))
        square = rows["g1"] ** 2 + rows["g2"] ** 2
        modulus = np.hypot(rows["g1"], rows["g2"])
        self._strays += int(np.count_nonzero(modulus >= 1))
        self._highest = max(self._highest, float(modulus.max()))
        squared_weight = rows.get("weight", np.ones(len(square))) ** 2
        self.square = _added(self.square, squared_weight * square)
        self.squared_weight = _added(self.squared_weight, squared_weight)
        if not self.count and self._sky:
            self._first = float(rows["x"][0])
        self.count += len(square)
        x = (rows["x"] - self._first + 180) % 360 - 180 if self._sky else rows["x"]
        for axis, column in enumerate((x, rows["y"])):
            self._low[axis] = min(self._low[axis], column.min())
            self._high[axis] = max(self._high[axis], column.max())

    @property
    def middle(self) -> tuple[float, float]:
        x, y = (self._low + self._high) / 2
        return float((self._first + x) % 360 if self._sky else x), float(y)

    def check(self) -> None:
        if not self.count:
            raise InputError("weight: 0 for every galaxy; expected some above 0")
        for name, lowest in self._lowest.items():
            if lowest < 0:
                raise InputError(f"{name}: {lowest:.4g} for a galaxy; expected 0 or more")
        if not self.squared_weight:
            raise InputError("weight: so small that its square is 0 for every galaxy; expected numbers of order 1")
        if self._strays > _STRAYS * self.count or self._highest >= _STRAY:
            raise InputError(
                f"g1, g2: |g| is 1 or more for {self._strays} of {self.count} galaxies, at most {self._highest:.3g}; "
                f"expected reduced shears, with noisy estimates below {_STRAY} for {_STRAYS:.0%} of them at most"
            )


def _added(total: float, values: Float64) -> float:
    """Return a sum to which values are added one after the other, so that it does not depend on where blocks end."""
    return float(np.cumsum(np.concatenate([[total], values]))[-1])


def on_plane(galaxies: Galaxies, centre: tuple[float, float]) -> Galaxies:
    """Return galaxies of the sky in the tangent plane of a field, arcmin, their shear against its axes.

    Raises
    ------
    InputError
        See `lensdask.massmap.tangent_plane`.
    """
    x, y = tangent_plane(galaxies.x, galaxies.y, centre)
    turned = (galaxies.g1 + 1j * galaxies.g2) * np.exp(2j * north_angle(x, y, centre[1]))
    return galaxies._replace(x=x, y=y, g1=turned.real, g2=turned.imag)


_HIGHEST_DENSITY = 500.0
"""Galaxies per arcmin² that no catalogue has: the deepest images from space have some hundred."""

_FEW = 100
"""Galaxies below which chance makes any density."""


def doubt_of_density(count: float, density: float) -> str:
    """Return a line where galaxies lie so close together that their positions must be in another unit.

    Parameters
    ----------
    count
        Galaxies on the maps.
    density
        Per arcmin² of the footprint.
    """
    if count < _FEW or density <= _HIGHEST_DENSITY:
        return ""
    return f"{density:.3g} galaxies per arcmin²; expected {_HIGHEST_DENSITY:g} at most: check the unit of positions"
