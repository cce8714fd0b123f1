"""Training without labels: a network that measures shear with the least shape noise.

An estimator e of shear has the shape noise Std(e) / <R>, R = de/dg. With P(d | g) the distribution of the data under
shear, integration by parts turns the response into a correlation with the score s = d ln P / dg, <R> = <e s>, so ::

    <|e|² / (2 a) - tr R> = <|e - a s|²> / (2 a) - a <|s|²> / 2

is least where e is nearest to the score, for any amplitude a > 0; and no estimator has less shape noise than the score
(Cramér and Rao). Neither labels nor a prior are needed: galaxies drawn with a known shear are.

Left to itself this training finds that galaxies crowd at zero ellipticity, and reads the shear from how the crowd
moves: little shape noise, but a response that bends within a shear of 0.1, and m of some percent at g = 0.02. So each
galaxy is also drawn under a larger shear S, where its ellipticity must be what leaves no m: on average, which is what m
sees, and galaxy by galaxy, which keeps m small in any selection. With ``e(g) = R g (1 + A g²)``, and since a further
shear d makes (g + d) / (1 + g d) of g, the response under shear is ``R (1 + 3 A g²) (1 - g²)``, so ::

    m = (1 + A g²) / ((1 + 3 A g²) (1 - g²)) - 1 = (1 - 2 A) g² + ...

which vanishes for A = 1/2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lensdask.arrays import to_numpy
from lensdask.conventions import LSST_Y10_NOISE
from lensdask.errors import check_number
from lensdask.fourier import sample_plane
from lensdask.random import Stream, generator
from lensdask.shear.shapes.resmooth import Grid, Resmoother, make_resmoother, resmooth
from lensdask.shear.simulation.catsim import CatSim, MockCatSim, galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps, four_shears
from lensdask.training import Batch

__all__ = ["ScoreConfig", "ScoreSet", "make_score_set", "noise_factor", "score_objective"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScoreConfig:
    """Settings of the training by score."""

    amplitude: float = 0.04
    """a: scale of the ellipticities, which the shape noise does not depend on. 0.04 makes <R> about one."""
    step: float = 0.03
    """Half width of the central difference that is the response at zero shear."""
    shear: float = 0.1
    """Larger shear S, under which the ellipticity must be what leaves no m."""
    cubic: float = 0.5
    """A: the wanted term of third order; 0.5 leaves no m, 0 is a straight line."""
    linearity: float = 1.0
    """Weight of the squared bend, which is how much e / S misses this, galaxy by galaxy."""
    mean_linearity: float = 1.0
    """Weight of the square of the mean bend, times the number of galaxies in a pass."""
    neighbours: float = 0.0
    """Weight of the squared response to the shear of a neighbour, galaxy by galaxy, where there are neighbours."""
    mean_neighbours: float = 0.0
    """Weight of the square of its mean, times the number of galaxies in a pass."""
    survey_share: float = 0.4
    """Share of the galaxies that get LSST year-10 noise; the others get uniformly distributed weaker noise."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        check_number("score amplitude", self.amplitude, above=0)
        check_number("score shear", self.shear, above=0, below=0.5)
        check_number("score step", self.step, above=0, below=self.shear, meaning="the shear")
        check_number("score cubic", self.cubic)
        for name in ("linearity", "mean_linearity", "neighbours", "mean_neighbours"):
            check_number(f"score {name}", getattr(self, name), least=0)
        check_number("score survey_share", self.survey_share, least=0, most=1)


