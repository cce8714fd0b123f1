"""Columns of FITS tables: names in either case, the byte order of the machine, missing values, errors of one line."""

import numpy as np
import pytest
from astropy.io import fits

from lensdask.data import check_unchanged, file_sha256
from lensdask.data.tables import read_columns, read_shear_catalogue
from lensdask.errors import InputError


@pytest.fixture
def path(tmp_path):
    columns = [
        fits.Column(name="RA", format="D", array=np.array([1.5, np.nan])),
        fits.Column(name="magnitude", format="J", array=np.array([24, -99]), null=-99),
        fits.Column(name="scaled", format="I", array=np.array([0, 3]), null=3),
        fits.Column(name="name", format="4A", array=np.array(["a", "b"])),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "table.fits")
    # As stored, 0 and 3 stand for 1 and 2.5.
    for key, value in {"TSCAL3": 0.5, "TZERO3": 1.0}.items():
        fits.setval(tmp_path / "table.fits", key, value=value, ext=1)
    return tmp_path / "table.fits"


def test_columns_have_the_type_and_the_byte_order_that_were_asked_for(path):
    found = read_columns(path, {"ra": np.float64, "MAGNITUDE": np.int64}, "stars")
    assert list(found) == ["ra", "MAGNITUDE"]
    np.testing.assert_array_equal(found["ra"], [1.5, np.nan])
    np.testing.assert_array_equal(found["MAGNITUDE"], [24, -99])
    assert [column.dtype for column in found.values()] == [np.dtype("=f8"), np.dtype("=i8")]


def test_missing_whole_numbers_are_no_number(path):
    found = read_columns(path, {"magnitude": "f8", "scaled": "f8"}, "stars")
    np.testing.assert_array_equal(found["magnitude"], [24, np.nan])
    np.testing.assert_array_equal(found["scaled"], [1.0, np.nan])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ra", "dec", "g1"], "no column dec, g1; it has RA, magnitude, scaled, name; expected a FITS table of stars$"),
        (["name"], r"cannot be read \(.*\); expected a FITS table of stars$"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(path, names, message):
    with pytest.raises(InputError, match=message) as refused:
        read_columns(path, dict.fromkeys(names, np.float64), "stars")
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_shear_catalogue_has_its_roles(path):
    found = read_shear_catalogue(path, ["ra", "magnitude", "ra", "scaled"])
    assert list(found) == ["x", "y", "g1", "g2"]
    np.testing.assert_array_equal(found["g1"], [1.5, np.nan])


def test_a_file_that_was_replaced_is_not_the_one_of_the_run(path):
    before = file_sha256(path)
    check_unchanged(path, file_sha256(path), before, "catalogue")
    path.write_bytes(b"another")
    with pytest.raises(InputError, match=r"table\.fits: changed since the run began; expected the same catalogue"):
        check_unchanged(path, file_sha256(path), before, "catalogue")
