"""Sheared LSST-like postage stamps of catalogue galaxies, drawn with GalSim.

`lensdask.shear.simulation.render` draws the same.

Each galaxy is an exponential disc plus a de Vaucouleurs bulge. It is turned by a random angle, moved off the origin
by a random fraction of a pixel, sheared, convolved with the PSF and drawn. Galaxies 2p and 2p + 1 form an orthogonal
pair: the same galaxy, the second one turned by 90 degrees with its offset, which cancels the shape noise
(Massey et al. 2007). Every galaxy is drawn under four shears, (±g, 0) and (0, ±g), that share one noise realisation
(Pujol et al. 2019), while the two members of a pair have independent noise, or exchanged noise (see
`lensdask.shear.noise`).

With several PSFs, pairs take turns in them, and the two members of a pair have the same.

The offset comes before the shear, because lensing moves light that is off the origin too; drawn the other way round,
FPFS at the fixed centre is biased by m = -5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, NamedTuple, get_args

import galsim
import numpy as np
import numpy.typing as npt

from lensdask.conventions import LSST_Y10_NOISE, flux_from_magnitude
from lensdask.errors import InputError, check_choice, check_number
from lensdask.random import Stream, generator
from lensdask.shear.noise import Noise, NoiseOfPairs, gaussian_correlation
from lensdask.shear.pixels import checked_pixel_scale

__all__ = [
    "Observation",
    "Poses",
    "distortion_labels",
    "draw_profiles",
    "draw_psf",
    "draw_psfs",
    "draw_stamps",
    "four_shears",
    "noise_of",
    "poses_of",
    "psf_index",
    "psf_profiles",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Galaxies = npt.NDArray[Any]
"""Structured array with the CatSim columns."""


Offset = Literal["before_shear", "after_shear", "none"]
Renderer = Literal["batched", "galsim"]


_LEAST_ROUND = 0.9
"""Largest ellipticity of a PSF: its FWHM across is half that of a round one of its area, here two pixels."""

_NOISIEST = 1e6
"""Largest noise of a pixel, that of a sky of magnitude 15 in it, which no survey has."""


@dataclass(frozen=True)
class Observation:
    """How galaxies are observed; the defaults are the LSST year-10 i band of the paper."""

    size: int = 64
    """Pixels on a side of a stamp."""
    pixel_scale: float = 0.2
    """Arcsec per pixel."""
    psf_fwhm: float = 0.8
    """FWHM of the Moffat PSF, arcsec."""
    psf_beta: float = 2.5
    """Slope of the Moffat PSF."""
    psf_e1: float = 0.0
    """First component of the PSF's ellipticity (distortion)."""
    psf_e2: float = 0.0
    """Second component."""
    psfs: int = 1
    """Number of PSFs; pairs of galaxies take turns in them."""
    psf_scatter: float = 0.0
    """Standard deviation, from PSF to PSF, of either component of the ellipticity and of the FWHM over its mean."""
    shear: float = 0.02
    """Amplitude g of the four reduced shears."""
    offset: Offset = "before_shear"
    """Where the random sub-pixel offset comes in; ``after_shear`` is a deliberate mistake, to show its bias."""
    noise_sigma: float = LSST_Y10_NOISE
    """Standard deviation of the noise per pixel, flux at zero point 30; 0 for noiseless stamps."""
    noise_fwhm: float = 0.0
    """FWHM of the Gaussian kernel that correlates the noise, arcsec; 0 for white noise."""
    noise_e1: float = 0.0
    """First component of that kernel's ellipticity (distortion)."""
    noise_e2: float = 0.0
    """Second component."""
    noise: NoiseOfPairs = "independent"
    """Noise of the two members of a pair; ``exchanged`` makes the error of m and c far smaller, and biases nothing."""
    renderer: Renderer = "batched"
    """Who draws the galaxies: `lensdask.shear.simulation.render`, many at once where they are measured, or GalSim,
    one by one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be observed."""
        checked_pixel_scale(self.pixel_scale)
        for name in ("psf_fwhm", "psf_beta"):
            check_number(name, getattr(self, name), above=0)
        check_number("noise_sigma", self.noise_sigma, least=0, most=_NOISIEST, meaning="0 for noiseless stamps")
        check_number("noise_fwhm", self.noise_fwhm, least=0, meaning="0 for white noise")
        for name, options in (("offset", Offset), ("noise", NoiseOfPairs), ("renderer", Renderer)):
            check_choice(name, getattr(self, name), get_args(options))
        ellipticity = float(np.hypot(self.psf_e1, self.psf_e2))
        check_number("PSF ellipticity", ellipticity, most=_LEAST_ROUND, meaning="what pixels sample")
        check_number("noise ellipticity", float(np.hypot(self.noise_e1, self.noise_e2)), below=1)
        check_number("psfs", self.psfs, least=1, whole=True)
        if not (isinstance(self.size, Integral) and self.size >= 2 and self.size % 2 == 0):
            raise InputError(f"size: {self.size}; expected an even number of pixels")
        side = float(self.size * self.pixel_scale)
        check_number("noise_fwhm", self.noise_fwhm, most=side, meaning="arcsec, the side of a stamp")
        if not 0 < abs(self.shear) < 0.5:
            raise InputError(f"shear: {self.shear}; expected an amplitude between 0 and 0.5")
        # Uniform deviates end at sqrt(3) standard deviations, and the ellipticity has two components.
        largest = (1 - np.hypot(self.psf_e1, self.psf_e2)) / 6**0.5 if self.psfs > 1 else 0.0
        number = "several PSFs" if self.psfs > 1 else "one PSF"
        check_number("psf_scatter", self.psf_scatter, least=0, most=largest, meaning=f"with {number}")


