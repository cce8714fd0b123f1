"""Sheared stamps of catalogue galaxies in batches, on NumPy, CuPy or torch: GalSim's to 1e-5, several times as fast.

The galaxies, their random numbers and their geometry are those of `lensdask.shear.simulation.observation.draw_stamps`;
only the way from the profile to the pixels differs. A stamp is the inverse Fourier transform of profile times transfer
function::

    I(x) = s² / (2 pi)² ∫ F(k) T(k) cos(k.(x - x0)) d²k            T = P(k) sinc(k1 s / 2) sinc(k2 s / 2)

with the pixel scale s, the PSF's transform P and the (sheared) offset x0. Both F and T are real, since all parts of a
galaxy, its PSF and its pixels are unchanged by half a turn about x0.

Profiles. A round profile f(h|k|) of scale length h stretched by a matrix M is f(|h M^T k|). Position angle, axis ratio,
orientation and shear all end up in the quadratic form k^T Q k with ::

    Q = S R diag(a², b²) R^T S^T        S = [[1 + g1, g2], [g2, 1 - g1]] / sqrt(1 - g²)

for semi-axes a and b, rotation R and GalSim's shear S, which leaves areas as they are.

Quadrature. On an even grid of waves every stamp would be repeated with the period of the grid, and galaxies with wide
wings would need a very fine one. The nodes are therefore drawn together towards k = 0, where alone transforms of wide
wings are sharp, by a smooth map, under which the trapezoidal rule keeps its exponential convergence. One grid of some
56 nodes on each half axis serves galaxies of all sizes to 3e-6 of their peak, although far from k = 0 its spacing
resolves no more than the stamp itself. Nodes beyond the Nyquist wave number of the pixels belong to it: the sums are
evaluated at pixel centres, so aliasing is that of real pixels.

Sums. With k1, k2 >= 0, F± = (F T)(k1, ±k2) and x measured from x0::

    I = sum over k1, k2 of (F+ + F-) cos(k1 x1) cos(k2 x2) - (F+ - F-) sin(k1 x1) sin(k2 x2)

which is two small real matrix products along each axis.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import array_api_compat
import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, like, namespace, to_torch
from lensdask.compute import choose_device
from lensdask.conventions import flux_from_magnitude
from lensdask.errors import InputError
from lensdask.fourier import coordinates
from lensdask.shear.simulation.observation import Galaxies, Observation, four_shears, poses_of, psf_index, psf_profiles
from lensdask.shear.simulation.profiles import (
    BULGE_LENGTH,
    DISC_LENGTH,
    de_vaucouleurs_transform,
    exponential_transform,
    gaussian_transform,
    moffat_reach,
    moffat_transform,
)

__all__ = ["render_stamps", "shear_matrices"]

Float64 = npt.NDArray[np.float64]

PERIOD = 1.05
"""Period of the waves far from k = 0, over the side of a stamp; below 1 a stamp would overlap itself."""
DENSITY = 46.0
"""How much closer the nodes are at k = 0."""
TURNOVER = 14.0
"""Number of nodes over which they spread out; more would resolve thin discs that are larger than the stamp."""
TAIL = 1e-4
"""Share of the peak of the PSF in waves beyond the last node, which pixels and galaxies make far smaller."""
NUCLEUS = 1e-4
"""Standard deviation of the Gaussian that stands for an active nucleus, arcsec."""

PROFILES = exponential_transform, de_vaucouleurs_transform, gaussian_transform
"""Transforms of the disc, the bulge and the nucleus, which have these places in a `_Scene`."""

ELEMENTS = {"cpu": 2**17, "cuda": 2**21}
"""Elements of a batch of spectra: on a CPU what fits in the cache of a core; a guess for GPUs, not yet measured."""


class _Basis(NamedTuple):
    """What all stamps of an observation share."""

    nodes: Array
    """Wave numbers k >= 0 in rad/arcsec, shape (node,)."""
    waves: Array
    """cos(k x) and sin(k x) at the pixel centres x, shape (2, node, n)."""
    transfer: Array
    """T times the weights of the quadrature at (k1, ±k2), shape (psf, 2, node of k2, node of k1)."""


class _Scene(NamedTuple):
    """What is to be drawn: one row per stamp, in double precision on the host."""

    flux: Float64
    """Flux of disc, bulge and nucleus, shape (stamp, 3)."""
    root: Float64
    """Triangular roots (l11, l21, l22) of their Q, in scale lengths, arcsec, shape (stamp, 3, 3)."""
    offset: Float64
    """x0 in arcsec, shape (stamp, 2)."""
    psf: npt.NDArray[np.int64]
    """Number of the PSF, shape (stamp,)."""

    def pick(self, stamps: npt.NDArray[np.intp]) -> "_Scene":
        """Return some of the stamps."""
        return _Scene(self.flux[stamps], self.root[stamps], self.offset[stamps], self.psf[stamps])


def _nodes(side: float, k_max: float) -> tuple[Float64, Float64]:
    """Return wave numbers from 0 to at least k_max for stamps of a side in arcsec, and their weights dk / 2 pi."""
    spacing, squeeze = 2 * np.pi / (PERIOD * side), 1 - 1 / DENSITY
    # Whole vectors of a CPU: the nodes that fill the last one are free.
    count = 8 * math.ceil((k_max / spacing + squeeze * TURNOVER + 1) / 8)
    step = np.arange(count)
    nodes = spacing * (step - squeeze * TURNOVER * np.tanh(step / TURNOVER))
    weights = spacing / (2 * np.pi) * (1 - squeeze / np.cosh(step / TURNOVER) ** 2)
    weights[0] /= 2
    return nodes, weights


@lru_cache(maxsize=4)
def _basis(observation: Observation, seed: int) -> _Basis:
    """Prepare what depends on the observation alone."""
    beta = observation.psf_beta
    profiles = [(psf.original.scale_radius * psf.jac) for psf in psf_profiles(observation, seed)]
    narrowest = min(np.linalg.svd(lengths, compute_uv=False)[-1] for lengths in profiles)
    side = observation.size * observation.pixel_scale
    k, weight = _nodes(side, moffat_reach(beta, TAIL) / narrowest)
    weight = weight * np.sinc(k * observation.pixel_scale / (2 * np.pi)) * observation.pixel_scale
    k1, k2 = k, np.stack([k, -k])[:, :, None]
    transfers = []
    for (m11, m12), (m21, m22) in profiles:
        z = np.hypot(m11 * k1 + m21 * k2, m12 * k1 + m22 * k2)
        transfers.append(moffat_transform(z, beta) * weight * weight[:, None] * 2)
    phase = np.multiply.outer(k, coordinates(observation.size, observation.pixel_scale))
    return _Basis(k, np.stack([np.cos(phase), np.sin(phase)]), np.stack(transfers))


def shear_matrices(shears: Float64) -> Float64:
    """Return GalSim's S of reduced shears, shape (shear, 2, 2)."""
    g1, g2 = shears.T
    matrices = np.array([[1 + g1, g2], [g2, 1 - g1]]) / np.sqrt(1 - g1**2 - g2**2)
    return np.moveaxis(matrices, -1, 0)


