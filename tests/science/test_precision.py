"""Which precision the network needs: single. TF32 and bfloat16, which GPUs offer for speed, move R and m too far."""

import copy

import numpy as np
import pytest
import torch

from lensdask.compute import cached_model
from lensdask.compute.devices import torch_settings
from lensdask.shear.calibration.estimate import bias_of_sums
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.noise import draw_renoise
from lensdask.shear.shapes import response
from lensdask.shear.shapes.d4cnn import build_d4cnn
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import COLUMNS
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.simulation.catsim import mock_galaxies
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.simulation.simulated import observed_stamps

pytestmark = pytest.mark.science

GALAXIES = 400
MANTISSA = {"tf32": 10, "bfloat16": 7}
"""Explicit bits of the numbers that a matrix unit multiplies; it adds their products in single precision."""

TOLERANCE = 1e-5


def rounded(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return single-precision numbers rounded to fewer bits."""
    drop = 23 - bits
    pattern = values.contiguous().view(torch.int32) + (1 << (drop - 1))
    return ((pattern >> drop) << drop).view(torch.float32)


def rounding_convolution(bits: int):
    exact = response._convolve

    def convolve(convolution, maps, bias):
        coarse = copy.copy(convolution)
        coarse._parameters = convolution._parameters | {"weight": rounded(convolution.weight, bits)}
        return exact(coarse, rounded(maps, bits), bias)

    return convolve


@pytest.fixture(scope="module")
def stamps():
    """Images and renoise of pairs with exchanged noise, in which m is known to 1e-5: shape (galaxy, 4, n, n)."""
    ids, observation = np.arange(GALAXIES), Observation(noise="exchanged")
    images = observed_stamps(mock_galaxies(0, ids // 2), ids, observation, 0)
    imaging = imaging_of_observation(observation, ids, 0)
    renoise = np.broadcast_to(draw_renoise(ids, observation.size, imaging.noise, 0)[:, None], images.shape)
    return imaging, torch.from_numpy(images), torch.from_numpy(renoise.copy())


def shapes(stamps, name: str, dtype: torch.dtype) -> np.ndarray:
    """Return e and R of all stamps with everything in one precision, shape (galaxy, 4, 6)."""
    imaging, *arrays = stamps
    chosen = find_estimator(name)
    network = copy.deepcopy(cached_model(build_d4cnn, chosen.weights, str(chosen.sha256), "cpu")).to(dtype)
    config = network.config
    resmoother = make_resmoother(
        imaging.psf, pixel_scale=imaging.pixel_scale, fwhm=config.kernel_fwhm, grid=config.grid
    )
    rows = []
    with torch_settings():
        for image, renoise in zip(*(a.flatten(0, 1).split(200) for a in arrays), strict=True):
            planes = resmooth(image.to(dtype), resmoother, renoise.to(dtype))
            rows.append(response.shapes_with_response(network, planes).T.double().numpy())
    return np.concatenate(rows).reshape(GALAXIES, 4, 6)


def result(columns: np.ndarray) -> np.ndarray:
    """Return the mean R11 and R22, then m1 and m2."""
    table = np.concatenate([columns, np.ones((*columns.shape[:-1], len(COLUMNS) - 6))], axis=-1)
    found = bias_of_sums(shape_sums(table, 2), 0.02, seed=0, replicas=2)
    return np.array([*np.diag(found.response), *found.values[:2]])


@pytest.mark.parametrize("name", ["d4cnn", "d4cnn-fpfs"])
def test_single_precision_is_enough_and_less_is_not(stamps, name, monkeypatch) -> None:
    exact = result(shapes(stamps, name, torch.float64))
    moved = {"single": result(shapes(stamps, name, torch.float32)) - exact}
    for kind, bits in MANTISSA.items():
        with monkeypatch.context() as patch:
            patch.setattr(response, "_convolve", rounding_convolution(bits))
            moved[kind] = result(shapes(stamps, name, torch.float32)) - exact
    print(f"\n{name}, {GALAXIES} galaxies, against double precision: dR11, dR22, dm1, dm2")
    for kind, change in moved.items():
        print(f"  {kind:9s}" + " ".join(f"{value:+.1e}" for value in change))
    assert np.abs(moved["single"]).max() < TOLERANCE
    for kind in MANTISSA:
        assert np.abs(moved[kind]).max() > TOLERANCE
