"""Null tests: what is put into a catalogue is found, and what is zero is."""

import json
import sys

import numpy as np
import pytest
from astropy.table import Table
from command_line import call

from lensdask.errors import InputError
from lensdask.shear import (
    mean_shear,
    psf_leakage,
    shear_correlation,
    shear_in_bins,
    star_response,
    treecorr_catalogue,
)

G = np.array([0.02, -0.01])


def catalogue(count=20_000, *, seed=0, leakage=0.0, slope=0.0, shear=None, noise=0.05):
    """Return a catalogue of galaxies with responses of their own, under a shear."""
    random = np.random.default_rng(seed)
    ra, dec = 30 + random.uniform(-2, 2, count) / np.cos(np.deg2rad(40)), 40 + random.uniform(-2, 2, count)
    psf = random.normal(0, 0.05, (2, count))
    chip = random.uniform(0, 1, count)
    R = random.uniform(0.2, 0.6, count)
    g = np.broadcast_to(G[:, None], (2, count)) if shear is None else shear(ra, dec)
    e = R * (g + leakage * psf + slope * (chip - 0.5)) + random.normal(0, noise, (2, count))
    weight = random.uniform(0.1, 1, count)
    mean = np.sum(weight * R) / weight.sum()
    columns = {"ra": ra, "dec": dec, "e1": e[0], "e2": e[1], "weight": weight, "g1": e[0] / mean, "g2": e[1] / mean}
    columns |= {"wR11": weight * R, "wR12": 0 * R, "wR21": 0 * R, "wR22": weight * R}
    return Table(columns | {"psf_e1": psf[0], "psf_e2": psf[1], "chip": chip})


def test_the_mean_shear_is_what_was_put_in():
    g, error = mean_shear(catalogue())
    assert (error < 2e-3).all()
    np.testing.assert_allclose(g, G, atol=4 * error.max())


def test_leakage_and_slopes_are_found():
    table = catalogue(leakage=0.1, slope=0.05)
    found = psf_leakage(table)
    for i in (1, 2):
        assert found[f"alpha{i}"] == pytest.approx(0.1, abs=4 * found[f"alpha{i}_error"])
        assert 0 < found[f"alpha{i}_error"] < 0.03
        assert found[f"c{i}"] == pytest.approx(G[i - 1], abs=4 * found[f"c{i}_error"])
    binned = shear_in_bins(table, "chip", 8)
    assert len(binned) == 8
    assert binned["galaxies"].sum() == len(table)
    for i in (1, 2):
        assert binned.meta[f"slope{i}"] == pytest.approx(0.05, abs=4 * binned.meta[f"slope{i}_error"])
    none = shear_in_bins(catalogue(seed=1), "chip", 8)
    for i in (1, 2):
        assert abs(none.meta[f"slope{i}"]) < 4 * none.meta[f"slope{i}_error"]


def test_errors_are_the_scatter_of_catalogues():
    found = [psf_leakage(catalogue(2000, seed=seed)) for seed in range(40)]
    scatter = np.std([one["alpha1"] for one in found], ddof=1)
    assert np.mean([one["alpha1_error"] for one in found]) == pytest.approx(scatter, rel=0.35)


def test_bins_have_a_response_of_their_own():
    """Where it changes along the column, a mean response of all would make a slope of the shear."""
    random = np.random.default_rng(0)
    table = catalogue()
    R = 0.2 + 0.4 * table["chip"]
    for i in (1, 2):
        table[f"e{i}"] = R * G[i - 1] + random.normal(0, 0.02, len(table))
        table[f"wR{i}{i}"] = table["weight"] * R
    found = shear_in_bins(table, "chip", 5)
    for i in (1, 2):
        assert abs(found.meta[f"slope{i}"]) < 4 * found.meta[f"slope{i}_error"]
        assert found.meta[f"slope{i}_error"] < 2e-3


def test_stars_do_not_answer():
    stars = catalogue(5000)
    noise = np.random.default_rng(2).normal(0, 0.3, len(stars))
    for name in ("wR11", "wR22"):
        stars[name] = stars["weight"] * noise
    mean, error = star_response(stars)
    assert abs(mean) < 4 * error
    assert 0.003 < error < 0.01


def waves(kind):
    """Return a shear of E or B modes: that of a plane wave of convergence."""

    def shear(ra, dec):
        # x to the west.
        x, y = -(ra - 30) * np.cos(np.deg2rad(40)) * 60, (dec - 40) * 60
        k, phi = 2 * np.pi / 40, 0.7
        wave = 0.05 * np.cos(k * (x * np.cos(phi) + y * np.sin(phi)))
        turned = {"E": 2 * phi, "B": 2 * phi + np.pi / 2}[kind]
        return np.outer([np.cos(turned), np.sin(turned)], wave)

    return shear


