"""From a coadd on the sky to a calibrated catalogue."""

import json

import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from coadd_scenes import G, header, scene
from command_line import call

from lensdask.errors import InputError
from lensdask.shear import Coadd, FluxWeights, Selection, calibrate, cutouts, measure, read_coadd, to_catalogue
from lensdask.shear.coadds.background import correlation_of_noise
from lensdask.shear.noise import Noise


@pytest.fixture(scope="module", params=["turned", "mirrored"])
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    head = header(mirror=request.param == "mirrored")
    pixels, psf, ra, dec = scene(head, zero_point=27.0)
    head["MAGZERO"] = 27.0
    fits.writeto(folder / "coadd.fits", pixels, head)
    fits.writeto(folder / "psf.fits", psf)
    Table({"ra": ra, "dec": dec}).write(folder / "objects.fits")
    return folder


def command(files, out, *options):
    inputs = [files / "coadd.fits", out, "--psf", files / "psf.fits", "--objects", files / "objects.fits"]
    return ["shear", "catalogue", *inputs, "--estimator", "fpfs", "--cluster", "threads", *options]


def test_a_coadd_becomes_a_calibrated_catalogue(files, tmp_path, monkeypatch, capsys):
    out = tmp_path / "shear.parquet"
    assert call(monkeypatch, *command(files, out, "--json")) == 0
    done = json.loads(capsys.readouterr().out)
    table = Table.read(out)
    assert done["galaxies"] == len(table) == 225
    found = np.average([table["g1"], table["g2"]], axis=1, weights=table["weight"])
    np.testing.assert_allclose(found, [done["MEANG1"], done["MEANG2"]], atol=1e-7)
    # Of pairs in one direction; the last of an odd number is alone.
    np.testing.assert_allclose(found, G, atol=3 * 0.3 / np.sqrt(2) / 225)
    assert {"ra", "dec", "e1", "de1_dg2", "flux", "dflux_dg2"} < set(table.colnames)
    objects = Table.read(files / "objects.fits")
    np.testing.assert_array_equal(table["ra"], objects["ra"][table["object"]])
    # At zero point 30 half of the light of 300 is within the Gaussian of FPFS.
    assert 60 < np.median(table["flux"]) < 300


def test_without_a_list_objects_are_detected(files, tmp_path, monkeypatch, capsys):
    listed = "--objects", files / "objects.fits"
    options = [option for option in command(files, tmp_path / "shear.fits") if option not in listed]
    assert call(monkeypatch, *options) == 0
    table = Table.read(tmp_path / "shear.fits")
    # One for each galaxy, but at the edge.
    objects = Table.read(files / "objects.fits")
    assert 0.9 * len(objects) < len(table) < 1.05 * len(objects)
    sky, listed = (SkyCoord(one["ra"], one["dec"], unit="deg") for one in (table, objects))
    _, apart, _ = sky.match_to_catalog_sky(listed)
    assert np.mean(apart.arcsec < 0.2) > 0.95
    np.testing.assert_allclose(table["weight"], table["wdet"], rtol=1e-6)
    assert 0 < table["weight"].min() <= table["weight"].max() <= 1
    found = np.average([table["g1"], table["g2"]], axis=1, weights=table["weight"])
    np.testing.assert_allclose(found, G, atol=3 * 0.3 / np.sqrt(2) / 225)
    assert "mean shear g1" in capsys.readouterr().out


@pytest.mark.parametrize("stated", ["PIXSCALE", "WCS"])
def test_a_psf_on_other_pixels_is_refused(files, tmp_path, monkeypatch, capsys, stated):
    head = header() if stated == "WCS" else fits.Header()
    if stated == "WCS":
        head["PC1_1"], head["PC1_2"] = 1.3 * head["PC1_1"], 1.3 * head["PC1_2"]
    else:
        head["PIXSCALE"] = 0.26
    fits.writeto(tmp_path / "psf.fits", fits.getdata(files / "psf.fits"), head)
    options = [tmp_path / "psf.fits" if option == files / "psf.fits" else option for option in command(files, "o.fits")]
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "arcsec per pixel; expected 0.2, as of the coadd" in line
    assert [path.name for path in tmp_path.iterdir()] == ["psf.fits"]


