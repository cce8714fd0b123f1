"""Full skies of a user as tiles: formats, places, sums over shells; lazily, resumed; files that are refused."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from mock_skies import COSMOLOGY, EDGES, centres, counts, describe, write_cosmogrid, write_gower

import lensdask
from lensdask.compute import RunOptions, journal_path
from lensdask.errors import InputError
from lensdask.lss import SPLITS, read_skies, read_skies_run
from lensdask.sky import STAGE3_BINS, TileGrid
from lensdask.sky.fullsky.healpix import pixel_numbers
from lensdask.sky.fullsky.patches import tile_means, tile_pixels
from lensdask.sky.fullsky.shells import Limits
from lensdask.sky.fullsky.weights import shell_weights

QUIET = RunOptions(show_progress=False)
NSIDE = 128
SMALL = {"tiles": 5, "grid": TileGrid(size=8, pixel_scale=37.5)}
SHELLS = len(EDGES) - 1


@pytest.fixture(scope="module")
def skies(tmp_path_factory):
    """Four simulations of CosmoGrid's format, and their description."""
    folder = tmp_path_factory.mktemp("skies")
    names = [f"run_{seed}.npz" for seed in range(4)]
    for seed, name in enumerate(names):
        write_cosmogrid(folder / name, counts(SHELLS, NSIDE, seed))
    return describe(folder / "skies.toml", "cosmogrid", names)


@pytest.fixture(scope="module")
def store(skies, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "tiles.zarr"
    assert read_skies_run(path, skies, options=QUIET, **SMALL).objects == 4
    return path


def expected_maps(maps, tile):
    """Return the maps of a tile, shape (field, bin, y, x)."""
    weight = shell_weights(Limits(EDGES[:-1], EDGES[1:], None), STAGE3_BINS, COSMOLOGY)
    pixels = tile_pixels(tile, SMALL["grid"], NSIDE, "ring")
    seen = np.stack([tile_means(one, pixels) / one.mean() - 1 for one in maps])
    return np.einsum("fbs,syx->fbyx", weight, seen)


def test_what_a_store_holds(store):
    tiles = lensdask.open(store)
    assert dict(tiles.sizes) == {"cosmology": 1, "seed": 4, "tile": 5, "field": 3, "bin": 4, "y": 8, "x": 8}
    assert (tiles["split"].values == SPLITS).all()
    assert (tiles["omega_m"].item(), tiles["sigma8"].item()) == (COSMOLOGY.omega_m, COSMOLOGY.sigma8)
    assert (tiles.attrs["sky"], tiles.attrs["pixel_scale"], list(tiles.attrs["w"])) == ("cosmogrid", 37.5, [-1.0])
    for seed, tile in ((0, 0), (3, 4)):
        expected = expected_maps(counts(SHELLS, NSIDE, seed), tile)
        np.testing.assert_allclose(tiles["map"][0, seed, tile], expected, rtol=1e-4, atol=1e-7)


def test_lazy_maps_are_those_of_the_run(store, skies):
    lazy = read_skies(skies, **SMALL)
    assert lazy["map"].chunks[:3] == ((1,), (1, 1, 1, 1), (5,))
    assert lazy.attrs == lensdask.open(store).attrs
    xr.testing.assert_identical(
        lazy.drop_attrs(deep=False).compute(), lensdask.open(store).drop_attrs(deep=False).compute()
    )
    fewer = read_skies(skies, **SMALL | {"tiles": 2}).isel(seed=[3])
    np.testing.assert_array_equal(fewer["map"], lensdask.open(store)["map"][:, 3:, :2])


def test_a_cluster_gives_the_same_maps(store, skies, tmp_path):
    options = RunOptions(cluster="local", workers=2, show_progress=False)
    read_skies_run(tmp_path / "again.zarr", skies, options=options, **SMALL)
    np.testing.assert_array_equal(lensdask.open(tmp_path / "again.zarr")["map"], lensdask.open(store)["map"])


def test_a_killed_run_is_resumed_wherever_its_files_are(store, skies, tmp_path):
    path, moved = tmp_path / "again.zarr", tmp_path / "moved"
    read_skies_run(path, skies, options=QUIET, **SMALL)
    lines = journal_path(path).read_text().splitlines(keepends=True)
    done = [i for i, line in enumerate(lines) if '"done"' in line]
    journal_path(path).write_text("".join(lines[: done[1] + 1]))
    moved.mkdir()
    for file in skies.parent.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    resume = RunOptions(if_exists="resume", show_progress=False)
    assert read_skies_run(path, moved / skies.name, options=resume, **SMALL).objects == 2
    np.testing.assert_array_equal(lensdask.open(path)["map"], lensdask.open(store)["map"])
    # Files that are others are another configuration; during a run they are found too.
    lazy = read_skies(moved / skies.name, **SMALL)
    write_cosmogrid(moved / "run_2.npz", counts(SHELLS, NSIDE, 7))
    with pytest.raises(InputError, match="another configuration"):
        read_skies_run(path, moved / skies.name, options=resume, **SMALL)
    with pytest.raises(InputError, match=r"run_2.npz: changed since the run began"):
        lazy["map"][0, 2].compute()


def test_all_formats_of_shells_give_the_same(store, tmp_path):
    maps = counts(SHELLS, NSIDE)
    write_gower(tmp_path / "sim00001", maps)
    rows = []
    for number, (near, far, one) in enumerate(zip(EDGES[:-1], EDGES[1:], maps, strict=True)):
        rows.append(f"{near} {far} shell {number}.fits  # a comment" if number % 2 else f"{near} {far} {number}.npy")
        if number % 2:
            table = fits.BinTableHDU.from_columns([fits.Column("N", "1024J", array=one.reshape(-1, 1024))])
            table.header["ORDERING"] = "RING"
            fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / f"shell {number}.fits")
        else:
            np.save(tmp_path / f"{number}.npy", one)
    (tmp_path / "shells.txt").write_text("# near far map\n\n" + "\n".join(rows[::-1]))
    expected = lensdask.open(store)["map"][:, :1].values
    for form, name in (("gower", "sim00001"), ("table", "shells.txt")):
        found = read_skies(describe(tmp_path / f"{form}.toml", form, [name]), **SMALL)
        assert found.attrs["sky"] == form
        np.testing.assert_allclose(found["map"], expected, atol=1e-6 * np.abs(expected).max())


