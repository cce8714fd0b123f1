"""Tables of others: every format, names in either case, byte order, missing values, errors of one line."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensdask.data import check_unchanged, file_sha256
from lensdask.data.catalogues.columns import CatalogueWarning
from lensdask.data.tables import ShearCatalogue, column_blocks, read_columns, read_shear_catalogue
from lensdask.errors import InputError

NAMES = ["ra", "dec", "g1", "g2", "weight"]
WRITTEN = ["RA", "Dec", "g1", "g2", "weight"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = [
        fits.Column(name="RA", format="D", array=np.array([1.5, np.nan])),
        fits.Column(name="magnitude", format="J", array=np.array([24, -99]), null=-99),
        fits.Column(name="scaled", format="I", array=np.array([0, 3]), null=3),
        fits.Column(name="name", format="4A", array=np.array(["a", "b"])),
        fits.Column(name="e", format="2D", array=np.zeros((2, 2))),
        fits.Column(name="wave", format="C", array=np.zeros(2)),
        fits.Column(name="lists", format="PD()", array=np.array([[1.0], [1.0, 2.0]], dtype=object)),
        fits.Column(name="size", format="D", array=np.array([1.5, 2.0])),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "table.fits")
    # As stored, 0 and 3 stand for 1 and 2.5.
    for key, value in {"TSCAL3": 0.5, "TZERO3": 1.0}.items():
        fits.setval(tmp_path / "table.fits", key, value=value, ext=1)
    return tmp_path / "table.fits"


def test_columns_have_the_byte_order_of_the_machine(path: Path) -> None:
    found = read_columns(path, ["ra", "MAGNITUDE"], "stars")
    assert list(found) == ["ra", "MAGNITUDE"]
    np.testing.assert_array_equal(found["ra"].data, [1.5, np.nan])
    np.testing.assert_array_equal(found["MAGNITUDE"].data.data, [24, -99])
    assert [column.dtype for column in found.values()] == [np.dtype("=f8"), np.dtype("=i4")]


def test_numbers_that_stand_for_none_are_masked(path: Path) -> None:
    found = read_columns(path, ["magnitude", "scaled"], "stars")
    assert found["magnitude"].mask.tolist() == [False, True]
    assert found["scaled"].mask.tolist() == [False, True]
    assert found["scaled"][0] == 1.0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["ra", "dec"],
            "no column dec; it has RA, magnitude, scaled, name, e, wave, lists, size; expected a table of stars$",
        ),
        (["name"], "column name: text; expected one real number in each row$"),
        (["e"], "column e: 2 numbers in each row; expected one real number in each row$"),
        (["wave"], "column wave: complex numbers; expected"),
        (["lists"], "column lists: text or lists; expected"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_columns(path, names, "stars")
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def galaxies(count: int = 20) -> Table:
    rng = np.random.default_rng(3)
    places = {"RA": rng.uniform(150, 151, count), "Dec": rng.uniform(2, 3, count)}
    shear = {name: rng.normal(0, 0.2, count) for name in ("g1", "g2")}
    weight = MaskedColumn(rng.uniform(0.5, 1, count), mask=np.arange(count) % 7 == 3)
    table = Table(places | shear | {"weight": weight, "tile": ["a"] * count})
    table["RA"].unit = "deg"
    return table


def as_csv(table: Table, path: Path) -> None:
    table.write(path, format="ascii.csv")


def as_ecsv(table: Table, path: Path) -> None:
    table["RA"] = table["RA"].to("rad")
    table.write(path, format="ascii.ecsv")


def as_fits(table: Table, path: Path) -> None:
    columns = [
        fits.Column(name, "D", array=np.asarray(table[name]), unit=str(table[name].unit or "")) for name in WRITTEN
    ]
    # A whole number stands for no weight, as FITS has it.
    weight = np.where(table["weight"].mask, -1, 1e6 * np.ma.filled(table["weight"], 0))
    columns[-1] = fits.Column("weight", "J", array=weight.astype(int), null=-1)
    fits.BinTableHDU.from_columns(columns).writeto(path)


def as_ldac(table: Table, path: Path) -> None:
    as_fits(table, path)
    header = fits.BinTableHDU.from_columns([fits.Column("Field Header Card", "80A", array=["x"])], name="LDAC_IMHEAD")
    objects = fits.BinTableHDU(fits.getdata(path, 1), fits.getheader(path, 1), name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), header, objects]).writeto(path, overwrite=True)


def as_packed_fits(table: Table, path: Path) -> None:
    as_fits(table, path.with_name("unpacked.fits"))
    path.write_bytes(gzip.compress(path.with_name("unpacked.fits").read_bytes()))


def as_astropy_hdf5(table: Table, path: Path) -> None:
    table["RA"] = table["RA"].to("rad")
    table.write(path, path="some/galaxies", serialize_meta=True, format="hdf5")


def as_parquet(table: Table, path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    arrays = {name: pa.array(np.asarray(table[name])) for name in WRITTEN}
    arrays["weight"] = pa.array(np.asarray(table["weight"]), mask=np.asarray(table["weight"].mask))
    fields = [
        pa.field(name, array.type, metadata={"unit": "deg"} if name == "RA" else None) for name, array in arrays.items()
    ]
    parquet.write_table(pa.table(arrays, schema=pa.schema(fields)), path)


WRITERS: dict[str, Callable[[Table, Path], None]] = {
    "a.csv": as_csv,
    "a.ecsv": as_ecsv,
    "a.fits": as_fits,
    "a.cat": as_ldac,
    "a.fits.gz": as_packed_fits,
    "a.hdf5": as_astropy_hdf5,
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_catalogue_is_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    table = galaxies()
    kept = ~table["weight"].mask
    expected = [np.asarray(table[column])[kept] for column in WRITTEN]
    WRITERS[name](table, tmp_path / name)
    lines: list[str] = []
    found = read_shear_catalogue(tmp_path / name, NAMES, warn=lines.append)
    assert lines == [f"{tmp_path / name}: dropped 3 of 20 galaxies: 3 with a missing value (weight)"]
    assert list(found) == ["x", "y", "g1", "g2", "weight"]
    for column, values in zip(found.values(), expected, strict=True):
        assert column.dtype == np.dtype("=f8")
        np.testing.assert_allclose(column / column[0], values / values[0], rtol=1e-5)
    np.testing.assert_allclose(found["x"], expected[0], rtol=1e-14)
    with pytest.raises(InputError, match="no column e1; it") as refused:
        read_columns(tmp_path / name, ["ra", "e1"], "galaxies")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("rows", [1, 3, 7, 20, 50])
@pytest.mark.parametrize("name", [*WRITERS, "groups.parquet"])
def test_blocks_of_any_size_are_the_catalogue(tmp_path: Path, name: str, rows: int) -> None:
    table, path = galaxies(), tmp_path / name
    table["g1"][[5, 12]] = np.nan
    table["weight"][[0, 9]] = 0
    if name == "groups.parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        as_parquet(table, tmp_path / "a.parquet")
        parquet.write_table(parquet.read_table(tmp_path / "a.parquet"), path, row_group_size=8)
    else:
        WRITERS[name](table, path)
    options = {"flip_g2": True, "response": 0.7, "drop_bad": True}
    found_lines: list[str] = []
    lines: list[str] = []
    blocks = ShearCatalogue(path, NAMES, **options, rows=rows, warn=found_lines.append)
    whole = read_shear_catalogue(path, NAMES, **options, warn=lines.append)
    for _ in range(2):
        found = list(blocks)
        for role, column in whole.items():
            np.testing.assert_array_equal(np.concatenate([block[role] for block in found]), column)
    assert found_lines == lines
    assert len(lines) == 1
    assert blocks.used == len(whole["x"])
    with pytest.raises(InputError, match="g1: not finite for 2 of 20 galaxies"):
        list(ShearCatalogue(path, NAMES, rows=rows))


def test_blocks_of_scaled_columns(path: Path) -> None:
    (whole,) = column_blocks(path, ["ra", "magnitude", "scaled"], "stars")
    blocks = list(column_blocks(path, ["ra", "magnitude", "scaled"], "stars", rows=1))
    assert len(blocks) == 2
    for name, column in whole.items():
        np.testing.assert_array_equal(np.concatenate([block[name].data.data for block in blocks]), column.data.data)
        assert [bool(np.ma.getmaskarray(block[name])[0]) for block in blocks] == np.ma.getmaskarray(column).tolist()


def test_cells_of_text_in_fits_that_stand_for_none(tmp_path: Path) -> None:
    columns = [
        fits.Column("ra", "F8.3", array=np.array([1.5, 2.5, 3.5, 4.5]), ascii=True),
        fits.Column("count", "I6", array=np.array([11, 12, 13, 14]), null="NULL", ascii=True),
    ]
    path = tmp_path / "a.fits"
    fits.TableHDU.from_columns(columns).writeto(path)
    content = path.read_bytes()
    for cell, text in {b"    12": b"  NULL", b"    13": b"      ", b"   4.500": b"        "}.items():
        assert content.count(cell) == 1
        content = content.replace(cell, text)
    path.write_bytes(content)
    for rows in (None, 1):
        blocks = list(column_blocks(path, ["ra", "count"], "galaxies", rows=rows))
        ra, count = (np.ma.concatenate([block[name] for block in blocks]) for name in ("ra", "count"))
        assert ra.tolist() == [1.5, 2.5, 3.5, None]
        assert count.tolist() == [11, None, None, 14]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", [None, 7])
def test_a_fits_table_that_does_not_add_up_is_refused(tmp_path: Path, packed: bool, rows: int | None) -> None:
    path = tmp_path / "a.fits"
    values = np.arange(1000.0)
    table = fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=values)], name="stars")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, checksum=True)
    content = bytearray(path.read_bytes())
    for damaged in (False, True):
        if damaged:
            content[content.index(values[500:].astype(">f8")[:9].tobytes())] ^= 1
        path.write_bytes(gzip.compress(content) if packed else content)
        if not damaged:
            blocks = list(column_blocks(path, ["ra"], "stars", rows=rows))
            np.testing.assert_array_equal(np.ma.concatenate([block["ra"] for block in blocks]), values)
            continue
        with pytest.raises(InputError, match=r"its table STARS is not what its header says \(DATASUM\); expected"):
            list(column_blocks(path, ["ra"], "stars", rows=rows))


def test_a_pipe_is_no_catalogue(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"a\.csv is a device, a pipe or a socket; expected a catalogue, as FITS"):
        read_columns(tmp_path / "a.csv", ["ra"], "stars")


@pytest.mark.parametrize("key", [b"unit", b"units", b"Units"])
def test_units_of_parquet_by_any_key(tmp_path: Path, key: bytes) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    schema = pa.schema([pa.field("ra", pa.float64(), metadata={key: b"rad"})])
    parquet.write_table(pa.table({"ra": pa.array([1.0])}, schema=schema), tmp_path / "a.parquet")
    assert read_columns(tmp_path / "a.parquet", ["ra"], "stars")["ra"].unit == "rad"


@pytest.mark.parametrize("key", ["unit", "UNIT", "Units", "UNITS"])
def test_attributes_of_hdf5(tmp_path: Path, key: str) -> None:
    marked = {"_FillValue": -999.9, "missing_value": np.array([7.0])}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ra"] = np.array([1, -999.9, 7, np.nan], dtype=np.float32)
        file["dec"] = np.array([1, 2, 3, np.nan])
        file["count"] = np.array([1, -1, 3, 4])
        file["ra"].attrs.update(marked | {key: np.array([b"rad"])})
        file["dec"].attrs["_FillValue"] = np.nan
        file["count"].attrs["_FillValue"] = -1
        file["count"].attrs.update({"scale_factor": 0.5, "add_offset": 10.0})
    found = read_columns(tmp_path / "a.h5", ["ra", "dec", "count"], "stars")
    assert found["ra"].mask.tolist() == [False, True, True, False]
    assert found["ra"].unit == "rad"
    assert found["dec"].tolist() == [1, 2, 3, None]
    assert found["count"].tolist() == [10.5, None, 11.5, 12]


def test_columns_of_hdf5_of_different_lengths_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ra"], file["dec"], file["one"] = np.zeros(3), np.zeros(2), 1.0
    for names, message in {
        ("RA", "dec"): r"a\.h5: columns of different lengths, ra of 3 rows, dec of 2 rows; expected one length",
        ("ra", "one"): r"a\.h5: column one: a single number; expected one real number in each row",
    }.items():
        with pytest.raises(InputError, match=message):
            read_columns(tmp_path / "a.h5", names, "stars")


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    """Arrays in groups, as the catalogues of DES have them, one of which is a link out of the file."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros(3)
    with h5py.File(tmp_path / "catalogue.h5", "w") as file:
        file["index/select"] = np.arange(3)
        for group, value in {"sheared_1p": 1.0, "unsheared": 2.0}.items():
            for name in NAMES:
                file[f"catalog/{group}/{name}"] = np.full(3, value)
        file["catalog/unsheared/ra"].attrs["units"] = "rad"
        file["secret"] = h5py.ExternalLink("other.h5", "secret")
    return tmp_path / "catalogue.h5"


