"""Tables of other pipelines, made by their own conventions from galaxies under a known shear."""

import numpy as np
import pytest
from astropy.table import Table

from lensdask.errors import InputError
from lensdask.shear import calibrated_table

G = np.array([0.03, -0.02])
COUNT = 40_000


def galaxies(g, seed=3):
    """Pairs e0 and -e0 with responses that scatter, and a size that follows the shear: cuts on it respond."""
    rng = np.random.default_rng(seed)
    e0 = 0.25 * np.repeat(rng.normal(size=(COUNT // 2, 2)), 2, axis=0) * np.tile([[1], [-1]], (COUNT // 2, 1))
    R = np.repeat(rng.uniform(0.5, 1.0, COUNT // 2), 2)
    size = np.repeat(rng.normal(size=COUNT // 2), 2)
    return e0 + R[:, None] * g, R, size - 1.5 * e0 @ np.asarray(g), e0


def step(size):
    return 1 / (1 + np.exp(-3 * size))


def anacal(prefix="fpfs1"):
    e, R, size, e0 = galaxies(G)
    w = step(size)
    slope = 3 * w * (1 - w)
    columns = {"ra": np.zeros(COUNT), "dec": np.zeros(COUNT), "wsel": w}
    columns |= {f"dwsel_dg{j + 1}": -1.5 * slope * e0[:, j] for j in (0, 1)}
    columns |= {f"{prefix}_e{i + 1}": e[:, i] for i in (0, 1)} | {f"{prefix}_de{i}_dg{i}": R for i in (1, 2)}
    return Table(columns)


def metadetect():
    parts = []
    for name, added in {"ns": (0, 0), "1p": (0.01, 0), "1m": (-0.01, 0), "2p": (0, 0.01), "2m": (0, -0.01)}.items():
        e, _, size, _ = galaxies(G + np.array(added))
        kept = size > 0.3
        parts.append((e[kept], np.full(kept.sum(), name)))
    e, steps = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    return Table(
        {"ra": np.zeros(len(e)), "dec": np.zeros(len(e)), "gauss_g1": e[:, 0], "gauss_g2": e[:, 1], "metaStep": steps}
    )


def metacalibration():
    """With a cut, and what it adds to the response by finite differences of the cut alone."""
    e, R, _, _ = galaxies(G)
    added = np.zeros((2, 2))
    for j in (0, 1):
        means = []
        for sign in (1, -1):
            shear = G + sign * 0.01 * np.eye(2)[j]
            means.append(e[galaxies(shear)[2] > 0.3].mean(0))
        added[:, j] = (means[0] - means[1]) / 0.02
    kept = galaxies(G)[2] > 0.3
    zero = np.zeros(kept.sum())
    columns = {"ra": zero, "dec": zero, "e_1": e[kept, 0], "e_2": e[kept, 1], "R11": R[kept], "R22": R[kept]}
    return Table(columns | {"R12": zero, "R21": zero}), added


def lensfit():
    e, R, _, _ = galaxies(G)
    w = np.repeat(np.random.default_rng(8).uniform(0, 1, COUNT // 2), 2)
    zero = np.zeros(COUNT)
    return Table(
        {"ra": zero, "dec": zero, "e1": e[:, 0] + 0.01, "e2": e[:, 1], "weight": w, "m": R - 1, "c1": zero + 0.01}
    )


def mean_of(table):
    return np.average([table["g1"], table["g2"]], axis=1, weights=table["weight"])


def test_each_kind_gives_the_shear_that_was_put_in(tmp_path):
    assert mean_of(calibrated_table(anacal(), "anacal")) == pytest.approx(G, rel=0.02)
    assert mean_of(calibrated_table(metadetect(), "metadetect")) == pytest.approx(G, rel=0.05)
    table, added = metacalibration()
    found = mean_of(calibrated_table(table, "metacalibration", selection_response=added))
    assert found == pytest.approx(G, rel=0.05)
    assert mean_of(calibrated_table(lensfit(), "lensfit")) == pytest.approx(G, rel=0.02)
    anacal("fpfs").write(tmp_path / "a.parquet")
    names = {name: f"fpfs_{name}" for name in ("e1", "e2", "de1_dg1", "de2_dg2")}
    assert mean_of(calibrated_table(tmp_path / "a.parquet", "anacal", columns=names)) == pytest.approx(G, rel=0.02)


def test_whoever_forgets_a_part_of_the_response_is_wrong():
    table = anacal()
    for j in (1, 2):
        table[f"dwsel_dg{j}"] = 0.0
    assert np.abs(mean_of(calibrated_table(table, "anacal")) / G - 1).min() > 0.04
    table, _ = metacalibration()
    found = mean_of(calibrated_table(table, "metacalibration", selection_response=np.zeros((2, 2))))
    assert np.abs(found / G - 1).min() > 0.08


def test_only_galaxies_of_the_unsheared_image_are_left():
    table = metadetect()
    found = calibrated_table(table, "metadetect")
    assert len(found) == (table["metaStep"] == "ns").sum()
    assert found.meta["R11"] == pytest.approx(0.65, abs=0.15)


def test_rows_that_are_masked_are_left_out():
    table = Table(lensfit(), masked=True)
    table["m"].mask[:1000] = True
    assert len(calibrated_table(table, "lensfit")) == COUNT - 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibrated_table(anacal(), "ngmix"), "kind: 'ngmix'; expected"),
        (lambda: calibrated_table(anacal("fpfs"), "anacal"), "no column fpfs1_e1, .*; expected it, or its name"),
        (lambda: calibrated_table(metacalibration()[0], "metacalibration"), "selection_response: not given"),
        (lambda: calibrated_table(lensfit(), "lensfit", selection_response=0.0), "given for lensfit"),
        (lambda: calibrated_table(metadetect()[:100], "metadetect"), "no objects of step 1p"),
        (lambda: calibrated_table("no.fits", "anacal"), "no.fits: .*; expected a table that Astropy reads"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_table_that_is_not_finite_is_refused():
    table = lensfit()
    table["e1"][5] = np.nan
    with pytest.raises(InputError, match="column e1 is not finite"):
        calibrated_table(table, "lensfit")