def test_nested_pixels_and_contrasts(store, tmp_path):
    numbers = pixel_numbers(NSIDE, *centres(NSIDE), "nested")
    rows = []
    for number, one in enumerate(counts(SHELLS, NSIDE)):
        nested = np.empty(len(one), np.float32)
        nested[numbers] = one / one.mean() - 1
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(nested)]).writeto(tmp_path / f"{number}.fits")
        rows.append(f"{EDGES[number]} {EDGES[number + 1]} {number}.fits")
    (tmp_path / "shells.txt").write_text("\n".join(rows))
    about = 'order = "nested"\ncontent = "contrast"'
    found = read_skies(describe(tmp_path / "skies.toml", "table", ["shells.txt"], about), **SMALL)
    np.testing.assert_allclose(found["map"], lensdask.open(store)["map"][:, :1], atol=1e-6)


def test_dark_energy_changes_the_weights(tmp_path):
    cosmology, maps = replace(COSMOLOGY, w=-0.7), counts(SHELLS, NSIDE)
    write_cosmogrid(tmp_path / "run.npz", maps, cosmology=cosmology)
    # Their table has the distances of Λ.
    write_gower(tmp_path / "sim", maps)
    for form, name in (("cosmogrid", "run.npz"), ("gower", "sim")):
        found = read_skies(describe(tmp_path / "skies.toml", form, [name], about="w = -0.7"), **SMALL)
        assert list(found.attrs["w"]) == [-0.7]
        weight = shell_weights(Limits(EDGES[:-1], EDGES[1:], None), STAGE3_BINS, cosmology)
        pixels = tile_pixels(0, SMALL["grid"], NSIDE, "ring")
        seen = np.stack([tile_means(one, pixels) / one.mean() - 1 for one in maps])
        expected = np.einsum("fbs,syx->fbyx", weight, seen)
        np.testing.assert_allclose(found["map"][0, 0, 0], expected, rtol=1e-4, atol=1e-7)


def test_even_shells_have_no_contrast(tmp_path):
    write_cosmogrid(tmp_path / "run.npz", np.full((SHELLS, 12 * NSIDE**2), 7, np.uint16))
    found = read_skies(describe(tmp_path / "skies.toml", "cosmogrid", ["run.npz"]), **SMALL)
    assert np.abs(found["map"].values).max() == 0