def noise_of(observation: Observation) -> Noise:
    """Return the law of the noise of an observation."""
    correlation = None
    if observation.noise_fwhm > 0:
        shape = observation.noise_fwhm, observation.noise_e1, observation.noise_e2
        correlation = gaussian_correlation(observation.size, observation.pixel_scale, *shape)
    return Noise(observation.noise_sigma, correlation, observation.noise)


def four_shears(g: float) -> Float64:
    """Return the four shears (+g, 0), (-g, 0), (0, +g), (0, -g), shape (4, 2)."""
    return np.array([[g, 0.0], [-g, 0.0], [0.0, g], [0.0, -g]])


def _psf(observation: Observation) -> galsim.GSObject:
    moffat = galsim.Moffat(beta=observation.psf_beta, fwhm=observation.psf_fwhm)
    return moffat.shear(e1=observation.psf_e1, e2=observation.psf_e2)


def psf_profiles(observation: Observation, seed: int) -> list[galsim.GSObject]:
    """Return the profiles of all PSFs of an observation."""
    limit = 3**0.5 * observation.psf_scatter
    profiles = []
    for number in range(observation.psfs):
        de1, de2, dilation = generator(seed, Stream.PSF, number).uniform(-limit, limit, 3)
        moffat = galsim.Moffat(beta=observation.psf_beta, fwhm=observation.psf_fwhm * (1 + dilation))
        profiles.append(moffat.shear(e1=observation.psf_e1 + de1, e2=observation.psf_e2 + de2))
    return profiles


def psf_index(ids: npt.NDArray[np.int64], observation: Observation) -> npt.NDArray[np.int64]:
    """Return which PSF each galaxy has; the two members of a pair have the same."""
    return ids // 2 % observation.psfs


def draw_psf(observation: Observation) -> Float64:
    """Return the image of the PSF, or of the mean one, pixel included, centred on the origin, shape (size, size)."""
    return _draw(_psf(observation), observation).astype(np.float64)


def draw_psfs(observation: Observation, seed: int) -> Float64:
    """Return the images of all PSFs, shape (psf, size, size)."""
    return np.stack([_draw(psf, observation) for psf in psf_profiles(observation, seed)])


def _draw(profile: galsim.GSObject, observation: Observation) -> Float64:
    size = observation.size
    image = profile.drawImage(nx=size, ny=size, scale=observation.pixel_scale, dtype=np.float64)
    return np.asarray(image.array)


def _component(profile: galsim.GSObject, minor_to_major: float, angle: float) -> galsim.GSObject:
    return profile.shear(q=minor_to_major, beta=angle * galsim.degrees)


def _galaxy(row: Any) -> galsim.GSObject:
    """Return the unsheared profile of one catalogue row."""
    total = row["fluxnorm_disk"] + row["fluxnorm_bulge"] + row["fluxnorm_agn"]
    unit = flux_from_magnitude(row["i_ab"]) / total
    parts = []
    if row["fluxnorm_disk"] > 0:
        disc = galsim.Exponential(half_light_radius=np.sqrt(row["a_d"] * row["b_d"]), flux=unit * row["fluxnorm_disk"])
        parts.append(_component(disc, row["b_d"] / row["a_d"], row["pa_disk"]))
    if row["fluxnorm_bulge"] > 0:
        # No truncation: an absolute truncation radius makes GalSim tabulate every profile anew (45 times slower).
        bulge = galsim.DeVaucouleurs(
            half_light_radius=np.sqrt(row["a_b"] * row["b_b"]), flux=unit * row["fluxnorm_bulge"]
        )
        parts.append(_component(bulge, row["b_b"] / row["a_b"], row["pa_bulge"]))
    if row["fluxnorm_agn"] > 0:
        parts.append(galsim.Gaussian(sigma=1e-4, flux=unit * row["fluxnorm_agn"]))
    return galsim.Sum(parts)


