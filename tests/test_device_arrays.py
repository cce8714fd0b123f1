"""Arrays of a GPU library: nothing converts them unasked, nothing hashes their device, all doors take them."""

import numpy as np
import pytest
import torch
from device_arrays import LIBRARY, DeviceArray

from lensdask.arrays import constant, is_on_cpu, like, to_numpy, to_torch
from lensdask.shear import make_stamps, measure
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import Grid, make_resmoother, resmooth

N, COUNT = 40, 6


def gaussian(fwhm=4.0, e1=0.1):
    x = np.arange(N) - (N - 1) / 2
    image = np.exp(-((1 - e1) * x**2 + (1 + e1) * x[:, None] ** 2) / (2 * (fwhm / 2.355) ** 2))
    return image / image.sum()


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return (300 * gaussian(6.0) + 0.1 * rng.normal(size=(COUNT, N, N))).astype(np.float32)


def on_device(values):
    return DeviceArray(values)


def test_the_stand_in_is_as_strict_as_cupy():
    with pytest.raises(TypeError):
        hash(on_device(np.zeros(2)).device)
    assert np.asarray(on_device(np.zeros(2))).dtype == object
    with pytest.raises(TypeError):
        on_device(np.zeros(2)) + np.zeros(2)


def test_constants_are_kept_by_device_library_and_precision():
    made = []

    def values(n):
        made.append(n)
        return np.arange(float(n))

    one, other = DeviceArray(np.zeros(1), 0), DeviceArray(np.zeros(1), 1)
    assert constant(values, 3, reference=one) is constant(values, 3, reference=DeviceArray(np.ones(2), 0))
    assert constant(values, 3, reference=one) is not constant(values, 3, reference=other)
    assert constant(values, 3, reference=np.zeros(1)) is not constant(values, 3, reference=torch.zeros(1))
    assert made == [3] * 4


@pytest.mark.parametrize("own_psf", [False, True], ids=["one PSF", "a PSF each"])
def test_resmoothing_and_moments_agree(images, own_psf):
    images = images.astype(np.float64)
    psf = np.stack([gaussian(e1=e1) for e1 in np.linspace(0, 0.2, COUNT)]) if own_psf else gaussian()
    noise = images[::-1] * 0.01
    for prepare, apply in (
        (lambda p: make_resmoother(p, pixel_scale=0.2, grid=Grid(16, 0.3)), resmooth),
        (lambda p: make_moments(p, pixel_scale=0.2), fpfs_shapes),
    ):
        here = apply(images, prepare(psf), noise)
        there = apply(on_device(images), prepare(on_device(psf) if own_psf else psf), on_device(noise))
        for a, b in zip(here, there, strict=True) if isinstance(here, tuple) else [(here, there)]:
            assert isinstance(b, DeviceArray)
            np.testing.assert_allclose(to_numpy(b), a, rtol=1e-12, atol=1e-12)


def test_stamps_of_a_device_are_those_of_the_host(images):
    psf, ids = np.stack([gaussian()] * 2), np.arange(COUNT) + 10
    correlation = np.zeros((N, N))
    correlation[0, 0] = 1
    settings = {"pixel_scale": 0.2, "noise_sigma": 0.1}
    here = make_stamps(images, psf, galaxy=ids, psf_index=ids % 2, noise_correlation=correlation, **settings)
    there = make_stamps(
        *map(on_device, (images, psf)),
        galaxy=on_device(ids),
        psf_index=on_device(ids % 2),
        noise_correlation=on_device(correlation),
        **settings,
    )
    assert there.identical(here)
    of_torch = make_stamps(torch.from_numpy(images), gaussian(), **settings)
    np.testing.assert_array_equal(of_torch["image"], here["image"])


@pytest.mark.parametrize("own_psf", [False, True], ids=["one PSF", "a PSF each"])
@pytest.mark.parametrize("estimator", ["fpfs", "d4cnn"])
def test_measure_takes_a_dataset_of_a_device(images, estimator, own_psf):
    psf = np.stack([gaussian(e1=e1) for e1 in np.linspace(0, 0.2, COUNT)]) if own_psf else gaussian()
    stamps = make_stamps(images, psf, pixel_scale=0.2, noise_sigma=0.1)
    there = stamps.assign({name: stamps[name].copy(data=on_device(stamps[name].values)) for name in ("image", "psf")})
    assert measure(there, estimator, device="cpu").equals(measure(stamps, estimator, device="cpu"))


def test_where_arrays_are_held():
    assert is_on_cpu(np.zeros(2))
    assert is_on_cpu(torch.zeros(2))
    assert not is_on_cpu(DeviceArray(np.zeros(2)))


def test_turned_arrays_become_tensors():
    array = np.arange(6.0).reshape(2, 3)
    for turned in (array[::-1], np.rot90(array), array[:, ::-2]):
        np.testing.assert_array_equal(to_torch(on_device(turned), "cpu"), turned)
        np.testing.assert_array_equal(to_torch(turned, "cpu"), turned)
        np.testing.assert_array_equal(to_numpy(on_device(turned)), turned)


def test_the_host_does_not_wait_for_copies(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: seen.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *where, **how: seen.append((*where, how)) or self)
    to_torch(np.zeros(3), "cuda")
    assert seen == ["pinned", ("cuda", {"non_blocking": True})]


def test_like_takes_precision_and_device():
    made = like(np.arange(3.0), on_device(np.zeros(2, np.float32)))
    assert isinstance(made, DeviceArray)
    assert made.dtype == LIBRARY.float32
