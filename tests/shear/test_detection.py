import warnings
from functools import cache

import anacal
import dask
import galsim
import numpy as np
import pytest
import xarray as xr
from astropy.wcs import WCS

from lensdask.errors import InputError
from lensdask.shear import Coadd, Observation, calibrate, cutouts, detect, draw_psf, measure
from lensdask.shear.coadds import detection
from lensdask.shear.coadds.peaks import disc_around, find_peaks
from lensdask.shear.coadds.summits import Spectra, find_summits
from lensdask.shear.noise import Noise
from lensdask.shear.simulation.catsim import MockCatSim
from lensdask.shear.simulation.scenes import Scene, draw_scene

SCALE, SIGMA = 0.2, 0.594
FWHM = galsim.Gaussian(sigma=0.4 * 2**0.5).fwhm
"""AnaCal finds peaks in an image smoothed with sqrt(2) times the Gaussian that it is told."""
PSF, WIDE = galsim.Moffat(beta=2.5, fwhm=0.8), 240
"""On pixels enough for its wings: AnaCal's has its middle on a pixel, so that of few the two lack other light."""


def wcs(side, matrix=None):
    found = WCS(naxis=2)
    found.wcs.ctype, found.wcs.crval, found.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), [(side + 1) / 2] * 2
    # x to the west, y to the north.
    found.wcs.cd = np.diag([-1, 1]) @ (SCALE * np.eye(2) if matrix is None else matrix) / 3600
    return found


@cache
def sky(side=400, density=40.0, shear=0.0):
    scene = Scene(side, density, Observation(noise_sigma=SIGMA))
    return draw_scene(scene, np.array([[shear, 0.0]]), 0, source=MockCatSim(25.0), seed=5)[0]


def coadd(side=400):
    return Coadd(sky(side), wcs(side), Noise(SIGMA))


@cache
def one_tile():
    scene = Scene(192, 120.0, Observation(noise_sigma=SIGMA))
    image = draw_scene(scene, np.zeros((1, 2)), 1, source=MockCatSim(25.0), seed=5)[0]
    return Coadd(image, wcs(192), Noise(SIGMA))


def anacal_peaks(snr, soft, step):
    """Return AnaCal's detections on the image and renoise of `one_tile`, with responses about their own pixels."""
    psf = PSF.shift(0.5 * SCALE, 0.5 * SCALE).drawImage(nx=WIDE, ny=WIDE, scale=SCALE).array.astype(float)
    # With as much of nothing around as a tile has.
    cell = anacal.geometry.cell(96, 96, -32, -32, 224, 224, 0, 0, 192, 192, SCALE, 0)
    image, variance = one_tile(), 2 * SIGMA**2
    unit = anacal.image.get_smoothed_variance(SCALE, 0.4 * 2**0.5, psf, variance) ** 0.5
    settings = snr, variance, soft * unit, step * unit
    rows = []
    for one in anacal.detector.find_peaks(image.image, psf, 0.4, *settings, cell, image.renoise):
        x, y, w = one.x1_det, one.x2_det, one.wsel
        # Its sky is sheared about the middle of the cell.
        right, up = x - 96 * SCALE, y - 96 * SCALE
        about = w.g1 - right * w.x1 + up * w.x2, w.g2 - up * w.x1 - right * w.x2
        rows.append((round(x / SCALE), round(y / SCALE), w.v, *about))
    return np.array(rows)


def test_weights_of_pixels_are_those_of_anacal():
    # Where the least flux is 5 + soft standard deviations, its factor of the background is 1.
    snr, soft, step = 14.0, 2.0, 0.5
    theirs = anacal_peaks(snr, soft, step)
    psf = PSF.drawImage(nx=WIDE, ny=WIDE, scale=SCALE, dtype=float).array
    table = detect(one_tile(), psf, weights="pixels", fwhm=FWHM, snr=snr, softness=soft, step=step)
    ours = {(row["x"], row["y"]): row for row in table}
    # It drops what has less weight than that.
    assert len(theirs) == np.sum(table["wdet"] > 1e-5) > 20
    assert 0.05 < np.mean(theirs[:, 2] < 0.9) < 0.95
    rows = [ours[int(x), int(y)] for x, y in theirs[:, :2]]
    np.testing.assert_allclose([row["wdet"] for row in rows], theirs[:, 2], atol=1e-5)
    for column, values in (("dwdet_dg1", theirs[:, 3]), ("dwdet_dg2", theirs[:, 4])):
        np.testing.assert_allclose([row[column] for row in rows], values, atol=1e-5 * np.abs(values).max())


