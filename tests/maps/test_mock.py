import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from lensdask.errors import InputError
from lensdask.maps.fields import validate_shear_maps
from lensdask.maps.mock import Survey, galaxy_counts, mock_catalogue, observe
from lensdask.maps.pixelisation import bin_catalogue

SCALE = 0.41
IDS = np.array([4, 9, 2**40])
PLAIN = Survey()
ERRORS = Survey(measurement_error=0.2)


def sheared(shape: tuple[int, ...] = (3, 96, 96)) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    return np.broadcast_to(0.05 + 0.001 * x, shape), np.broadcast_to(-0.03 + 0.0005 * y, shape)


def standardised(maps, g1: np.ndarray, g2: np.ndarray) -> np.ndarray:
    known = maps.weight > 0
    noise = np.stack([maps.g1 - g1, maps.g2 - g2]) * np.sqrt(maps.weight)
    return noise[:, known]


@pytest.mark.parametrize("model", [PLAIN, ERRORS, Survey(density=5.0, sigma_e=0.3)])
def test_noise_has_the_variance_of_the_weights(model: Survey) -> None:
    g1, g2 = sheared()
    maps = observe(IDS, g1, g2, model, SCALE, 1)
    validate_shear_maps(maps)
    noise = standardised(maps, g1, g2)
    assert noise.mean() == pytest.approx(0, abs=4 / np.sqrt(noise.size))
    # Five standard errors of a variance.
    assert noise.var() == pytest.approx(1, abs=5 * np.sqrt(2 / noise.size) + 1e-3)


def test_default_noise_is_that_of_cha() -> None:
    zero = np.zeros((1, 512, 512))
    maps = observe(IDS[:1], zero, zero, PLAIN, SCALE, 2)
    assert 1 / np.sqrt(maps.weight.mean()) == pytest.approx(0.1019, rel=2e-3)
    # exp(-33 * 0.41²) of the pixels are empty: 1025 of them, give or take 32.
    assert (maps.weight == 0).sum() == pytest.approx(1025, abs=130)
    assert (maps.mask == 1).all()
    assert (maps.measurement_error == 0).all()


def test_counts_are_those_of_the_weights() -> None:
    zero = np.zeros((1, 40, 30))
    maps = observe(IDS[:1], zero, zero, PLAIN, SCALE, 3)
    counts = galaxy_counts(int(IDS[0]), (40, 30), PLAIN, SCALE, 3)
    np.testing.assert_allclose(maps.weight[0], counts / 0.24**2, rtol=1e-6)
    assert counts.mean() == pytest.approx(33 * SCALE**2, rel=0.05)


def test_measurement_error_is_that_of_its_magnitudes() -> None:
    zero = np.zeros((1, 128, 128))
    maps = observe(IDS[:1], zero, zero, ERRORS, SCALE, 4)
    counts = galaxy_counts(int(IDS[0]), (128, 128), ERRORS, SCALE, 4)
    # Means over u from 0 to 1 of u^(4/3) and u^(8/3) are 3/7 and 3/11.
    assert (maps.measurement_error[0] * counts).sum() / counts.sum() == pytest.approx(0.2 * 3 / 7, rel=5e-3)
    total = (counts[counts > 0] ** 2 / maps.weight[0][counts > 0]).sum() / counts.sum()
    assert total == pytest.approx(0.24**2 + 0.04 * 3 / 11, rel=5e-3)
    assert (maps.measurement_error[0][counts == 0] == 0).all()


def test_a_field_does_not_depend_on_its_neighbours() -> None:
    model = replace(ERRORS, mask_fraction=0.1)
    g1, g2 = sheared()
    together = observe(IDS, g1, g2, model, SCALE, 5)
    alone = observe(IDS[1:2], g1[1:2], g2[1:2], model, SCALE, 5)
    for array, one in zip(together, alone, strict=True):
        np.testing.assert_array_equal(array[1], one[0])
    other = observe(IDS, g1, g2, model, SCALE, 6)
    for name in ("g1", "weight", "measurement_error", "mask"):
        assert (getattr(other, name) != getattr(together, name)).any()
        assert (getattr(together, name)[0] != getattr(together, name)[1]).any()


@pytest.mark.parametrize("fraction", [0.02, 0.2, 0.5])
def test_discs_cover_the_fraction(fraction: float) -> None:
    g1, g2 = sheared()
    model = Survey(mask_fraction=fraction)
    maps = observe(IDS, g1, g2, model, SCALE, 7)
    masked = (maps.mask == 0).mean(axis=(1, 2))
    largest = np.pi * (2.7 / SCALE) ** 2 / 96**2
    assert ((masked >= fraction) & (masked < fraction + largest)).all()
    for array in maps[:4]:
        assert (array[maps.mask == 0] == 0).all()
    assert (galaxy_counts(4, (96, 96), model, SCALE, 7)[maps.mask[0] == 0] == 0).all()


@pytest.mark.parametrize("suffix", [".npy", ".fits"])
def test_footprint_is_read(tmp_path: Path, suffix: str) -> None:
    inside = np.zeros((96, 96), np.int16)
    inside[10:80, 20:90] = 1
    path = tmp_path / f"footprint{suffix}"
    np.save(path, inside) if suffix == ".npy" else fits.writeto(path, inside)
    maps = observe(IDS, *sheared(), Survey(footprint=str(path)), SCALE, 8)
    assert (maps.mask == inside).all()
    assert (maps.weight[:, inside == 0] == 0).all()


def test_ellipticities_stay_below_one() -> None:
    zero = np.zeros((1, 128, 128))
    g1, g2 = 0.6 + zero, 0.5 + zero
    maps = observe(IDS[:1], g1, g2, Survey(density=4.0, sigma_e=0.4), SCALE, 9)
    assert (maps.g1**2 + maps.g2**2 < 1).all()
    validate_shear_maps(maps)


