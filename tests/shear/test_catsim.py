from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.shear.simulation.catsim import (
    COLUMNS,
    CatSim,
    Galaxies,
    MockCatSim,
    galaxies,
    mock_galaxies,
    read_catsim,
)

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "catsim_sample.fits"
IDS = np.arange(4000)


@pytest.fixture(scope="module")
def mock() -> Galaxies:
    return mock_galaxies(1, IDS)


@pytest.fixture(scope="module")
def sample() -> Galaxies:
    if not SAMPLE.exists():
        pytest.skip("the CatSim sample is not in ../shared/data")
    return read_catsim(SAMPLE).rows


def write(path: Path, rows: Galaxies) -> Path:
    fits.BinTableHDU(rows).writeto(path)
    return path


def ks_probability(x: np.ndarray, y: np.ndarray) -> float:
    """Two-sample Kolmogorov-Smirnov p-value, asymptotic form of Stephens (1970)."""
    both = np.concatenate([x, y])
    below = [np.searchsorted(np.sort(v), both, side="right") / len(v) for v in (x, y)]
    root = np.sqrt(len(x) * len(y) / (len(x) + len(y)))
    scaled = (root + 0.12 + 0.11 / root) * np.abs(below[0] - below[1]).max()
    k = np.arange(1, 101)
    terms = 2 * (-1.0) ** (k - 1) * np.exp(-2 * (k * scaled) ** 2)
    return float(np.clip(terms.sum(), 0, 1))


def has_bulge(rows: Galaxies) -> np.ndarray:
    return rows["fluxnorm_bulge"] > 0


# The mock


def test_columns_are_the_documented_ones(mock: Galaxies) -> None:
    assert mock.dtype.names == tuple(COLUMNS)
    np.testing.assert_array_equal(mock["galtileid"], IDS)


def test_all_values_are_physical(mock: Galaxies) -> None:
    for name in COLUMNS:
        assert np.isfinite(mock[name]).all(), name
    for part, axis in (("bulge", "b"), ("disk", "d")):
        weight, a, b = mock[f"fluxnorm_{part}"], mock[f"a_{axis}"], mock[f"b_{axis}"]
        assert (weight >= 0).all()
        assert ((b > 0) & (b <= a))[weight > 0].all()
        for name in (f"a_{axis}", f"b_{axis}", f"pa_{part}"):
            assert not mock[name][weight == 0].any(), "an absent component has axes and angle 0"
    assert (mock["redshift"] > 0).all()


def test_light_is_split_between_disc_and_bulge(mock: Galaxies) -> None:
    total = mock["fluxnorm_bulge"] + mock["fluxnorm_disk"]
    np.testing.assert_allclose(total * 10 ** (0.4 * mock["i_ab"]), 5e-8, rtol=1e-12)
    ratio = mock["fluxnorm_bulge"] / total
    assert 0.02 < np.median(ratio[has_bulge(mock)]) < 0.15
    assert (ratio == 0).any()
    assert ((ratio >= 0.8) & (ratio < 1)).any()
    assert (ratio == 1).any()
    both = (ratio > 0) & (ratio < 1)
    np.testing.assert_array_equal(mock["pa_bulge"][both], mock["pa_disk"][both])


@pytest.mark.parametrize("limit", [18.0, 23.0, 25.3, 28.0])
def test_magnitude_limit(limit: float) -> None:
    i_ab = mock_galaxies(3, range(500), limit)["i_ab"]
    assert i_ab.max() < limit
    assert i_ab.max() > limit - 0.1
    assert i_ab.min() >= 17.0


def test_counts_follow_the_two_power_laws() -> None:
    i_ab = mock_galaxies(4, range(20000), 27.0)["i_ab"]
    number, _ = np.histogram(i_ab, [22, 23, 24, 25, 26, 27])
    growth = np.log10(number[1:] / number[:-1])
    np.testing.assert_allclose(growth[:2], 0.31, atol=0.06)
    np.testing.assert_allclose(growth[3], 0.15, atol=0.03)


