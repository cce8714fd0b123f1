import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.sky import SOURCES, ConvergencePower, compute_convergence_power, convergence_power, find_source
from lensdask.sky.sources import Source, lensing_strength

THEORY = Path(__file__).parents[3] / "shared" / "data" / "maps" / "kappa_cl_theory.npz"
ELL = np.geomspace(20, 2e4, 50)


@pytest.mark.parametrize(("code", "end"), [("camb", 1e4), ("ccl", 2e4)])
@pytest.mark.parametrize("source", ["zs1.0", "zs2.5"])
def test_tables_are_those_of_other_integrals(source: str, code: str, end: float) -> None:
    if not THEORY.exists():
        pytest.skip("the theory power is not in ../shared/data")
    with np.load(THEORY, allow_pickle=False) as theory:
        ells, power = theory["ells"], theory[f"{code}_{source.removeprefix('zs')}"]
    # Limber's approximation is the same in all of them, but not what they say of the full sky's few largest waves, nor
    # how CAMB goes on beyond its last k.
    chosen = (ells >= 50) & (ells <= end)
    np.testing.assert_allclose(convergence_power(source).at(ells[chosen]), power[chosen], rtol=0.005)


@pytest.mark.parametrize("source", ["zs1.0", "lsst"])
def test_tables_are_those_of_the_theory_code(source: str) -> None:
    pytest.importorskip("camb")
    pytest.importorskip("pyccl")
    computed = compute_convergence_power(find_source(source).redshift, find_source(source).share)
    np.testing.assert_allclose(convergence_power(source).at(ELL), computed.at(ELL), rtol=1e-3)


def test_limber_integral_is_that_of_pyccl() -> None:
    pyccl = pytest.importorskip("pyccl")
    pytest.importorskip("camb")
    from lensdask.sky.cosmology import MASSIVENUS
    from lensdask.sky.power import pyccl_cosmology

    source = find_source("cosmos")
    universe = pyccl_cosmology(MASSIVENUS)
    tracer = pyccl.WeakLensingTracer(universe, dndz=(source.redshift, source.share))
    ell = np.geomspace(100, 1e4, 12)
    # pyccl's shear carries the factor of the full sky, 1 to 1 / ℓ², and integrates n(z) by splines.
    np.testing.assert_allclose(
        convergence_power("cosmos").at(ell), pyccl.angular_cl(universe, tracer, tracer, ell), rtol=0.01
    )


def test_every_source_has_a_table_that_says_how_it_was_made() -> None:
    tables = resources.files("lensdask.sky").joinpath("tables")
    for name in SOURCES:
        card = json.loads(tables.joinpath(f"power_{name}.json").read_text())["card"]
        assert {"quantity", "method", "cosmology", "versions", "made_by", "source"} <= set(card)
        assert (convergence_power(name).at(ELL) > 0).all()
    assert sum(len(table.read_bytes()) for table in tables.iterdir() if table.name.endswith(".json")) < 200_000


def test_deeper_sources_are_lensed_more() -> None:
    powers = [convergence_power(name).at(1000) for name in ("zs1.0", "zs1.5", "zs2.5")]
    assert powers[0] < powers[1] < powers[2]


def test_interpolation_of_a_power_law_is_exact_everywhere() -> None:
    power = ConvergencePower(np.array([10.0, 30.0, 1000.0]), 1e-8 * np.array([10.0, 30.0, 1000.0]) ** -1.3)
    wanted = np.array([[1.0, 10.0, 11.0], [500.0, 1000.0, 1e5]])
    np.testing.assert_allclose(power.at(wanted), 1e-8 * wanted**-1.3, rtol=1e-12)
    assert power.at(0.0) == 0


def test_smoothed_power_is_that_of_the_smoothed_field() -> None:
    power = ConvergencePower(ELL, np.ones_like(ELL))
    sigma = np.deg2rad(0.45 / 60)
    np.testing.assert_allclose(power.smoothed(0.45).at(ELL), np.exp(-((ELL * sigma) ** 2)), rtol=1e-12)


def test_strength_of_a_population_is_the_mean_over_its_planes() -> None:
    planes = [Source(np.array([z]), np.array([1.0])) for z in (0.4, 1.0, 2.0)]
    both = Source(np.array([0.4, 1.0, 2.0]), np.array([0.2, 0.5, 0.3]))
    lens = np.array([0.1, 0.6, 1.5])
    expected = sum(w * lensing_strength(lens, plane) for w, plane in zip((0.2, 0.5, 0.3), planes, strict=True))
    np.testing.assert_allclose(lensing_strength(lens, both), expected)


@pytest.mark.parametrize(("name", "median"), [("lsst", 0.87), ("cosmos", 1.2)])
def test_medians_of_the_surveys(name: str, median: float) -> None:
    source = find_source(name)
    assert source.share.sum() == pytest.approx(1)
    assert np.interp(0.5, np.cumsum(source.share), source.redshift + 0.01) == pytest.approx(median, abs=0.02)


def test_bad_sources_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected one of zs1\.0"):
        convergence_power("zs9")
    for redshift, number in (([0.5, 0.4], [1, 1]), ([0.0], [1.0]), ([0.5], [0.0]), ([0.5, 0.6], [1.0])):
        with pytest.raises(InputError, match="expected"):
            compute_convergence_power(redshift, number)


def test_without_pyccl_the_tables_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyccl", None)
    assert convergence_power("zs1.0").at(1000) > 0
    with pytest.raises(InputError, match="pyccl is not installed"):
        compute_convergence_power([1.0], [1.0])
