"""Biases in bins: against one cut per bin, against plain loops, on lazy datasets, and on a toy of known bias."""

import tracemalloc
from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from lensdask.conventions import ZERO_POINT, flux_from_magnitude
from lensdask.errors import InputError
from lensdask.shear import Selection, bias, bias_in_bins, calibrate
from lensdask.shear.shapes.measurement import COLUMNS

EDGES = (20.0, 21.5, 22.0, 24.0)
G = 0.02
SHEARS = np.array([[G, 0], [-G, 0], [0, G], [0, -G]])


def random_table(galaxies: int, seed: int = 0) -> np.ndarray:
    """Return shapes (galaxy, 4, column) with weights; every sixth galaxy has a negative flux."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(galaxies, 4, len(COLUMNS)))
    table[..., :2] = 0.3 * table[..., :2] + SHEARS
    table[..., [2, 5]] += 3
    flux = (
        10 ** (-0.4 * (rng.uniform(19.5, 25, (galaxies, 1)) - ZERO_POINT))
        * np.where(rng.random(galaxies) < 5 / 6, 1, -1)[:, None]
    )
    # Response of order 1: a mock shear of 0.02 carries galaxies over the edges.
    table[..., 6] = flux * (1 + 0.02 * rng.normal(size=(galaxies, 4)))
    table[..., 7:9] *= np.abs(flux)[..., None]
    table[..., 9] = rng.uniform(0.5, 1.5, (galaxies, 4))
    return table


def dataset(table: np.ndarray) -> xr.Dataset:
    variables = {name: (("galaxy", "shear"), table[..., i].astype(np.float32)) for i, name in enumerate(COLUMNS)}
    coords = {"galaxy": np.arange(len(table)), "g1": ("shear", SHEARS[:, 0]), "g2": ("shear", SHEARS[:, 1])}
    return xr.Dataset(variables, coords)


def cut(k: int) -> Selection:
    return Selection(above=flux_from_magnitude(EDGES[k + 1]), below=flux_from_magnitude(EDGES[k]))


def test_each_bin_is_a_cut_with_two_edges() -> None:
    shapes = dataset(random_table(4000))
    found = bias_in_bins(shapes, EDGES, seed=3, replicas=40)
    assert dict(found.sizes) == {"bin": 3}
    for k in range(3):
        one, expected = found.isel(bin=k), bias(shapes, cut(k), seed=3, replicas=40)
        names = ("m1", "m2", "c1", "c2", "shape_noise_1", "shape_noise_2")
        for kind, values in (
            ("", expected.values),
            ("_error", expected.errors),
            ("_delta_error", expected.delta_errors),
        ):
            np.testing.assert_allclose([one[f"{name}{kind}"] for name in names], values, rtol=1e-9, atol=1e-14)
        assert one["selected"] == expected.selected
        assert (one["lower"], one["upper"]) == (EDGES[k], EDGES[k + 1])


def looped(shapes: xr.Dataset, k: int, gamma0: float) -> tuple[list[float], list[float], float]:
    """Equations 16, 17 and 22 galaxy by galaxy: m with and without the edges, and the mean magnitude."""
    bright, faint = (10 ** (-0.4 * (edge - 30)) for edge in (EDGES[k], EDGES[k + 1]))

    def inside(flux: float) -> bool:
        return faint < flux <= bright

    table = {name: shapes[name].values.tolist() for name in COLUMNS}
    e, R, of_cut = (np.zeros((4, 2)) for _ in range(3))
    magnitude = weights = 0.0
    for galaxy in range(shapes.sizes["galaxy"]):
        for v in range(4):
            row = {name: column[galaxy][v] for name, column in table.items()}
            weight = row["weight"] * inside(row["flux"])
            if weight:
                magnitude += weight * (30 - 2.5 * np.log10(row["flux"]))
                weights += weight
            for i in (1, 2):
                e[v, i - 1] += weight * row[f"e{i}"]
                R[v, i - 1] += weight * row[f"de{i}_dg{i}"]
                step = gamma0 * row[f"dflux_dg{i}"]
                change = inside(row["flux"] + step) - inside(row["flux"] - step)
                of_cut[v, i - 1] += row["weight"] * row[f"e{i}"] * change / (2 * gamma0)

    def m(response: np.ndarray) -> list[float]:
        pairs = ((0, 0, 1), (1, 2, 3))
        return [(e[p, i] - e[q, i]) / (G * (response[p, i] + response[q, i])) - 1 for i, p, q in pairs]

    return m(R + of_cut), m(R), magnitude / weights


def test_bins_are_those_of_plain_loops() -> None:
    shapes = dataset(random_table(600, seed=1))
    found = bias_in_bins(shapes, EDGES, replicas=20)
    for k in range(3):
        corrected, forgotten, mean = looped(shapes, k, 0.02)
        one = found.isel(bin=k)
        np.testing.assert_allclose([one["m1"], one["m2"]], corrected, rtol=1e-9)
        np.testing.assert_allclose([one["m1_uncorrected"], one["m2_uncorrected"]], forgotten, rtol=1e-9)
        assert float(one["mean"]) == pytest.approx(mean, rel=1e-12)
    assert (abs(found["m1"] - found["m1_uncorrected"]) > 1e-3).any()


def test_a_given_quantity_has_no_response_of_the_edges() -> None:
    table = random_table(2000)
    X = np.random.default_rng(5).uniform(0, 4, 2000)
    X[::50] = np.nan
    X[1::50] = 2.0  # on an edge: the upper bin
    by = xr.DataArray(X, dims="galaxy", coords={"galaxy": np.arange(2000)}, name="size")
    found = bias_in_bins(dataset(table), (1.0, 2.0, 3.5), by=by, seed=2, replicas=30)
    for k, (lower, upper) in enumerate([(1.0, 2.0), (2.0, 3.5)]):
        inside = np.digitize(X, (lower, upper)) == 1
        weighted = table.copy()
        weighted[~inside, :, 9] = 0
        expected = bias(dataset(weighted), seed=2, replicas=30)
        one = found.isel(bin=k)
        np.testing.assert_allclose([one["m1"], one["c2"]], expected.values[[0, 3]], rtol=1e-9)
        np.testing.assert_allclose([one["m1_error"], one["c2_error"]], expected.errors[[0, 3]], rtol=1e-9)
        assert one["m2"] == one["m2_uncorrected"]
        assert one["selected"] == inside.sum()
        weight = dataset(table)["weight"].values[inside].astype(float)
        assert float(one["mean"]) == pytest.approx((weight * X[inside, None]).sum() / weight.sum(), rel=1e-12)
    assert found.attrs["quantity"] == "size"
    for quantity in (by, by.chunk(galaxy=300)):
        lazy = dataset(table).chunk(galaxy=700)
        again = bias_in_bins(lazy, (1.0, 2.0, 3.5), by=quantity, seed=2, replicas=30)
        xr.testing.assert_identical(again, found)


# Lazy datasets


class Counted:
    """An array that counts how often each of its chunks is read."""

    def __init__(self, values: np.ndarray, reads: Counter) -> None:
        self.values, self.reads = values, reads
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        self.reads[id(self), key[0].start] += 1
        return self.values[key]


def counted(shapes: xr.Dataset, chunk: int, reads: Counter) -> xr.Dataset:
    """Return the same dataset, lazy."""
    lazy = {
        name: (
            array.dims,
            da.from_array(
                Counted(array.values, reads), (chunk, 4), name=f"{name}-{chunk}", meta=np.empty((0, 0), array.dtype)
            ),
        )
        for name, array in shapes.items()
    }
    return xr.Dataset(lazy, shapes.coords)


# 5000 galaxies are in blocks of 12: chunks of whole blocks, of cut ones, of less than a block, and of all.
@pytest.mark.parametrize("chunk", [1200, 1000, 11, 5000])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_every_chunk_is_read_once_and_none_changes_a_bit(chunk, scheduler) -> None:
    shapes, reads = dataset(random_table(5000)), Counter()
    expected = bias_in_bins(shapes, EDGES, replicas=20), bias(shapes, cut(1), replicas=20)
    lazy = counted(shapes, chunk, reads)
    assert not reads
    with dask.config.set(scheduler=scheduler):
        xr.testing.assert_identical(bias_in_bins(lazy, EDGES, replicas=20), expected[0])
        assert len(reads) == len(COLUMNS) * -(-5000 // chunk)
        assert set(reads.values()) == {1}
        assert bias(lazy, cut(1), replicas=20).errors.tobytes() == expected[1].errors.tobytes()
        assert set(reads.values()) == {2}


# Blocks of 2048 galaxies are whole in chunks of 4096; of those of 1310 most are cut, and 6 % of the rows wait.
@pytest.mark.parametrize(("chunks", "megabytes", "limit"), [(256, 176, 12), (128, 88, 30)])
def test_memory_is_that_of_a_few_chunks(chunks, megabytes, limit) -> None:
    chunk, meta = 4096, np.empty((0, 0), np.float32)

    def made(block_id: tuple[int, int]) -> np.ndarray:
        return np.random.default_rng(block_id[0]).uniform(1, 3000, (chunk, 4)).astype(np.float32)

    sizes = ((chunk,) * chunks, (4,))
    columns = {name: da.map_blocks(made, chunks=sizes, dtype=np.float32, meta=meta, name=name) for name in COLUMNS}
    coords = {"galaxy": np.arange(chunk * chunks), "g1": ("shear", SHEARS[:, 0]), "g2": ("shear", SHEARS[:, 1])}
    shapes = xr.Dataset({name: (("galaxy", "shear"), column) for name, column in columns.items()}, coords)
    assert shapes.nbytes > megabytes * 1e6
    tracemalloc.start()
    with dask.config.set(scheduler="synchronous"):
        bias_in_bins(shapes, (22.0, 23.0, 24.0), replicas=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit * 1e6


# A toy whose bias is known


def toy(galaxies: int, seed: int) -> xr.Dataset:
    """Return orthogonal pairs whose flux follows the shear, with m = 0.02 (magnitude - 23)."""
    rng = np.random.default_rng(seed)
    magnitude = np.repeat(25.5 + np.log10(rng.uniform(1e-2, 1, galaxies // 2)) / 0.4, 2)
    e = np.repeat(0.25 * rng.normal(size=(galaxies // 2, 2)), 2, axis=0)
    e[1::2] *= -1
    table = np.zeros((galaxies, 4, len(COLUMNS)))
    m = 0.02 * (magnitude - 23)
    table[..., :2] = e[:, None] + 0.8 * (1 + m)[:, None, None] * SHEARS
    table[..., [2, 5]] = 0.8
    flux = 10 ** (-0.4 * (magnitude - 30))
    table[..., 6] = flux[:, None] * (1 + 1.5 * e @ SHEARS.T)
    table[..., 7:9] = (1.5 * flux[:, None] * e)[:, None]
    table[..., 9] = 1
    return dataset(table)


def test_known_bias_is_recovered_and_forgotten_response_shows() -> None:
    edges = (21.5, 22.5, 23.5, 24.5)
    pulls, forgotten = [], []
    for seed in range(4):
        found = bias_in_bins(toy(200_000, seed), edges, seed=seed, replicas=100)
        for i in (1, 2):
            pulls.append((found[f"m{i}"] - 0.02 * (found["mean"] - 23)) / found[f"m{i}_error"])
            forgotten.append(found[f"m{i}_uncorrected"] - 0.02 * (found["mean"] - 23))
            np.testing.assert_allclose(found[f"m{i}_error"], found[f"m{i}_delta_error"], rtol=0.4)
    assert np.abs(pulls).max() < 4
    assert np.mean(np.square(pulls)) == pytest.approx(1, abs=5 * np.sqrt(2 / np.size(pulls)))
    # Counts as 10^(0.4 magnitude) have flux times number per log flux level: the edges carry 1.5 <e²> of 0.8.
    assert np.mean(forgotten, axis=0) == pytest.approx(1.5 * 0.25**2 / 0.8 * np.ones(3), rel=0.2)


# Bad input


def test_sparse_bins_have_no_numbers() -> None:
    shapes = dataset(random_table(2000))
    found = bias_in_bins(shapes, (10.0, 12.0, *EDGES), replicas=20)
    assert np.isnan(found["m1"].values[:2]).tolist() == [True, False]
    assert found["selected"][0] == 0
    assert np.isnan(found["mean"][0])
    np.testing.assert_array_equal(found["m2_error"][2:], bias_in_bins(shapes, EDGES, replicas=20)["m2_error"])


@pytest.mark.parametrize("edges", [(), (20.0,), (20.0, 20.0), (22.0, 20.0), (20.0, np.nan), ((20.0, 21.0),)])
def test_edges_must_rise(edges) -> None:
    with pytest.raises(InputError, match=r"^edges: .*; expected two or more numbers that rise$"):
        bias_in_bins(dataset(random_table(4)), edges)


def test_quantity_must_be_one_number_for_each_of_the_galaxies() -> None:
    shapes = dataset(random_table(8))
    with pytest.raises(InputError, match=r"^by: dimensions \('galaxy', 'shear'\); expected \('galaxy',\)"):
        bias_in_bins(shapes, EDGES, by=shapes["flux"])
    for other in (shapes["flux"][2:, 0], shapes["flux"][::-1, 0], shapes["flux"][:4, 0].drop_vars("galaxy")):
        with pytest.raises(InputError, match=r"^by: other galaxies than those of the shapes; expected the same"):
            bias_in_bins(shapes, EDGES, by=other)


@pytest.mark.parametrize("chunk", [None, 8])
def test_galaxies_that_were_never_measured_are_refused(chunk) -> None:
    shapes = dataset(random_table(40))
    shapes["e2"][11, 1] = np.nan
    lazy = shapes if chunk is None else shapes.chunk(galaxy=chunk)
    for analysis in (lambda s: bias_in_bins(s, EDGES), lambda s: calibrate(s.isel(shear=1))):
        with pytest.raises(InputError, match=r"^shapes: 1 of \d+ galaxies are not finite; drop them or resume"):
            analysis(lazy)