@pytest.mark.parametrize("form", ["npy", "h5"])
def test_maps_that_are_projected(tmp_path, form):
    maps = np.random.default_rng(5).normal(size=(3, 4, 12 * NSIDE**2)).astype(np.float32)
    if form == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "run.h5", "w") as file:
            for field, probe in zip(maps, ("kg", "ia", "dg"), strict=True):
                for number, one in enumerate(field, 1):
                    file[f"{probe}/stage3_lensing{number}"] = one
        name, patterns = "run.h5", [f"{probe}/stage3_lensing{{bin}}" for probe in ("kg", "ia", "dg")]
    else:
        name, patterns = "run", [f"{probe}{{bin}}.npy" for probe in ("k", "i", "d")]
        (tmp_path / name).mkdir()
        for field, probe in zip(maps, "kid", strict=True):
            for number, one in enumerate(field, 1):
                np.save(tmp_path / name / f"{probe}{number}.npy", one)
    about = "[maps]\n" + "\n".join(
        f'{field} = "{one}"' for field, one in zip(("kappa", "kappa_ia", "delta"), patterns, strict=True)
    )
    found = read_skies(describe(tmp_path / "skies.toml", "maps", [name], about), **SMALL)
    for tile in (0, 4):
        pixels = tile_pixels(tile, SMALL["grid"], NSIDE, "ring")
        expected = [[tile_means(one, pixels) for one in field] for field in maps]
        np.testing.assert_allclose(found["map"][0, 0, tile], expected, atol=1e-6)


def test_what_is_read_trains_and_predicts(store):
    from lensdask.lss.tiles import Split

    split = Split(lensdask.open(store), "training")
    assert split.boxes.tiles == 5
    assert np.isfinite(split.group(0, 0, 5)).all()


def test_coarse_pixels_are_told(tmp_path):
    write_cosmogrid(tmp_path / "run.npz", counts(SHELLS, 64))
    skies = describe(tmp_path / "skies.toml", "cosmogrid", ["run.npz"])
    with pytest.warns(UserWarning, match=r"nside 64, pixels of 55 arcmin, wider than the 37.5") as caught:
        read_skies(skies, **SMALL)
    assert caught[0].filename == __file__
    with pytest.raises(InputError, match=r"expected at most twice the 18.75 arcmin of a tile's pixels"):
        read_skies(skies, tiles=5, grid=TileGrid(size=16, pixel_scale=18.75))