def test_groups_of_hdf5_are_tables(hdf5: Path) -> None:
    assert read_columns(hdf5, ["RA"], "galaxies")["RA"].tolist() == [1.0] * 3
    assert read_columns(hdf5, ["catalog/unsheared/ra", "index/select"], "galaxies")["index/select"].tolist() == [
        0,
        1,
        2,
    ]
    found = read_shear_catalogue(hdf5, NAMES, hdu="catalog/unsheared")
    np.testing.assert_allclose(found["x"], np.degrees(2.0))
    with pytest.raises(InputError, match="no table catalog/sheared_9"):
        read_columns(hdf5, ["ra"], "galaxies", hdu="catalog/sheared_9")
    with pytest.raises(InputError, match="no column secret"):
        read_columns(hdf5, ["secret"], "galaxies")


def test_tables_of_a_fits_file_are_chosen(tmp_path: Path) -> None:
    tables = [
        fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=[value])], name=name)
        for name, value in {"first": 1.0, "second": 2.0}.items()
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(tmp_path / "two.fits")
    for hdu, value in {None: 1.0, 1: 1.0, 2: 2.0, "second": 2.0}.items():
        assert read_columns(tmp_path / "two.fits", ["ra"], "stars", hdu=hdu)["ra"].tolist() == [value]
    for hdu in (0, 3, "third"):
        with pytest.raises(InputError, match=f"two.fits: no table {hdu}; expected a table of stars"):
            read_columns(tmp_path / "two.fits", ["ra"], "stars", hdu=hdu)