def test_it_is_written_once_and_whole(files, tmp_path, monkeypatch, capsys):
    out = tmp_path / "shear.fits"
    out.write_bytes(b"precious")
    assert call(monkeypatch, *command(files, out)) == 2
    assert "exists; expected a new name, or to overwrite it" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert call(monkeypatch, *command(files, out, "--overwrite")) == 0
    assert "225 galaxies, mean shear g1 = +0.0" in capsys.readouterr().out
    assert len(Table.read(out)) == 225
    assert [path.name for path in tmp_path.iterdir()] == ["shear.fits"]


def test_cuts_and_weights_are_in_the_table(files):
    coadd = read_coadd(files / "coadd.fits")
    objects, psf = Table.read(files / "objects.fits"), fits.getdata(files / "psf.fits")
    shapes = measure(cutouts(coadd, objects["ra"], objects["dec"], psf), "fpfs", recentre=True)
    cut, weights = Selection(above=float(np.median(shapes["flux"])), width=20.0), FluxWeights((2.0, 4.0), (0.2, 1.0))
    table = to_catalogue(shapes, selection=cut, weights=weights)
    assert 80 < np.count_nonzero(table["weight"]) < 200
    expected = calibrate(shapes, cut, weights=weights).g
    np.testing.assert_allclose(
        [np.average(table[name], weights=table["weight"]) for name in ("g1", "g2")], expected, atol=1e-7
    )


def test_a_model_of_the_psf_is_asked_for_each_place(files):
    coadd, psf = read_coadd(files / "coadd.fits"), fits.getdata(files / "psf.fits")
    objects, asked = Table.read(files / "objects.fits")[:6], []

    def model(x, y):
        asked.append((x, y))
        return psf

    found, expected = (
        measure(cutouts(coadd, objects["ra"], objects["dec"], of), "fpfs", recentre=True) for of in (model, psf)
    )
    np.testing.assert_allclose(np.array(asked).T, coadd.wcs.all_world2pix(objects["ra"], objects["dec"], 0))
    np.testing.assert_allclose(found["e1"], expected["e1"], atol=1e-6)
    sizes = iter([21, 21, 5, 21, 21, 21])
    with pytest.raises(InputError, match=r"psf: shape \(5, 5\) at .*; expected \(n, n\), the same everywhere"):
        cutouts(coadd, objects["ra"], objects["dec"], lambda *_: np.full(2 * (next(sizes),), 1e-3))


def test_objects_at_edges_and_on_bad_pixels_are_left_out_and_counted(files):
    objects, psf = Table.read(files / "objects.fits"), fits.getdata(files / "psf.fits")
    coadd = read_coadd(files / "coadd.fits")
    x, y = coadd.wcs.all_world2pix(objects["ra"], objects["dec"], 0)
    coadd.image[int(y[7]), int(x[7])] = np.nan
    coadd.image[int(y[9]) + 20, int(x[9])] = np.nan
    ra, dec = np.append(objects["ra"], [objects["ra"][0] + 90, 150.0]), np.append(objects["dec"], [40.0, 40.05])
    with pytest.warns(UserWarning, match="dropped 2 of 227 objects outside the image or at its edge, 1 on bad pixels"):
        stamps = cutouts(coadd, ra, dec, psf, columns={"z": np.arange(227.0)})
    assert stamps.sizes["galaxy"] == 224
    assert 7 not in stamps["object"].values
    np.testing.assert_array_equal(stamps["z"], stamps["object"])
    assert len(np.unique(stamps["galaxy"])) == 224
    assert np.isfinite(stamps["image"]).all()