@dataclass(frozen=True)
class ScoreSet:
    """Resmoothed galaxies at zero shear, their derivatives, and the same galaxies under four shears."""

    planes: Float32
    """Shape (galaxy, 7, n, n): f_h, df_h/dg1, df_h/dg2, and f_h under (+S, 0), (-S, 0), (0, +S), (0, -S)."""
    noise: Float32
    """Square root of the covariance of the resmoothed noise, shape (n², n²)."""
    config: ScoreConfig
    """Settings."""
    seed: int
    """Seed of the noise and of the order."""

    def batches(self, epoch: int, batch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch: new order, new noise, new choice of the component under test.

        A batch holds images, shape (galaxy, 4, n, n), under the shears (+s, -s, +S, -S) of one component with the same
        noise, and the component, 0 or 1, of each galaxy. It is sorted by signal-to-noise: the passes that a batch is
        cut into hold similar galaxies, so that their mean responses become linear at every signal-to-noise.
        """
        rng = generator(self.seed, Stream.TRAINING, epoch)
        order = rng.permutation(len(self.planes))
        for start in range(0, len(order), batch):
            members = order[start : start + batch]
            share, count = self.config.survey_share, len(members)
            strength = np.where(rng.random(count) < share, 1.0, rng.random(count)).astype(np.float32)
            signal = np.linalg.norm(self.planes[members, 0], axis=(-2, -1))
            by_signal_to_noise = np.argsort(signal / np.maximum(strength, 1e-3))
            yield self._batch(members[by_signal_to_noise], strength[by_signal_to_noise], rng)

    def _batch(self, members: npt.NDArray[np.int64], strength: Float32, rng: np.random.Generator) -> Batch:
        planes, n = self.planes[members], self.planes.shape[-1]
        rows, component = np.arange(len(members)), rng.integers(2, size=len(members))
        white = rng.standard_normal((len(members), n * n), dtype=np.float32)
        noise = (strength[:, None] * (white @ self.noise.T)).reshape(-1, n, n)
        still, tangent = planes[:, 0] + noise, self.config.step * planes[rows, 1 + component]
        plus, minus = (planes[rows, place + 2 * component] + noise for place in (3, 4))
        images = np.stack([still + tangent, still - tangent, plus, minus], axis=1)
        return torch.from_numpy(images), torch.from_numpy(component)


def noise_factor(resmoother: Resmoother, sigma: float) -> Float32:
    """Return a square root A of the covariance A Aᵀ of resmoothed noise and renoise, shape (points², points²).

    Parameters
    ----------
    resmoother
        PSF and output grid.
    sigma
        Standard deviation of the white noise per pixel.
    """
    points, spacing = resmoother.grid
    power = np.abs(resmoother.kernel) ** 2 + np.abs(resmoother.kernel90) ** 2
    # Resmoothed white noise is stationary: its covariance depends on the lag, here from -(points - 1) spacings on.
    of_lag = sigma**2 * sample_plane(power.astype(complex), resmoother.pixel_scale, 2 * points - 1, spacing)
    lag = np.subtract.outer(np.arange(points), np.arange(points)) + points - 1
    covariance = of_lag[lag[:, None, :, None], lag[None, :, None, :]].reshape(points**2, points**2)
    values, vectors = np.linalg.eigh(covariance)
    return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float32)


def make_score_set(
    source: MockCatSim | CatSim,
    ids: npt.NDArray[np.int64],
    *,
    grid: Grid,
    kernel_fwhm: float,
    config: ScoreConfig,
    seed: int,
) -> ScoreSet:
    """Simulate galaxies for the training by score.

    Parameters
    ----------
    source
        Where the galaxies come from; their distribution is the one that the shape noise becomes least for.
    ids
        Galaxy ids; use one member of each orthogonal pair.
    grid, kernel_fwhm
        Resmoothing that the network expects, arcsec.
    config
        Settings.
    seed
        Seed of galaxies and noise.
    """
    observation = Observation()
    psf = draw_psf(observation)
    resmoother = make_resmoother(psf, pixel_scale=observation.pixel_scale, fwhm=kernel_fwhm, grid=grid)
    shears = np.concatenate([np.zeros((1, 2)), four_shears(config.shear)])
    planes = np.empty((len(ids), 7, grid.points, grid.points), np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        stamps = torch.from_numpy(draw_stamps(galaxies(source, seed, part // 2), part, observation, seed, shears))
        place = planes[start : start + _AT_ONCE]
        place[:, :3] = np.stack([to_numpy(plane) for plane in resmooth(stamps[:, 0], resmoother)], axis=1)
        sheared = resmooth(stamps[:, 1:].flatten(0, 1), resmoother).value
        place[:, 3:] = to_numpy(sheared).reshape(len(part), 4, grid.points, grid.points)
    return ScoreSet(planes, noise_factor(resmoother, LSST_Y10_NOISE), config, seed)


_AT_ONCE = 250
"""Galaxies drawn at once: their stamps under five shears take 20 MB."""


def score_objective(network: nn.Module, batch: Batch, config: ScoreConfig) -> Tensor:
    """Return the mean loss of a batch of `ScoreSet`.

    Parameters
    ----------
    network
        From images, shape (image, n, n), to (e1, e2).
    batch
        Images, shape (galaxy, 4, n, n), and the component under test, shape (galaxy,); or what `WideSet` yields.
    config
        Settings.
    """
    images, component, *shared = batch
    count = images.shape[1]
    e = network(images.flatten(0, 1)).float().unflatten(0, (-1, count))
    tested = e.gather(2, component[:, None, None].expand(-1, count, 1))[..., 0]
    step, shear = config.step, config.shear
    response = (tested[:, 0] - tested[:, 1]) / (2 * step)
    bend = (tested[:, 2] - tested[:, 3]) / (2 * shear) - response * (1 + config.cubic * shear**2)
    # Each galaxy stands for both components of the trace.
    value = e[:, :2].square().sum(-1).mean(-1) / (2 * config.amplitude) - 2 * response
    loss: Tensor = (value + config.linearity * bend.square()).mean() + config.mean_linearity * _squared_mean(bend)
    for theirs in shared:
        to_neighbour = torch.where(theirs, 1, -1) * (tested[:, 2] - tested[:, 4]) / shear
        loss = loss + config.neighbours * to_neighbour.square().mean()
        loss = loss + config.mean_neighbours * _squared_mean(to_neighbour)
    return loss


def _squared_mean(values: Tensor) -> Tensor:
    """Return the square of the mean times the number of values; of one, zero."""
    # The product of two halves' means does not count their scatter, which the square of one mean would.
    return values[::2].mean() * values[1::2].mean() * len(values) if len(values) > 1 else values.mean() * 0