@pytest.mark.parametrize("limit", [17.0, 28.1, float("nan")])
def test_magnitude_limit_outside_the_mock(limit: float) -> None:
    with pytest.raises(InputError, match="magnitude limit"):
        mock_galaxies(1, [0], limit)


def test_discs_shrink_and_bulges_fade_with_magnitude() -> None:
    rows = mock_galaxies(5, range(6000), 28.0)
    bright, faint = rows[rows["i_ab"] < 24.5], rows[rows["i_ab"] > 27]
    assert np.median(bright["a_d"][bright["a_d"] > 0]) > 1.3 * np.median(faint["a_d"])
    assert has_bulge(bright).mean() > 0.4
    assert has_bulge(faint).mean() < 0.15


# Ids


@given(st.lists(st.integers(0, 2**62), max_size=12), st.integers(0, 12), st.integers(0, 2**62))
def test_a_galaxy_does_not_depend_on_its_chunk(ids: list[int], cut: int, seed: int) -> None:
    for source in (MockCatSim(), CatSim(mock_galaxies(0, range(30)))):
        whole = galaxies(source, seed, ids)
        parts = [galaxies(source, seed, ids[:cut]), galaxies(source, seed, ids[cut:])]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        np.testing.assert_array_equal(whole[::-1], galaxies(source, seed, ids[::-1]))


def test_seeds_and_ids_give_different_galaxies(mock: Galaxies) -> None:
    assert len(np.unique(mock["i_ab"])) == len(mock)
    assert not (mock_galaxies(2, IDS[:100])["i_ab"] == mock["i_ab"][:100]).any()


def test_rows_of_a_catalogue_are_drawn_with_equal_chances(mock: Galaxies) -> None:
    drawn = galaxies(CatSim(mock[:10]), 7, range(2000))
    number = np.bincount(drawn["galtileid"], minlength=10)
    np.testing.assert_allclose(number, 200, atol=5 * np.sqrt(180))


def test_fingerprints_tell_sources_apart(mock: Galaxies) -> None:
    sources = [MockCatSim(), MockCatSim(24.0), CatSim(mock), CatSim(mock[:-1])]
    assert len({source.fingerprint for source in sources}) == 4
    assert CatSim(mock.copy()).fingerprint == CatSim(mock).fingerprint


# The reader


def test_round_trip_through_a_file(mock: Galaxies, tmp_path: Path) -> None:
    path = write(tmp_path / "mock.fits", mock)
    np.testing.assert_array_equal(read_catsim(path).rows, mock)
    bright = read_catsim(path, 24.0).rows
    np.testing.assert_array_equal(bright, mock[mock["i_ab"] < 24.0])