def _root(a: Float64, b: Float64, angle: Float64, S: Float64) -> Float64:
    """Return L with L L^T = Q for semi-axes at an angle in radians, shape (galaxy, shear, 3): l11, l21, l22.

    ``|L^T k|² = (l11 k1 + l21 k2)² + (l22 k2)²`` is never negative, whatever the rounding.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    stretched = np.moveaxis(np.array([[a * cos, -b * sin], [a * sin, b * cos]]), -1, 0)
    m1, m2 = np.moveaxis(S @ stretched[:, None], -2, 0)
    l11 = np.hypot(m1[..., 0], m1[..., 1])
    # Shear leaves the area as it is: l11 l22 = a b.
    return np.stack([l11, np.sum(m1 * m2, axis=-1) / l11, (a * b)[:, None] / l11], axis=-1)


def _roots(galaxies: Galaxies, turn: Float64, S: Float64) -> Float64:
    """Return the roots of disc, bulge and nucleus, shape (galaxy, shear, 3 parts, 3)."""
    roots = []
    for part, axis, length in (("disk", "d", DISC_LENGTH), ("bulge", "b", BULGE_LENGTH)):
        # Parts without light may have no axes either.
        a, b = (np.where(galaxies[f"fluxnorm_{part}"] > 0, galaxies[f"{name}_{axis}"], 1.0) for name in "ab")
        roots.append(_root(length * a, length * b, np.deg2rad(galaxies[f"pa_{part}"]) + turn, S))
    point = np.full(len(turn), NUCLEUS)
    return np.stack([*roots, _root(point, point, turn, S)], axis=2)


def _scene(
    galaxies: Galaxies,
    ids: npt.NDArray[np.int64],
    observation: Observation,
    seed: int,
    shears: Float64,
    offset: Float64 | None = None,
) -> _Scene:
    """Lay out the stamps, galaxy by galaxy and shear by shear."""
    turn, dx, dy = poses_of(ids, seed, observation)
    S, count = shear_matrices(shears), len(shears)
    if offset is None:
        moved = np.broadcast_to(np.eye(2), S.shape) if observation.offset == "after_shear" else S
        offset = (moved @ np.stack([dx, dy], axis=-1).reshape(-1, 1, 2, 1))[..., 0]
    light = np.stack([galaxies[f"fluxnorm_{part}"] for part in ("disk", "bulge", "agn")], axis=-1)
    total = np.array([flux_from_magnitude(magnitude) for magnitude in galaxies["i_ab"]])
    return _Scene(
        flux=np.repeat(light * (total / light.sum(axis=-1))[:, None], count, axis=0),
        root=_roots(galaxies, turn, S).reshape(-1, 3, 3),
        offset=offset.reshape(-1, 2),
        psf=np.repeat(psf_index(ids, observation), count),
    )


def _spectrum(scene: _Scene, present: tuple[int, ...], basis: _Basis) -> Array:
    """Return F T at (k1, ±k2), shape (stamp, 2, node, node), of galaxies that have the same parts."""
    xp = namespace(basis.nodes)
    k1, k2 = basis.nodes, xp.stack([basis.nodes, -basis.nodes])[:, :, None]
    total: Any = 0.0
    for part in present:
        l11, l21, l22 = (like(scene.root[:, part, i, None, None, None], k1) for i in range(3))
        u = l11 * k1 + l21 * k2
        u *= u
        u += (l22 * k2) ** 2
        total = total + like(scene.flux[:, part, None, None, None], k1) * PROFILES[part](u)
    transfer = basis.transfer
    if transfer.shape[0] > 1:
        transfer = xp.take(transfer, index_like(scene.psf, k1), axis=0)
    return total * transfer


def _synthesis(spectrum: Array, offset: Float64, basis: _Basis) -> Array:
    """Return the pixels of spectra, shape (stamp, n, n)."""
    xp = namespace(spectrum)
    phase = like(offset.T[:, :, None, None], spectrum) * basis.nodes[:, None]
    cos, sin = xp.cos(phase), xp.sin(phase)
    cosine, sine = cos * basis.waves[0, ...], cos * basis.waves[1, ...]
    cosine += sin * basis.waves[1, ...]
    sine -= sin * basis.waves[0, ...]
    plus, minus = spectrum[:, 0, ...], spectrum[:, 1, ...]
    even = (plus + minus) @ cosine[0, ...]
    odd = (plus - minus) @ sine[0, ...]
    return xp.matrix_transpose(cosine[1, ...]) @ even - xp.matrix_transpose(sine[1, ...]) @ odd


def _batches(has: npt.NDArray[np.bool_], batch: int) -> Iterator[tuple[tuple[int, ...], npt.NDArray[np.intp]]]:
    """Yield parts of galaxies, and up to a batch of stamps of the galaxies that have just these."""
    for kind in np.unique(has, axis=0):
        (members,) = np.nonzero((has == kind).all(axis=1))
        for start in range(0, len(members), batch):
            yield tuple(np.flatnonzero(kind).tolist()), members[start : start + batch]


def _workplace(device: str | None) -> tuple[Array, int]:
    """Return an empty array of the library and device to work with, and the elements of a batch there."""
    nothing = np.empty(0, np.float32)
    if device is None:
        return nothing, ELEMENTS["cpu"]
    place = choose_device(device)
    return to_torch(nothing, place), ELEMENTS[place]


def render_stamps(
    galaxies: Galaxies,
    ids: npt.NDArray[np.int64],
    observation: Observation,
    seed: int,
    shears: Float64 | None = None,
    *,
    offset: Float64 | None = None,
    device: str | None = None,
) -> Array:
    """Return noiseless stamps in batches of one fixed size.

    They are right to 1e-5 of their peak; those of `draw_stamps`, with GalSim's default settings, to 2e-4. A stamp has
    the same bits whatever stands beside it.

    Parameters
    ----------
    galaxies
        CatSim rows, one per id; the two members of a pair have the same row.
    ids
        Galaxy ids; 2p and 2p + 1 are an orthogonal pair.
    observation
        PSF, pixels, shear and offset.
    seed
        Seed of orientations, offsets and PSFs.
    shears
        Applied shears, shape (shear, 2); the four shears of the observation when not given.
    offset
        Places of the galaxies under each shear, (x, y) in arcsec from the middle of the stamp, shape (galaxy, shear,
        2); those of the observation when not given.
    device
        "cpu" or "cuda" for a torch tensor there; a NumPy array when not given, which is the faster one on a CPU.

    Returns
    -------
    Array
        Shape (galaxy, shear, size, size), single precision, flux at zero point 30 per pixel.
    """
    if len(galaxies) != len(ids):
        raise InputError(f"galaxies: {len(galaxies)} rows for {len(ids)} ids; expected one row per id")
    shears = four_shears(observation.shear) if shears is None else shears
    scene = _scene(galaxies, ids, observation, seed, shears, offset)
    nothing, elements = _workplace(device)
    basis = _Basis(*(like(array, nothing) for array in _basis(observation, seed)))
    size, nodes = observation.size, len(basis.nodes)
    stamps = namespace(nothing).empty(
        (len(scene.psf), size, size), dtype=nothing.dtype, device=array_api_compat.device(nothing)
    )
    batch = max(1, elements // (2 * nodes**2))
    for present, members in _batches(scene.flux > 0, batch):
        # Full batches only: libraries choose their kernels, and so their rounding, by the number of rows.
        rows = scene.pick(np.resize(members, batch))
        drawn = _synthesis(_spectrum(rows, present, basis), rows.offset, basis)
        stamps[index_like(members, stamps)] = drawn[: len(members)]
    return stamps.reshape(len(ids), len(shears), size, size)