def test_cells_of_text_are_empty_or_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("# a comment\nra, dec, g1, g2\n1,2,0.1,\n1,2,NA,0.1\n1,2,0.2,0.1\n1,2,nan,0.1\n")
    found = read_columns(path, ["ra", "g1", "g2"], "galaxies")
    assert found["g1"].mask.tolist() == [False, True, False, False]
    assert found["g2"].mask.tolist() == [True, False, False, False]
    # The word nan is a number that is none.
    with pytest.raises(InputError, match=r"a\.csv: g1: not finite for 1 of 4 galaxies; .*drop_bad"):
        read_shear_catalogue(path, NAMES[:4])
    lines: list[str] = []
    assert len(read_shear_catalogue(path, NAMES[:4], drop_bad=True, warn=lines.append)["x"]) == 1
    assert lines == [f"{path}: dropped 3 of 4 galaxies: 2 with a missing value (g1, g2), 1 not finite (g1)"]


HEADER = "ra,dec,g1,g2,weight,z,mag\n"


@pytest.mark.parametrize("rows", [None, 1, 2])
@pytest.mark.parametrize("ends", [[",", ","], ["", ",, ,"], [", # a, b, c", ""]])
def test_commas_at_the_ends_of_lines_are_no_columns(tmp_path: Path, rows: int | None, ends: list[str]) -> None:
    path = tmp_path / "a.csv"
    lines = ["150.1,2.1,0.1,0.2,1,0.5,22", "150.2,2.2,0.3,0.4,2,0.6,23"]
    path.write_text(HEADER + "".join(f"{line}{end}\n" for line, end in zip(lines, ends, strict=True)))
    blocks = list(column_blocks(path, ["ra", "weight"], "galaxies", rows=rows))
    assert np.ma.concatenate([block["ra"] for block in blocks]).tolist() == [150.1, 150.2]
    assert np.ma.concatenate([block["weight"] for block in blocks]).tolist() == [1, 2]