def test_other_columns_and_bare_nuclei_are_ignored(mock: Galaxies, tmp_path: Path) -> None:
    table = Table(mock)
    table["u_ab"] = np.nan
    nucleus = table[:1].copy()
    for name in ("fluxnorm_bulge", "fluxnorm_disk"):
        nucleus[name] = 0.0
    path = tmp_path / "wide.fits"
    Table(np.concatenate([table.as_array(), nucleus.as_array()])).write(path)
    np.testing.assert_array_equal(read_catsim(path).rows, mock)


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column(column: str, mock: Galaxies, tmp_path: Path) -> None:
    path = write(tmp_path / "short.fits", mock[[name for name in COLUMNS if name != column]])
    with pytest.raises(InputError, match=rf"short\.fits: no column {column};"):
        read_catsim(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("i_ab", np.nan, "i_ab: 1 of 20 galaxies are bad; expected finite"),
        ("a_d", np.inf, "a_d: 1 of 20"),
        ("fluxnorm_bulge", -1e-18, "fluxnorm_bulge: 1 of 20"),
        ("b_d", 0.0, "a_d, b_d: 1 of 20 galaxies are bad; expected 0 < b <= a"),
        ("b_d", 99.0, "a_d, b_d: 1 of 20"),
    ],
)
def test_bad_value(column: str, value: float, message: str, mock: Galaxies, tmp_path: Path) -> None:
    rows = mock[mock["a_d"] > 0][:20].copy()
    rows[column][3] = value
    with pytest.raises(InputError, match=message) as error:
        read_catsim(write(tmp_path / "bad.fits", rows))
    assert "bad.fits" in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_brighter_than_the_limit(mock: Galaxies, tmp_path: Path) -> None:
    path = write(tmp_path / "faint.fits", mock)
    with pytest.raises(InputError, match=r"faint\.fits: no galaxy .* i_ab < 10"):
        read_catsim(path, 10.0)


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
def test_unreadable_file(mock: Galaxies, tmp_path: Path) -> None:
    (tmp_path / "text.fits").write_text("not a FITS file")
    (tmp_path / "empty.fits").touch()
    whole = write(tmp_path / "whole.fits", mock).read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[: len(whole) // 2])
    for name in ("absent.fits", "text.fits", "empty.fits", "cut.fits", ""):
        with pytest.raises(InputError, match=r"cannot be read .*expected a table of CatSim") as error:
            read_catsim(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)


def test_file_without_a_table(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match=r"image\.fits: no table; expected a table of CatSim galaxies with galtileid"):
        read_catsim(tmp_path / "image.fits")


def test_column_of_text(mock: Galaxies, tmp_path: Path) -> None:
    table = Table(mock)
    table.replace_column("i_ab", ["bright"] * len(table))
    table.write(tmp_path / "text.fits")
    with pytest.raises(InputError, match="column i_ab: text; expected one real number"):
        read_catsim(tmp_path / "text.fits")


def test_masked_rows_are_dropped_and_angles_converted(mock: Galaxies, tmp_path: Path) -> None:
    table = Table(mock[:20], masked=True)
    for name in ("a_b", "a_d", "b_b", "b_d"):
        table[name].unit = "arcsec"
        table[name] = table[name].to("arcmin")
    table["i_ab"].mask[[2, 5]] = True
    table.write(tmp_path / "mock.ecsv")
    lines: list[str] = []
    rows = read_catsim(tmp_path / "mock.ecsv", warn=lines.append).rows
    assert lines == [f"{tmp_path / 'mock.ecsv'}: dropped 2 of 20 galaxies with a missing value"]
    expected = np.delete(mock[:20], [2, 5])
    for name in COLUMNS:
        np.testing.assert_allclose(rows[name], expected[name], rtol=1e-12)


# The real sample


def test_real_sample(sample: Galaxies) -> None:
    assert len(sample) == 24
    assert sample["i_ab"].max() < 25.3
    assert len(read_catsim(SAMPLE, 99.0).rows) == 100


def test_mock_follows_the_real_sample(mock: Galaxies, sample: Galaxies) -> None:
    ours, theirs = mock[mock["a_d"] > 0], sample[sample["a_d"] > 0]
    assert ks_probability(mock["i_ab"], sample["i_ab"]) > 0.01
    assert ks_probability(ours["a_d"], theirs["a_d"]) > 0.01
    assert ks_probability(ours["b_d"] / ours["a_d"], theirs["b_d"] / theirs["a_d"]) > 0.01


def test_mock_has_as_many_bulges_as_the_real_sample(mock: Galaxies, sample: Galaxies) -> None:
    ours, theirs = has_bulge(mock).mean(), has_bulge(sample).mean()
    error = np.sqrt(theirs * (1 - theirs) / len(sample))
    assert abs(ours - theirs) < 3 * error
    ours, theirs = mock[has_bulge(mock)], sample[has_bulge(sample)]
    assert ks_probability(ours["a_b"], theirs["a_b"]) > 0.01
    assert ks_probability(ours["b_b"] / ours["a_b"], theirs["b_b"] / theirs["a_b"]) > 0.01
    ratio = [v["fluxnorm_bulge"] / (v["fluxnorm_bulge"] + v["fluxnorm_disk"]) for v in (ours, theirs)]
    assert ks_probability(*ratio) > 0.01


def test_ks_probability_tells_distributions_apart() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 300))
    assert ks_probability(x, y) > 0.05
    assert ks_probability(x, y + 1) < 1e-6