def rendered(shear, jacobian, side=128):
    """Return a pair that nearly merges and a lone galaxy, noiseless, sheared about the middle."""
    parts = (
        galsim.Exponential(half_light_radius=0.4, flux=100).shear(g1=0.3, g2=0.1).shift(0.5, 0.2),
        galsim.Exponential(half_light_radius=0.3, flux=60).shear(g1=-0.2, g2=0.1).shift(1.7, -1.1),
        galsim.Exponential(half_light_radius=0.5, flux=55).shear(g1=0.4, g2=-0.2).shift(-3.3, 2.6),
    )
    onto_pixels = np.linalg.inv(jacobian / SCALE)
    drawn = galsim.Sum(parts).shear(g1=shear[0], g2=shear[1]).transform(*onto_pixels.ravel())
    return galsim.Convolve(drawn, PSF).drawImage(nx=side, ny=side, scale=SCALE, method="no_pixel", dtype=float).array


def turned(angle):
    return SCALE * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def summits(shear, jacobian):
    psf = PSF.drawImage(nx=128, ny=128, scale=SCALE, method="no_pixel", dtype=float).array
    kernels = detection._kernels(psf, jacobian, 1.2)
    plane = np.fft.rfft2(rendered(shear, jacobian)) * kernels.image
    return find_summits(Spectra(plane, 0 * plane, jacobian, kernels.sigma), least=0.9, soft=0.5, curvature=0.3)


@pytest.mark.parametrize("jacobian", [turned(0.0), turned(0.4), turned(-1.1) @ np.diag([-1, 1])])
def test_the_response_of_a_summit_is_that_of_a_sheared_sky(jacobian):
    found, step = summits((0.0, 0.0), jacobian), 1e-4
    order = np.argsort(found.weight)
    assert 0.1 < found.weight[order][0] < found.weight[order][1] < 0.9
    for a in (0, 1):
        after, before = (summits(sign * step * np.eye(2)[a], jacobian).weight for sign in (1, -1))
        slope = (np.sort(after) - np.sort(before)) / (2 * step)
        np.testing.assert_allclose(found.response[order, a], slope, atol=2e-5)
    assert np.abs(found.response).max() > 0.1


