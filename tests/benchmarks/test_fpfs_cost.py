"""Cost of FPFS with all its responses against anacal, per 64 x 64 galaxy, one thread, in one run."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from lensdask.conventions import LSST_Y10_NOISE
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.measurement import BATCH
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps

SIZE, SCALE, SIDE = 64, 0.2, 16
COUNT, REPEATS = SIDE**2, 7


def seconds_per_galaxy(function: Callable[[], object]) -> float:
    """Return the least CPU time of several runs: what the code costs when nothing else disturbs it."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times) / COUNT


def half_a_pixel_up(images: np.ndarray) -> np.ndarray:
    """Move images by (1/2, 1/2) pixel, to anacal's origin."""
    k = 2 * np.pi * np.fft.fftfreq(SIZE)
    phase = np.exp(-0.5j * (k[:, None] + k))
    phase[SIZE // 2] = phase[:, SIZE // 2] = 0
    return np.fft.ifft2(np.fft.fft2(images) * phase).real


def mosaic(images: np.ndarray) -> np.ndarray:
    """Lay stamps side by side: anacal measures a batch as one exposure with a list of positions."""
    tiles = half_a_pixel_up(images).reshape(SIDE, SIDE, SIZE, SIZE).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(SIDE * SIZE, SIDE * SIZE), dtype=np.float32)


@pytest.mark.benchmark
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", ["plain", "renoise"])
def test_fpfs_costs_a_tenth_of_anacal(kind: str, record: Callable[..., None]) -> None:
    anacal, with_renoise = pytest.importorskip("anacal"), kind == "renoise"
    rng = np.random.default_rng(3)
    observation = Observation(psf_e1=0.02, psf_e2=-0.02)
    ids, psf = np.arange(COUNT), draw_psf(observation)
    clean = draw_stamps(mock_galaxies(1, ids), ids, observation, 1, np.zeros((1, 2)))[:, 0]
    noise, renoise = rng.normal(scale=LSST_Y10_NOISE, size=(2, *clean.shape)).astype(np.float32)
    images, second = clean + noise, renoise if with_renoise else None

    # Both sides prepare what depends on the PSF alone before the clock starts.
    moments, their_psf = make_moments(psf, pixel_scale=SCALE), half_a_pixel_up(psf)
    task = anacal.fpfs.FpfsTask(
        npix=SIZE, pixel_scale=SCALE, sigma_shapelets=0.52, psf_array=their_psf, kmax_thres=1e-30
    )
    config = anacal.fpfs.FpfsConfig(npix=SIZE, sigma_shapelets1=0.52, c0=8.4 * 10**0.56, kmax_thres=1e-30)
    exposure, noise_exposure = mosaic(images), mosaic(renoise) if with_renoise else None
    y, x = np.divmod(ids, SIDE)
    positions = np.zeros(COUNT, dtype=[("y", float), ("x", float)])
    positions["y"], positions["x"] = y * SIZE + SIZE / 2, x * SIZE + SIZE / 2

    def theirs_moments() -> np.ndarray:
        """Only the moments, by a task that exists already: the least that anacal can take."""
        return task.run(gal_array=exposure, psf=their_psf, det=positions, noise_array=noise_exposure)["data"]

    def theirs() -> np.ndarray:
        """Moments, ellipticities and responses in one call for all galaxies."""
        return anacal.fpfs.process_image(
            fpfs_config=config,
            pixel_scale=SCALE,
            noise_variance=LSST_Y10_NOISE**2,
            mag_zero=30.0,
            gal_array=exposure,
            psf_array=their_psf,
            noise_array=noise_exposure,
            detection=positions,
        )

    def ours() -> np.ndarray:
        """Measure in the batches of a run."""
        parts = [slice(start, start + BATCH["cpu"]) for start in range(0, COUNT, BATCH["cpu"])]
        shapes = [fpfs_shapes(images[p], moments, None if second is None else second[p]) for p in parts]
        return np.concatenate(shapes, axis=1)

    # They do the same job.
    table, columns = theirs(), ours()
    for name, column in zip(
        ("fpfs1_e1", "fpfs1_e2", "fpfs1_de1_dg1", "fpfs1_de2_dg2"), columns[[0, 1, 2, 5]], strict=True
    ):
        np.testing.assert_allclose(column, table[name], rtol=1e-4, atol=1e-5)

    cost = {"lensdask": ours, "anacal process_image": theirs, "anacal FpfsTask.run": theirs_moments}
    seconds = {name: seconds_per_galaxy(function) for name, function in cost.items()}
    record(f"anacal-{kind}", {"microseconds": {name: 1e6 * value for name, value in seconds.items()}})
    print(f"\nFPFS, {kind}, {COUNT} galaxies, one thread")
    for name, value in seconds.items():
        print(f"  {name:22s} {1e6 * value:7.1f} µs a galaxy   {value / seconds['lensdask']:5.1f} times lensdask")
    assert min(seconds["anacal process_image"], seconds["anacal FpfsTask.run"]) >= 10 * seconds["lensdask"]