@pytest.mark.parametrize("surplus", [",1,2", ",,7", ",x", ',"a, b"'])
@pytest.mark.parametrize("packed", [False, True])
def test_rows_longer_than_the_header_are_refused(tmp_path: Path, surplus: str, packed: bool) -> None:
    content = f'# a "comment\n{HEADER}150.1,2.1,0.1,0.2,1,0.5,22\n150.2,2.2,0.3,0.4,2,0.6,23{surplus}\n'
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    with pytest.raises(InputError, match=r"line 4 has [89] fields; expected 7 at most, as its header has"):
        list(column_blocks(path, ["ra"], "galaxies", rows=1))


def test_commas_in_text_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('ra,name,g1\n1,"a, b",0.1 # c, d, "e\n2,"f,\ng,",0.2\n3,"h "", i",0.3\n')
    found = read_columns(path, ["ra", "g1"], "galaxies")
    assert found["ra"].tolist() == [1, 2, 3]
    assert found["g1"].tolist() == [0.1, 0.2, 0.3]


def test_a_catalogue_without_rows_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    with pytest.raises(InputError, match=r"a\.csv: no rows; expected some galaxies$"):
        read_shear_catalogue(tmp_path / "a.csv", NAMES)


def test_a_shear_catalogue_has_its_roles(path: Path) -> None:
    with pytest.warns(CatalogueWarning, match=r"dropped 1 of 2 galaxies: 1 with a missing value \(y, g2\)"):
        found = read_shear_catalogue(path, ["ra", "magnitude", "size", "scaled"], drop_bad=True)
    assert {name: column.tolist() for name, column in found.items()} == {
        "x": [1.5],
        "y": [24.0],
        "g1": [1.5],
        "g2": [1.0],
    }