def test_torch_sees_the_same_galaxies() -> None:
    g1, g2 = (np.ascontiguousarray(g, dtype=np.float32) for g in sheared())
    expected = observe(IDS, g1, g2, ERRORS, SCALE, 10)
    found = observe(torch.from_numpy(IDS), torch.from_numpy(g1), torch.from_numpy(g2), ERRORS, SCALE, 10)
    for array, truth in zip(found, expected, strict=True):
        assert array.dtype == torch.float32
        assert truth.dtype == np.float32
        np.testing.assert_allclose(array, truth, atol=2e-6)


def test_configuration_is_plain() -> None:
    assert Survey(**asdict(ERRORS)) == ERRORS


def test_catalogue_gives_the_shear_back_in_its_frame() -> None:
    g1, g2 = (g[0] for g in sheared())
    galaxies = mock_catalogue(3, g1, g2, ERRORS, SCALE, 11)
    assert len(galaxies) == pytest.approx(33 * (96 * SCALE) ** 2, rel=0.02)
    assert (np.hypot(galaxies.g1, galaxies.g2) < 1).all()
    dataset = bin_catalogue(
        galaxies.x,
        galaxies.y,
        galaxies.g1,
        galaxies.g2,
        galaxies.weight,
        pixel_scale=SCALE,
        shape=(96, 96),
        centre=(0, 0),
        sigma_e=0.24,
        measurement_error=galaxies.measurement_error,
    )
    noise = np.stack([dataset["g1"][0] - g1, dataset["g2"][0] - g2]) * np.sqrt(dataset["weight"].to_numpy()[0])
    noise = noise[:, dataset["count"].to_numpy()[0] > 0]
    assert noise.var() == pytest.approx(1, abs=5 * np.sqrt(2 / noise.size))
    assert np.abs(noise.mean()) < 4 / np.sqrt(noise.size)


def test_magnitudes_of_the_catalogue_follow_the_counts() -> None:
    galaxies = mock_catalogue(3, np.zeros((96, 96)), np.zeros((96, 96)), ERRORS, SCALE, 12)
    assert galaxies.magnitude.max() < 26.25
    brighter = (galaxies.magnitude < 25.25).mean()
    assert brighter == pytest.approx(10**-0.3, abs=4 * np.sqrt(0.25 / len(galaxies)))
    np.testing.assert_allclose(galaxies.measurement_error, 0.2 * 10 ** (0.4 * (galaxies.magnitude - 26.25)), rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "density: 0.0; expected"),
        ({"density": 1e300}, r"density: 1e\+300; expected a number from 1e-06 to 1e\+12"),
        ({"sigma_e": 1e200}, "sigma_e: "),
        ({"mask_radius": 1e300}, "mask_radius: "),
        ({"measurement_error": 1e200}, "measurement_error: "),
        ({"faintest": float("nan")}, "faintest: nan; expected"),
        ({"footprint": 5}, "footprint: 5; expected the name of a file"),
        ({"sigma_e": -0.2}, "sigma_e: -0.2; expected"),
        ({"measurement_error": np.nan}, "measurement_error: nan; expected"),
        ({"mask_fraction": 1.0}, "mask_fraction: 1.0; expected"),
        ({"mask_radius": 0.0}, "mask_radius: 0.0; expected"),
    ],
)
def test_bad_models_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Survey(**settings)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    g1, g2 = sheared()
    with pytest.raises(InputError, match=r"^g2: a masked array; expected a plain one"):
        observe(IDS, g1, np.ma.MaskedArray(g2), PLAIN, SCALE, 1)
    with pytest.raises(InputError, match=r"^g1: a masked array; expected a plain one"):
        mock_catalogue(0, np.ma.MaskedArray(g1[0]), g2[0], PLAIN, SCALE, 1)
    with pytest.raises(InputError, match="for 2 ids; expected"):
        observe(IDS[:2], g1, g2, PLAIN, SCALE, 1)
    with pytest.raises(InputError, match="g2: shape"):
        observe(IDS, g1, g2[:, :-1], PLAIN, SCALE, 1)
    with pytest.raises(InputError, match="pixel_scale"):
        observe(IDS, g1, g2, PLAIN, (0.4, 0.5), 1)
    with pytest.raises(InputError, match=r"nowhere.npy: .*expected a FITS or .npy map"):
        observe(IDS, g1, g2, Survey(footprint=str(tmp_path / "nowhere.npy")), SCALE, 1)
    np.save(tmp_path / "small.npy", np.ones((5, 5)))
    with pytest.raises(InputError, match=r"small.npy: shape \(5, 5\); expected that of the fields, \(96, 96\)"):
        observe(IDS, g1, g2, Survey(footprint=str(tmp_path / "small.npy")), SCALE, 1)
    np.save(tmp_path / "wild.npy", np.full((96, 96), 2))
    with pytest.raises(InputError, match=r"wild.npy: no map of 0 and 1"):
        observe(IDS, g1, g2, Survey(footprint=str(tmp_path / "wild.npy")), SCALE, 1)


def test_a_footprint_that_was_replaced_is_read_again(tmp_path) -> None:
    file = tmp_path / "footprint.npy"
    model = Survey(footprint=str(file))
    seen = []
    for inside, changed in ((1, 1), (0, 2)):
        footprint = np.ones((8, 8))
        footprint[:4] = inside
        np.save(file, footprint)
        os.utime(file, ns=(changed, changed))
        seen.append(galaxy_counts(0, (8, 8), model, 1.0, 0)[:4].sum())
    assert seen[0] > 0
    assert seen[1] == 0