class Poses(NamedTuple):
    """Random orientations and offsets of galaxies, shape (galaxy,) each, or of one galaxy."""

    angle: Float64
    """Radians, anticlockwise."""
    dx: Float64
    """Arcsec."""
    dy: Float64
    """Arcsec."""


def poses_of(ids: npt.NDArray[np.int64], seed: int, observation: Observation) -> Poses:
    """Return the random orientations and offsets of galaxies; the second of a pair has those of the first, turned."""
    pairs, member = np.unique(ids // 2, return_inverse=True)
    low, high = [0, -0.5, -0.5], [2 * np.pi, 0.5, 0.5]
    drawn = [generator(seed, Stream.ORIENTATION, pair).uniform(low, high) for pair in pairs.tolist()]
    angle, x, y = np.array(drawn).reshape(-1, 3)[member].T
    scale = 0.0 if observation.offset == "none" else observation.pixel_scale
    second = ids % 2 == 1
    return Poses(
        np.where(second, angle + np.pi / 2, angle),
        np.where(second, -y, x) * scale,
        np.where(second, x, y) * scale,
    )


def _posed(profile: galsim.GSObject, pose: Poses, shear: npt.ArrayLike, observation: Observation) -> galsim.GSObject:
    g1, g2 = np.asarray(shear)
    turned = profile.rotate(pose.angle * galsim.radians)
    if observation.offset == "after_shear":
        return turned.shear(g1=g1, g2=g2).shift(pose.dx, pose.dy)
    return turned.shift(pose.dx, pose.dy).shear(g1=g1, g2=g2)


def draw_stamps(
    galaxies: Galaxies,
    ids: npt.NDArray[np.int64],
    observation: Observation,
    seed: int,
    shears: Float64 | None = None,
) -> Float32:
    """Return noiseless stamps.

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

    Returns
    -------
    Float32
        Shape (galaxy, shear, size, size), flux at zero point 30 per pixel.
    """
    shears = four_shears(observation.shear) if shears is None else shears
    psfs = psf_profiles(observation, seed)
    stamps = np.empty((len(ids), len(shears), observation.size, observation.size), np.float32)
    poses = map(Poses, *poses_of(ids, seed, observation))
    for stamp, row, pose, number in zip(stamps, galaxies, poses, psf_index(ids, observation), strict=True):
        profile = _galaxy(row)
        for image, shear in zip(stamp, shears, strict=True):
            image[...] = _draw(galsim.Convolve(_posed(profile, pose, shear, observation), psfs[number]), observation)
    return stamps


def draw_profiles(profiles: Sequence[galsim.GSObject], observation: Observation) -> Float32:
    """Return noiseless stamps of any profiles, convolved with the PSF.

    Parameters
    ----------
    profiles
        Profiles placed about the origin, flux at zero point 30. The accuracy of a profile's GSParams holds for its
        convolution too.
    observation
        PSF and pixels.

    Returns
    -------
    Float32
        Shape (profile, size, size).
    """
    psf = _psf(observation)
    return np.array([_draw(galsim.Convolve(profile, psf), observation) for profile in profiles], np.float32)


def distortion_labels(galaxies: Galaxies, ids: npt.NDArray[np.int64], observation: Observation, seed: int) -> Float32:
    """Return the true distortion of each galaxy in its random orientation, shape (galaxy, 2).

    The distortion (1 - q²) / (1 + q²) of disc and bulge, weighted by their luminosities
    (Lin, Li et al. 2026, equation 21).
    """
    labels = np.empty((len(ids), 2), np.float32)
    for label, row, turn in zip(labels, galaxies, poses_of(ids, seed, observation).angle, strict=True):
        total = row["fluxnorm_disk"] + row["fluxnorm_bulge"] + row["fluxnorm_agn"]
        spin = 0j
        for part, a, b, angle in (
            ("disk", "a_d", "b_d", "pa_disk"),
            ("bulge", "a_b", "b_b", "pa_bulge"),
        ):
            if row[f"fluxnorm_{part}"] > 0:
                distortion = (row[a] ** 2 - row[b] ** 2) / (row[a] ** 2 + row[b] ** 2)
                phase = np.exp(2j * (np.deg2rad(row[angle]) + turn))
                spin += row[f"fluxnorm_{part}"] / total * distortion * phase
        label[:] = spin.real, spin.imag
    return labels