def test_the_response_of_pixels_is_that_of_a_sheared_sky():
    jacobian, step = turned(0.3), 1e-4
    psf = PSF.drawImage(nx=128, ny=128, scale=SCALE, method="no_pixel", dtype=float).array
    kernels = detection._kernels(psf, jacobian, 1.2)

    def weight(shear):
        plane = np.fft.rfft2(rendered(shear, jacobian)) * kernels.image
        return find_peaks(detection._smoothed(plane, plane, kernels), jacobian, disc_around(5), 0.9, 0.5, 0.01)

    found = weight((0.0, 0.0))
    middle = jacobian @ (np.array([found.x, found.y]) - 63.5)
    for a in (0, 1):
        after, before = (weight(sign * step * np.eye(2)[a]).weight for sign in (1, -1))
        slope = (after - before) / (2 * step)
        # About the middle a pixel also sees the sky move by the shear of its place; a moved sky tells how much.
        x, y = middle if a == 0 else middle[::-1]
        move = np.stack([x, -y if a == 0 else y], axis=-1)
        for peak, (dx, dy) in enumerate(move):
            moved = [_moved(jacobian, kernels, sign * step * dx, sign * step * dy)[peak] for sign in (1, -1)]
            slope[peak] -= (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose(found.response[:, a], slope, atol=1e-3 * np.abs(slope).max())


def _moved(jacobian, kernels, dx, dy):
    """Return the weights of pixels where the sky is shifted."""
    image = np.fft.rfft2(rendered((0.0, 0.0), jacobian))
    k = kernels.k1 * dx + kernels.k2 * dy
    plane = image * kernels.image * np.exp(-1j * k)
    return find_peaks(detection._smoothed(plane, plane, kernels), jacobian, disc_around(5), 0.9, 0.5, 0.01).weight


@pytest.mark.parametrize("weights", ["summits", "pixels"])
def test_objects_do_not_depend_on_workers_or_on_what_is_beside_a_tile(weights):
    psf, whole = draw_psf(Observation()), coadd()
    with dask.config.set(scheduler="synchronous"):
        alone = detect(whole, psf, weights=weights)
    with dask.config.set(scheduler="threads", num_workers=2):
        threaded = detect(whole, psf, weights=weights)
    np.testing.assert_array_equal(alone.as_array(), threaded.as_array())
    assert len(np.unique(alone["ra"])) == len(alone) > 20
    # Bad pixels of the last tile change nothing in the first.
    image = whole.image.copy()
    image[300:, 300:] = np.nan
    other = detect(Coadd(image, whole.wcs, whole.known_noise), psf, weights=weights)
    for table in (alone, other):
        table.keep_columns(["x", "y", "wdet", "dwdet_dg1", "dwdet_dg2"])
    first, second = (table[(table["x"] < 191) & (table["y"] < 191)].as_array() for table in (alone, other))
    np.testing.assert_array_equal(first, second)


def test_a_model_of_the_psf_is_asked_in_every_tile():
    psf, places = draw_psf(Observation()), []

    def model(x, y):
        places.append((x, y))
        return psf

    found = detect(coadd(), model)
    np.testing.assert_array_equal(found.as_array(), detect(coadd(), psf).as_array())
    assert places == [(x, y) for y in (96.0, 288.0, 480.0) for x in (96.0, 288.0, 480.0)]


def test_neighbourhoods_go_over_into_one_another():
    """Objects at the edge of a tile are found once, by one of the two."""
    whole = coadd()
    found = detect(whole, draw_psf(Observation()))
    places = np.stack([found["x"], found["y"]], axis=-1)
    apart = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 2.0
    near = np.abs(places - 191.5).min(axis=1) < 6
    assert near.sum() >= 2


def shapes_of_detections():
    image, psf = coadd(), draw_psf(Observation())
    found = detect(image, psf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = {name: found[name] for name in ("wdet", "dwdet_dg1", "dwdet_dg2")}
        stamps = cutouts(image, found["ra"], found["dec"], psf, columns=columns)
    return measure(stamps, "fpfs", recentre=True), stamps, image, found


def test_weights_of_detections_count_in_the_calibration():
    shapes, stamps, image, found = shapes_of_detections()
    # Stamps are cut from one renoise.
    row = int(stamps["object"][0])
    x, y = (round(found[name][row] - 31.5) for name in "xy")
    np.testing.assert_array_equal(stamps["renoise"][0], image.renoise[y : y + 64, x : x + 64])
    w = shapes["wdet"].values
    e = np.stack([shapes["e1"].values, shapes["e2"].values]).astype(float)
    dw = np.stack([shapes["dwdet_dg1"].values, shapes["dwdet_dg2"].values])
    R = np.array([[shapes[f"de{i}_dg{j}"].values for j in (1, 2)] for i in (1, 2)]).astype(float)
    response = (R * w).sum(-1) + np.einsum("in,jn->ij", e, dw)
    np.testing.assert_allclose(calibrate(shapes).g, np.linalg.solve(response, e @ w), rtol=1e-6)
    lazy = shapes.chunk(galaxy=7)
    np.testing.assert_array_equal(calibrate(lazy).g, calibrate(shapes).g)
    with pytest.raises(InputError, match="wdet without dwdet_dg2; expected all columns of detect, or none"):
        calibrate(shapes.drop_vars("dwdet_dg2"))
    bad = shapes.assign_coords(wdet=("galaxy", np.where(np.arange(len(w)) == 3, np.nan, w)))
    with pytest.raises(InputError, match="weights of detections are not finite"):
        calibrate(bad)


def test_renoise_that_is_no_image_is_refused():
    _, stamps, *_ = shapes_of_detections()
    from lensdask.shear import make_stamps

    settings = {"pixel_scale": SCALE, "noise_sigma": SIGMA}
    images, psf = stamps["image"].values[:2], stamps["psf"].values
    for renoise in (np.zeros((2, 32, 32)), np.full((2, 64, 64), np.nan)):
        with pytest.raises(InputError, match=r"renoise: shape .*; expected finite numbers of shape \(2, 64, 64\)"):
            make_stamps(images, psf, renoise=renoise, **settings)


def test_a_coadd_without_objects_or_noise():
    psf = draw_psf(Observation())
    empty = np.zeros((200, 200), np.float32)
    with pytest.raises(InputError, match="no object is found"):
        detect(Coadd(empty, wcs(200), Noise(SIGMA)), psf)
    with pytest.raises(InputError, match="have no noise"):
        detect(Coadd(empty, wcs(200), Noise(0.0)), psf)
    for settings in ({"snr": 0}, {"softness": 20}, {"step": -1}, {"fwhm": 0}, {"weights": "peaks"}):
        with pytest.raises(InputError, match="expected"):
            detect(coadd(), psf, **settings)
    with pytest.raises(InputError, match="psf"):
        detect(coadd(), np.ones((64, 64)))


def test_the_renoise_of_a_coadd_has_the_law_of_its_noise_turned():
    from lensdask.shear.coadds.renoise import renoise_of_image
    from lensdask.shear.noise import draw_image_noise, gaussian_correlation

    noise = Noise(2.0, gaussian_correlation(64, SCALE, 0.6, 0.5, 0.2))
    drawn = renoise_of_image(wcs(1000), (1000, 800), noise)
    assert drawn.shape == (1000, 800)
    assert drawn.std() == pytest.approx(2.0, rel=0.01)
    images = draw_image_noise(np.arange(400), 64, noise, 3)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2), (1, -1)):
        # Turned by +90 degrees (dx, dy) becomes (-dy, dx).
        turned_product = np.mean(drawn * np.roll(drawn, (-dx, dy), axis=(0, 1)))
        assert turned_product == pytest.approx(np.mean(images * np.roll(images, (-dy, -dx), axis=(1, 2))), abs=0.04)
    # The same sky has the same renoise, in a cut-out too.
    part = wcs(1000)
    part.wcs.crpix = part.wcs.crpix - 64
    white = Noise(1.0)
    np.testing.assert_array_equal(
        renoise_of_image(part, (300, 300), white), renoise_of_image(wcs(1000), (1000, 800), white)[64:364, 64:364]
    )