@pytest.mark.parametrize("kind", ["E", "B"])
def test_modes_are_told_apart_in_the_frame_of_the_catalogue(kind):
    found = shear_correlation(catalogue(shear=waves(kind)), least=1.0, most=60.0, bins=12, patches=1)
    place = int(np.argmin(np.abs(found["theta"] - 12)))
    right, wrong = found["map2" if kind == "E" else "mx2"][place], found["mx2" if kind == "E" else "map2"][place]
    assert right > 8 * found["map2_error"][place]
    assert abs(wrong) < 0.1 * right


def test_correlations_are_those_of_pairs():
    table = catalogue(600, shear=waves("E"), noise=0.0)
    found = shear_correlation(table, least=5.0, most=50.0, bins=3, patches=1)
    x = -(table["ra"] - 30) * np.cos(np.deg2rad(40)) * 60
    place, g, w = x + 1j * (table["dec"] - 40) * 60, table["g1"] + 1j * table["g2"], np.asarray(table["weight"])
    first, second = np.triu_indices(len(table), 1)
    apart, both = np.asarray(place[second] - place[first]), w[first] * w[second]
    turned = [np.asarray(g[side]) * (np.conj(apart) / np.abs(apart)) ** 2 for side in (first, second)]
    edges = 5.0 * 10 ** (np.arange(4) / 3)
    for number in range(3):
        inside = (np.abs(apart) >= edges[number]) & (np.abs(apart) < edges[number + 1])
        plus = np.average((turned[0] * np.conj(turned[1])).real[inside], weights=both[inside])
        minus = np.average((turned[0] * turned[1]).real[inside], weights=both[inside])
        # TreeCorr bins groups of galaxies, and places are on a sphere.
        scale = np.abs([plus, minus]).max()
        np.testing.assert_allclose(
            [found["xi_plus"][number], found["xi_minus"][number]], [plus, minus], atol=0.1 * scale
        )


def test_a_page_of_null_tests(tmp_path, monkeypatch, capsys):
    catalogue(4000, leakage=0.2).write(tmp_path / "shear.parquet")
    stars = catalogue(300)
    stars.write(tmp_path / "stars.fits")
    inputs = [tmp_path / "shear.parquet", tmp_path / "out", "--column", "chip", "--column", "psf_e1"]
    command = ["shear", "null", *inputs, "--stars", tmp_path / "stars.fits", "--bins", "4", "--patches", "5"]
    assert call(monkeypatch, *command, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "result.json").read_text())
    rows = {one["quantity"]: one for one in printed["rows"] if "x" not in one}
    assert rows["PSF leakage alpha1"]["measured"] == pytest.approx(0.2, abs=0.15)
    assert rows["response of stars"]["measured"] == pytest.approx(0.4, abs=0.05)
    assert {"mean g1", "slope of g2 with chip", "slope of g1 with psf_e1"} < rows.keys()
    assert sum(one["quantity"].startswith("B modes") for one in printed["rows"]) == 10
    assert (tmp_path / "out" / "null.png").stat().st_size > 10_000
    assert call(monkeypatch, *command) == 2
    assert "exists; expected a new directory, or to overwrite it" in capsys.readouterr().err
    assert call(monkeypatch, *command, "--overwrite") == 0
    assert "slope of g1 with chip: " in capsys.readouterr().out


def test_what_is_no_catalogue(tmp_path, monkeypatch, capsys):
    table = catalogue(50)
    for change, message in (
        (lambda t: t.remove_column("wR12"), "no column 'wR12'"),
        (lambda t: t["e1"].__setitem__(3, np.nan), "e1 is not finite for 1 galaxies"),
    ):
        bad = table.copy()
        change(bad)
        with pytest.raises(InputError, match=message):
            mean_shear(bad)
    with pytest.raises(InputError, match="2 or more"):
        mean_shear(table[:1])
    with pytest.raises(InputError, match="has too few values for 10 bins"):
        shear_in_bins(_same(table), "chip")
    with pytest.raises(InputError, match=r"psf_e1 is 0\.1 everywhere"):
        psf_leakage(_same(table))
    with pytest.raises(InputError, match="no column ra, dec; expected a table"):
        treecorr_catalogue(table[["g1", "g2", "weight"]])
    with pytest.raises(InputError, match="50 galaxies with a weight; expected 60 or more"):
        treecorr_catalogue(table, patches=60)
    (tmp_path / "text.fits").write_text("no table")
    assert call(monkeypatch, "shear", "null", tmp_path / "text.fits", tmp_path / "out") == 2
    assert "expected a catalogue of lensdask shear catalogue" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "treecorr", None)
    with pytest.raises(InputError, match="pip install treecorr"):
        treecorr_catalogue(table)


def _same(table):
    """Return a catalogue whose column and PSF are the same everywhere."""
    same = table.copy()
    same["chip"], same["psf_e1"] = 0.5, 0.1
    return same