@pytest.mark.parametrize("correlated", [False, True])
def test_noise_is_that_of_pixels_without_sources(correlated):
    pixels, *_ = scene(header(), noise=0.6, correlated=correlated)
    pixels[:40, :40] = np.nan
    sigma, correlation = correlation_of_noise(pixels, 64)
    assert sigma == pytest.approx(0.6, rel=0.005)
    if not correlated:
        assert correlation is None
        return
    lag = np.fft.fftfreq(64, 1 / 64)
    expected = np.exp(-(lag**2 + lag[:, None] ** 2) / 4 / 0.8**2)
    np.testing.assert_allclose(correlation, expected, atol=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head.pop("MAGZERO"), "no zero point in its header"),
        (lambda head: [head.pop(name) for name in ("CTYPE1", "CTYPE2")], "no celestial WCS"),
    ],
)
def test_what_a_header_lacks(files, tmp_path, change, message):
    with fits.open(files / "coadd.fits") as hdus:
        change(hdus[0].header)
        hdus.writeto(tmp_path / "lacking.fits")
    with pytest.raises(InputError, match=message):
        read_coadd(tmp_path / "lacking.fits")


def test_what_is_no_coadd(files, tmp_path):
    (tmp_path / "text.fits").write_text("no image")
    fits.writeto(tmp_path / "bad.fits", np.full((50, 50), np.nan), fits.getheader(files / "coadd.fits"))
    for name, message in (("text.fits", "expected a FITS image"), ("bad.fits", "all pixels are bad")):
        with pytest.raises(InputError, match=message):
            read_coadd(tmp_path / name)
    with pytest.raises(InputError, match="no image of two axes"):
        read_coadd(files / "objects.fits")
    coadd = read_coadd(files / "coadd.fits")
    with pytest.raises(InputError, match=r"objects: of 1, 1 are outside the image or at its edge"):
        cutouts(coadd, [0.0], [0.0], np.ones((5, 5)) / 25)
    for ra, message in ((np.ma.array([150.0], mask=[True]), "ra is missing for 1 of 1"), ([[150.0]], "of shape")):
        with pytest.raises(InputError, match=message):
            cutouts(coadd, ra, [40.0], np.ones((5, 5)) / 25)
    with pytest.raises(InputError, match="columns: 'object' is a column of cut-outs"):
        cutouts(coadd, [150.0], [40.0], np.ones((5, 5)) / 25, columns={"object": [1]})
    psf = fits.getdata(files / "psf.fits")
    with pytest.raises(InputError, match="columns: 'z' is masked"):
        cutouts(coadd, [150.0], [40.0], psf, columns={"z": np.ma.array([1.0], mask=[True])})
    with pytest.raises(InputError, match="psf: shape"):
        cutouts(coadd, [150.0], [40.0], np.ones((5, 6)) / 30)


def test_a_bright_galaxy_on_the_edge_of_a_stamp_does_not_ring():
    """Put onto the sky by its Fourier series, a stamp that cuts a bright galaxy would have waves all over it."""
    side, psf = 400, galsim.Moffat(beta=2.5, fwhm=0.8)
    wcs = WCS(header(turn=0.6))
    found = []
    for bright in (0.0, 3e5):
        image = galsim.Image(side, side, scale=0.2)
        for flux, dx in ((300.0, 0), (bright, 34)):
            galaxy = galsim.Convolve(galsim.Exponential(half_light_radius=0.4, flux=flux).shear(g1=0.2), psf)
            galaxy.drawImage(image, center=galsim.PositionD(200 + dx, 200), add_to_image=True)
        ra, dec = wcs.all_pix2world([199.0], [199.0], 0)
        coadd = Coadd(image.array, wcs, Noise(0.01))
        response = psf.drawImage(nx=64, ny=64, scale=0.2).array
        stamps = cutouts(coadd, ra, dec, response / response.sum())
        assert stamps["image"].shape == stamps["renoise"].shape == (1, 64, 64)
        found.append(stamps["image"].values[0])
    added = found[1] - found[0]
    assert added.min() > -5e-4 * added.max()