def test_scenes_are_sheared_about_their_middles():
    observation = Observation(noise_sigma=0.0)
    for scene in (Scene(256, 40.0, observation), Scene(256, 90.0, observation, group=3.0)):
        plain, sheared = (scene.places(1, 0)[1] for _ in range(2))
        np.testing.assert_array_equal(plain, sheared)
        images = draw_scene(scene, np.array([[0.0, 0.0], [0.02, 0.0]]), 0, source=MockCatSim(24.0), seed=1)
        assert images.shape == (2, 256, 256)
        assert images[0].sum() == pytest.approx(images[1].sum(), rel=0.1)
        assert not np.array_equal(*images)
    alone = Scene(256, 90.0, observation, group=3.0, isolated=True)
    middle, place = alone.places(1, 0)
    assert (place == 0).all()
    assert len(np.unique(middle, axis=0)) == len(middle) == 9


def test_a_scene_is_its_galaxies():
    """The light of one galaxy, wherever it lies, is what GalSim draws there."""
    observation = Observation(noise_sigma=0.0, renderer="galsim")
    scene = Scene(128, 90.0, observation, group=9.0, isolated=True)
    image = draw_scene(scene, np.array([[0.1, 0.05]]), 2, source=MockCatSim(24.0), seed=1)[0]
    middle, _ = scene.places(1, 2)
    y, x = np.mgrid[:128, :128]
    for one in middle:
        near = np.hypot((x - 63.5) * SCALE - one[0], (y - 63.5) * SCALE - one[1]) < 3
        light = image * near
        centroid = np.array([(light * (x - 63.5)).sum(), (light * (y - 63.5)).sum()]) * SCALE / light.sum()
        np.testing.assert_allclose(centroid, one, atol=0.02)


def test_shapes_with_detections_are_stored(tmp_path):
    import lensdask

    shapes, *_ = shapes_of_detections()
    lensdask.write(shapes, tmp_path / "s.zarr")
    with lensdask.open(tmp_path / "s.zarr") as stored:
        assert isinstance(stored, xr.Dataset)
        np.testing.assert_array_equal(calibrate(stored).g, calibrate(shapes).g)