def test_flat_positions_are_arcmin(tmp_path: Path) -> None:
    table = galaxies()
    as_fits(table, tmp_path / "a.fits")
    with pytest.warns(CatalogueWarning):
        found = read_shear_catalogue(tmp_path / "a.fits", NAMES, sky=False)
    kept = ~table["weight"].mask
    # What states degrees is converted, and what states nothing is arcmin.
    np.testing.assert_allclose(found["x"], 60 * np.asarray(table["RA"])[kept], rtol=1e-14)
    np.testing.assert_allclose(found["y"], np.asarray(table["Dec"])[kept], rtol=1e-14)


def test_units_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    table = galaxies()
    table["g1"].unit = "pix"
    table.write(tmp_path / "a.ecsv")
    with pytest.raises(InputError, match=r"a\.ecsv: g1: in pix; expected a pure number"):
        read_shear_catalogue(tmp_path / "a.ecsv", NAMES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    found = {}
    for name in ("a.csv", "a.ecsv", "a.fits", "a.hdf5"):
        WRITERS[name](galaxies(), folder / name)
        found[name] = (folder / name).read_bytes()
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_read_or_refused_in_one_line(
    data: st.DataObject, whole: dict[str, bytes], tmp_path: Path
) -> None:
    name = data.draw(st.sampled_from(sorted(whole)))
    content = bytearray(whole[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    (tmp_path / name).write_bytes(content)
    refused, found = "", {}
    try:
        found = read_shear_catalogue(tmp_path / name, NAMES, drop_bad=True, warn=lambda _: None)
    except InputError as error:
        refused = str(error)
    assert "\n" not in refused
    assert found or str(tmp_path / name) in refused
    assert all(np.isfinite(column).all() for column in found.values())


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"PAR1" + b"\x00" * 30, b"\x89HDF\r\n\x1a\n", b"\x1f\x8bxx", b"SIMPLE"]
)
@pytest.mark.parametrize("name", ["a.fits", "a.csv", "a.dat"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_columns(tmp_path / name, ["ra"], "galaxies")
    assert "\n" not in str(refused.value)


def test_a_file_that_was_replaced_is_not_the_one_of_the_run(path: Path) -> None:
    before = file_sha256(path)
    check_unchanged(path, file_sha256(path), before, "catalogue")
    path.write_bytes(b"another")
    with pytest.raises(InputError, match=r"table\.fits: changed since the run began; expected the same catalogue"):
        check_unchanged(path, file_sha256(path), before, "catalogue")