def refused(message, description, **settings):
    with pytest.raises(InputError) as caught:
        read_skies(description, **SMALL | settings).compute()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_shells_are_refused(tmp_path):
    maps = counts(SHELLS, NSIDE)
    skies = describe(tmp_path / "skies.toml", "cosmogrid", ["run.npz"])
    refused("run.npz: there is no such file; expected", skies)
    (tmp_path / "run.npz").write_bytes(b"PK\x03\x04 but no archive")
    refused("expected shells of CosmoGrid", skies)
    np.savez(tmp_path / "run.npz", shells=maps)
    refused("shell_info", skies)
    write_cosmogrid(tmp_path / "run.npz", maps[:, :-1])
    refused("196607 pixels; expected 12 nside²", skies)
    write_cosmogrid(tmp_path / "run.npz", maps[:-1], EDGES[:-1])
    refused("run.npz: shells from redshift 0 to 1.3, outside of which lies", skies)
    wrong = maps.astype(np.float32)
    wrong[2, 7] = np.nan
    write_cosmogrid(tmp_path / "run.npz", wrong)
    refused("run.npz, shell from redshift 0.4 to 0.6: a pixel of nan among", skies)
    write_cosmogrid(tmp_path / "run.npz", maps * np.uint16(0))
    refused("no particles; expected some", skies)
    write_cosmogrid(tmp_path / "run.npz", maps)
    refused("tiles: 1555; expected a whole number from 1 to 1554", skies, tiles=1555)
    refused("tiles: 0;", skies, tiles=0)
    skies.write_text(skies.read_text().replace("0.3", "0.4"))
    refused("expected 3170.8, that of omega_m 0.4", skies)
    data = (tmp_path / "run.npz").read_bytes()
    (tmp_path / "run.npz").write_bytes(data[: len(data) // 2])
    refused("expected shells of CosmoGrid", skies)


def test_a_missing_step_of_gower_street_is_told(tmp_path):
    run = write_gower(tmp_path / "sim", counts(SHELLS, NSIDE))
    skies = describe(tmp_path / "skies.toml", "gower", ["sim"])
    (run / "run.00006.lightcone.npy").rename(run / "run.00006.elsewhere.npy")
    refused("sim: no shell between redshifts 0.6 and 0.8", skies)
    (run / "run.00006.elsewhere.npy").rename(run / "run.00006.lightcone.npy")
    np.save(run / "run.00006.lightcone.npy", np.zeros((4, 4)))
    refused("run.00006.lightcone.npy: float64 of shape (4, 4); expected numbers of shape (pixel,)", skies)
    (run / "run.00006.lightcone.npy").write_bytes(b"nothing")
    refused("run.00006.lightcone.npy: is not an array in NumPy's format", skies)
    (run / "z_values.txt").write_text("# Step,z_far\n1,2\n")
    refused("z_values.txt: columns Step, z_far; expected Step, z_near, z_far", skies)
    (run / "z_values.txt").write_text("# Step,z_far,z_near\n1,2,some\n")
    refused("z_values.txt, line 2: could not convert", skies)
    (run / "z_values.txt").write_text("# Step,z_far,z_near\n1,2,1\n2,1\n")
    refused("z_values.txt, line 3: 2 numbers; expected 3, as the header has", skies)
    (run / "z_values.txt").write_text("")
    refused("z_values.txt: columns", skies)
    (run / "z_values.txt").unlink()
    refused("z_values.txt: there is no such file", skies)


def test_bad_tables_and_maps_are_refused(tmp_path):
    skies, table = describe(tmp_path / "skies.toml", "table", ["shells.txt"]), tmp_path / "shells.txt"
    for content, message in (
        ("", "no shells; expected some"),
        ("0 0.5", "line 1: '0 0.5'; expected near redshift"),
        ("0 x a.npy", "line 1: could not convert"),
        ("0 1.8 a.npy", "a.npy: there is no such file"),
        ("0 1.8 shells.txt", "unknown format; expected .npy"),
    ):
        table.write_text(content)
        refused(message, skies)
    sky = fits.BinTableHDU.from_columns([fits.Column("N", "E", array=np.ones(12 * NSIDE**2))])
    for header, message in (
        ({"ORDERING": "NESTED"}, "its header says ORDERING NESTED; expected RING, as described"),
        ({"INDXSCHM": "EXPLICIT"}, "expected a full sky"),
    ):
        one = sky.copy()
        one.header.update(header)
        one.writeto(tmp_path / "a.fits", overwrite=True)
        table.write_text("0 1.8 a.fits")
        refused(message, skies)
    two = [fits.Column(name, "E", array=np.ones(12)) for name in "TQ"]
    fits.BinTableHDU.from_columns(two).writeto(tmp_path / "a.fits", overwrite=True)
    refused("columns T, Q; expected one, the map", skies)
    (tmp_path / "a.fits").write_bytes(b"SIMPLE")
    refused("is not FITS", skies)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("format = ", "expected a TOML file that describes simulations"),
        ('format = "cosmogrid"', "cosmology is missing"),
        ('format = "other"\ncosmology = []', "format: 'other'; expected cosmogrid, gower, table or maps"),
        ('format = "gower"\ncosmology = []', "expected [[cosmology]], once or more"),
        ('format = "gower"\norder = "none"\ncosmology = []', "order: 'none'; expected ring or nested"),
        ('format = "gower"\nseeds = 2\n[[cosmology]]', "the file: 'seeds'; expected content, cosmology, format"),
        ('format = "gower"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8', "cosmology 1: simulations is missing"),
        ('format = "gower"\n[[cosmology]]\nomega_m = "x"\nsigma8 = 0.8\nsimulations = ["a"]', "omega_m: x; expected"),
        ('format = "gower"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = []', "expected a list of paths"),
        ('format = "gower"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a", "a"]', "a stands in it 2"),
        (
            'format = "gower"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a", "b"]\n'
            '[[cosmology]]\nomega_m = 0.4\nsigma8 = 0.8\nsimulations = ["c"]',
            "cosmology 2: 1 simulations; expected 2, as of 1",
        ),
        (
            'format = "gower"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a"]\n'
            '[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["c"]',
            "one stands in it twice",
        ),
        (
            'format = "gower"\ncontent = "contrast"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a"]',
            "content: 'contrast' of format 'gower'; expected it for tables alone",
        ),
        (
            'format = "maps"\n[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a"]',
            "maps: None of format 'maps'; expected a table",
        ),
        (
            'format = "maps"\n[maps]\nkappa = "k"\nkappa_ia = "i{bin}"\ndelta = "d{bin}"\n'
            '[[cosmology]]\nomega_m = 0.3\nsigma8 = 0.8\nsimulations = ["a"]',
            "maps, kappa: 'k'; expected a name with {bin} in the place of its number",
        ),
    ],
)
def test_bad_descriptions_are_refused(tmp_path, content, message):
    (tmp_path / "skies.toml").write_text(content)
    refused(message, tmp_path / "skies.toml")
