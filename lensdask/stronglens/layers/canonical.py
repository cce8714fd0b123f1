"""Canonical coordinates: images resampled so that a transformation becomes a shift (Tai, Bailis & Valiant 2019).

Places in an image are (x, y) from -1 to 1, the edges of the image, with 0 at its geometric centre: the convention of
`torch.nn.functional.grid_sample` with align_corners=False, in which pixel i of n has its centre at (2 i + 1) / n - 1.
A grid has rows along v and columns along u, shape (v, u, 2), and holds the (x, y) where the image is read.

===================  ============================  ==================
transformation       of (x, y) by θ                 coordinate that θ shifts
===================  ============================  ==================
rotation             turn by θ                     v = atan2(y, x)
shear_x              (x + θ y, y)                  v = x / y
hyperbolic_rotation  (x e^θ, y e^-θ)               v = ln √|x / y|
perspective_x        (x, y) / (1 + θ x)            u = 1 / x
perspective_y        (x, y) / (1 + θ y)            u = 1 / y
===================  ============================  ==================
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lensdask.stronglens.layers.checks import check_multiple

__all__ = ["CHARTS", "Chart", "four_quarters", "log_polar", "log_polar_quarter", "pad_angle", "projective", "resampled"]

_HORIZON = 1e-3
"""Depth below which a place counts as lying on the horizon."""


class Chart(NamedTuple):
    """Canonical coordinates of one transformation.

    Parameters
    ----------
    places
        From u and v, shape (v, u) each, to x and y.
    u, v
        Ranges of the coordinates.
    along
        Which of them the transformation shifts, "u" or "v".
    matrix
        From θ, shape (sample,), to the nine elements of the transformation of (x, y, 1), row by row.
    """

    places: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    u: tuple[float, float]
    v: tuple[float, float]
    along: str
    matrix: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]

    def grid(self, size: int) -> Tensor:
        """Return the places of size x size points, shape (v, u, 2)."""
        u, v = (_centres(*ends, size) for ends in (self.u, self.v))
        vs, us = torch.meshgrid(v, u, indexing="ij")
        return torch.stack(self.places(us, vs), 2)

    @property
    def half_range(self) -> float:
        """Half of the range of the coordinate that is shifted."""
        low, high = self.u if self.along == "u" else self.v
        return (high - low) / 2


def _centres(low: float, high: float, count: int) -> Tensor:
    """Return the middles of equal parts of a range: symmetric, and never the ends."""
    return low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count


def _hyperbola(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    # Both pairs of opposite quadrants side by side: where u is negative, x y is negative too.
    along = 2 * (u.abs() - math.sqrt(0.5) / 2)
    return along * torch.exp(v), torch.sign(u) * along * torch.exp(-v)


CHARTS: dict[str, Chart] = {
    "shear_x": Chart(
        lambda u, v: (u * v, u),
        (-1.0, 1.0),
        (-5.0, 5.0),
        "v",
        lambda t, one, zero: (one, t, zero, zero, one, zero, zero, zero, one),
    ),
    "hyperbolic_rotation": Chart(
        _hyperbola,
        (-math.sqrt(0.5), math.sqrt(0.5)),
        (-math.log(6.0), math.log(6.0)),
        "v",
        lambda t, one, zero: (t.exp(), zero, zero, zero, (-t).exp(), zero, zero, zero, one),
    ),
    "perspective_x": Chart(
        lambda u, v: (1 / u, torch.tan(v) / u),
        (-7.0, 7.0),
        (-0.99 * math.pi / 2, 0.99 * math.pi / 2),
        "u",
        lambda t, one, zero: (one, zero, zero, zero, one, zero, t, zero, one),
    ),
    "perspective_y": Chart(
        lambda u, v: (torch.tan(v) / u, 1 / u),
        (-7.0, 7.0),
        (-0.99 * math.pi / 2, 0.99 * math.pi / 2),
        "u",
        lambda t, one, zero: (one, zero, zero, zero, one, zero, zero, t, one),
    ),
}
"""Transformations of the paper's equivariant transformer, by name; ranges of Tai et al., here of both sides of 0."""


def log_polar_quarter(angles: int, radii: int, inner: float, outer: float) -> Tensor:
    """Return the first quarter of the places of log-polar coordinates: v the angle, u the logarithm of the radius.

    Parameters
    ----------
    angles
        Rows of the whole grid, a multiple of 4.
    radii
        Columns.
    inner, outer
        Radii of the edges of the grid, in half sides of the image.

    Returns
    -------
    Tensor
        Shape (angle, radius, 2), a fourth of the angles, float64.
    """
    check_multiple("angles", angles, 4)
    radius = torch.exp(_centres(math.log(inner), math.log(outer), radii))
    angle = _centres(0.0, math.pi / 2, angles // 4)[:, None]
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), 2)


def four_quarters(quarter: Tensor) -> Tensor:
    """Return the whole of a grid of which the first quarter is given, by turns: shape (4 v, u, 2)."""
    x, y = quarter.unbind(2)
    return torch.cat([torch.stack(places, 2) for places in ((x, y), (-y, x), (-x, -y), (y, -x))])


def log_polar(images: Tensor, quarter: Tensor) -> Tensor:
    """Return log-polar maps, which a quarter turn of the image shifts by a quarter of the rows, to the bit.

    All quarters read turned images at the places of the first, with the same rounding.

    Parameters
    ----------
    images
        Shape (sample, map, y, x), square.
    quarter
        From `log_polar_quarter`.

    Returns
    -------
    Tensor
        Shape (sample, map, angle, radius).
    """
    turned = torch.cat([torch.rot90(images, -turns, (-1, -2)) for turns in range(4)])
    return torch.cat(resampled(turned, quarter).chunk(4), 2)


def resampled(images: Tensor, grid: Tensor) -> Tensor:
    """Return images read at the places of a grid, between pixels by bilinear interpolation, and 0 outside of them.

    Parameters
    ----------
    images
        Shape (sample, map, y, x).
    grid
        Places, shape (sample, v, u, 2), or (v, u, 2) for all samples.

    Returns
    -------
    Tensor
        Shape (sample, map, v, u).
    """
    whole = grid if grid.ndim == 4 else grid.expand(len(images), *grid.shape)
    return nn.functional.grid_sample(images, whole.to(images.dtype), mode="bilinear", align_corners=False)


def pad_angle(maps: Tensor, width: int) -> Tensor:
    """Return maps (sample, map, angle, radius) wider on all sides: periodic in angle, edges repeated in radius."""
    around = nn.functional.pad(maps, (0, 0, width, width), mode="circular")
    return nn.functional.pad(around, (width, width, 0, 0), mode="replicate")


def projective(grid: Tensor, matrix: Tensor) -> Tensor:
    """Return the places of a grid after projective transformations.

    Parameters
    ----------
    grid
        Shape (v, u, 2) or (sample, v, u, 2).
    matrix
        Of (x, y, 1), shape (sample, 3, 3).

    Returns
    -------
    Tensor
        Shape (sample, v, u, 2). What lies on or behind the horizon is far outside of the image.
    """
    places = torch.cat([grid, torch.ones_like(grid[..., :1])], -1)
    moved = places @ matrix.transpose(1, 2)[:, None]
    return moved[..., :2] / moved[..., 2:].clamp(min=_HORIZON)
