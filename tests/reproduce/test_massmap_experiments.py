"""The mass-map experiments: fields with known mass in them, what is measured on them, and networks by their recipes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lensdask.compute import RunOptions, RunResult
from lensdask.compute.runs.chunks import Quarantine
from lensdask.conventions import ARCMIN
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.maps.mock import Survey
from lensdask.maps.statistics.filaments import find_filaments
from lensdask.maps.statistics.metrics import smoothed
from lensdask.maps.statistics.peaks import Peaks
from lensdask.massmap import read_recipe
from lensdask.massmap.method import SHIPPED_WEIGHTS
from lensdask.reproduce import Job, run_experiment
from lensdask.reproduce.cha.clusters import MASS_EDGES, _Clusters, _completeness_rows
from lensdask.reproduce.cha.coma import coma_like
from lensdask.reproduce.massmaps import networks
from lensdask.reproduce.massmaps.fields import Sample, sample_of
from lensdask.reproduce.massmaps.planted import Cluster, PlantMasses, cluster_convergence
from lensdask.sky.cosmology import CHA, critical_density
from lensdask.sky.lensing import reduced_shear, shear_of_convergence
from lensdask.sky.simulate import SkyConfig, simulate_sky
from lensdask.sky.sources import find_source

SKY = SkyConfig(size=64, pixel_scale=2.0, padding=1.0)
CLUSTER = Cluster(mass=7.4e14, reach=40.0)
IDS = (5, 8)


def planted(cluster, noise):
    table, _ = PlantMasses(SKY, noise, cluster, 3)(*IDS, "cpu")
    return table


def test_cluster_holds_its_mass():
    cluster = replace(CLUSTER, directions=())
    scale, area = 1.0, 256
    kappa = cluster_convergence(cluster, find_source("zs1.0"), 128, area, scale)
    distance = 96.6  # Mpc to z = 0.0231 with h = 0.7 and Ωm = 0.3
    pixel = (scale * ARCMIN * distance) ** 2
    # Beyond the virial radius there is nothing but what the mean takes away.
    mass = (kappa - kappa.min()).sum() * pixel * critical_density(cluster.redshift, 1.0, CHA)
    assert mass == pytest.approx(cluster.mass, rel=0.03)
    assert abs(kappa.mean()) < 1e-15
    assert np.unravel_index(kappa.argmax(), kappa.shape) in {(y, x) for y in (63, 64) for x in (63, 64)}


def test_filaments_lead_where_they_should():
    source, size, scale = find_source("zs1.0"), 256, 0.82
    cluster = coma_like(size * scale)
    with_them, without = (
        cluster_convergence(c, source, size, 2 * size, scale)[:size, :size]
        for c in (cluster, replace(cluster, directions=()))
    )
    added = with_them - without
    y, x = np.nonzero(added > 0.7 * cluster.filament)
    angle = np.rad2deg(np.arctan2(y - (size - 1) / 2, x - (size - 1) / 2)) % 360
    away = np.min([np.abs((angle - direction + 180) % 360 - 180) for direction in cluster.directions], axis=0)
    radius = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) * scale
    assert (away * np.pi / 180 * radius).max() < 3 * cluster.width
    assert radius.min() < 0.35 * cluster.reach
    assert radius.max() > cluster.reach
    assert {round(d) for d in cluster.directions} <= set(np.rint(angle).astype(int))


def test_planted_shear_is_that_of_the_sum_of_the_masses():
    # So many galaxies that noise is nothing; and the field is all of the periodic area.
    table = planted(CLUSTER, Survey(density=1e9))
    added = cluster_convergence(CLUSTER, find_source(SKY.source), SKY.size, SKY.size, SKY.pixel_scale)
    sky = simulate_sky(np.arange(*IDS), SKY, 3)
    np.testing.assert_allclose(table["kappa"], sky.kappa + added, atol=1e-6)
    kappa = table["kappa"].astype(np.float64)
    for name, expected in zip(("g1", "g2"), reduced_shear(kappa, *shear_of_convergence(kappa)), strict=True):
        np.testing.assert_allclose(table[name], expected, atol=5e-5)
        assert np.abs(expected).max() > 0.05


def test_empty_fields_hold_noise_alone():
    table = planted(None, Survey())
    assert not table["kappa"].any()
    pulls = np.stack([table[name] for name in ("g1", "g2")]) * np.sqrt(table["weight"])
    assert pulls.shape == (2, 3, 64, 64)
    assert pulls.std() == pytest.approx(1.0, abs=0.03)
    assert table["count"].mean() == pytest.approx(33 * SKY.pixel_scale**2, rel=0.01)


def test_filaments_are_those_of_maps_that_are_smoothed_alike(results):
    result, directory = results("cha.figure10")
    found = summary(result)
    shown = {row["series"]: row["arcs"] for row in result["rows"] if "image" in row}
    assert tuple(shown) == ("truth", *networks.METHODS)
    for label in ("truth", "Wiener", "KS93", "KS93 1.6'"):
        store = "fields" if label == "truth" else f"fields-{networks.LABELS[label].replace(':', '-')}"
        kappa = np.asarray(open_store(directory / "parts" / f"{store}.zarr")["kappa"].values)
        seen = smoothed(kappa, 2.5, networks.SKIES["tiny"].pixel_scale)
        lines = [find_filaments(one, 3 * np.sqrt(seen.var(axis=0, ddof=1).mean())) for one in seen]
        assert found[label, "filaments in a map"][0] == pytest.approx(np.mean([len(one) for one in lines]))
        assert len(shown[label]) == len(lines[0])


@pytest.mark.parametrize("size", ["small", "paper"])
def test_published_completeness_stands_at_its_masses(size):
    middles = np.sqrt(MASS_EDGES[1:] * MASS_EDGES[:-1])
    field = np.repeat(np.arange(4), len(middles))
    places = Peaks(field, *(np.zeros(len(field)) for _ in range(3)))
    clusters = _Clusters(places, np.full(len(field), 0.3), np.tile(middles, 4))
    sample = Sample(Job(Path(), size), Path(), None, "")
    type_of = type("Four", (Sample,), {"size": property(lambda _self: 4)})
    sample = type_of(sample.job, sample.store, sample.maps, "")
    found = {}
    for label in (*networks.METHODS, "Cha, by chance", "KS93, by chance"):
        rows = _completeness_rows(sample, label, clusters, np.where(field < 3, 0, -1))
        assert all(r["measured"] == 0.75 for r in rows)
        found |= {(label, round(r["x"] / 1e14, 1)): r["published"] for r in rows if r["published"] is not None}
        assert all(r["comparable"] == (size == "paper" and r["published"] is not None) for r in rows)
    assert found == {("Cha", 1.0): 0.75, ("KS93", 1.0): 0.35, ("Cha", 3.2): 0.9}


def test_paper_size_trains_by_the_recipes_of_the_papers():
    cha = read_recipe("massmap-cha-paper")
    assert networks.recipe_of("cha", "paper") == cha
    assert (cha.sky, cha.survey) == (networks.SKIES["paper"], networks.SURVEYS["paper"])
    committed = read_recipe("massmap-miu2net-paper")
    ours = networks.recipe_of("miu2net", "paper")
    assert replace(ours, sky=committed.sky, survey=committed.survey) == committed
    # The maps of the experiment, cut to the size of the published fields.
    assert ours.sky == replace(networks.SKIES["paper"], size=committed.sky.size)
    h21 = networks.recipe_of("h21", "paper")
    assert replace(h21, network=cha.network, exponent=6.0) == cha
    assert h21.exponent == 1.0


@pytest.mark.parametrize("name", ["cha", "h21", "miu2net"])
def test_small_experiments_take_the_fields_of_the_shipped_networks(name):
    recipe = read_recipe(f"massmap-{name}")
    assert (recipe.sky, recipe.survey) == (networks.SKIES["small"], networks.SURVEYS["small"])


def test_networks_are_trained_once_for_each_recipe(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(networks, "train", lambda path, _recipe, **_settings: calls.append(path))
    jobs = [Job(tmp_path, size, seed) for size, seed in (("tiny", 0), ("tiny", 1), ("paper", 0))]
    paths = [Path(networks.method_of(job, label)) for job in jobs for label in ("H21", "Cha")]
    assert calls == paths
    assert len(set(paths)) == 6
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").touch()
    assert [Path(networks.method_of(jobs[0], label)) for label in ("H21", "Cha")] == paths[:2]
    assert calls == paths
    assert [networks.method_of(jobs[2], label) for label in ("KS93", "KS93 1.6'")] == ["ks93:2.5", "ks93:1.6"]
    assert [networks.smoothing_of(label) for label in ("truth", "Wiener", "KS93", "KS93 1.6'", "Cha")] == [
        *(0.0, 0.0, 2.5, 1.6, 0.0)
    ]
    assert networks.weights_of("Wiener", "H21", "Cha")(jobs[0]) == paths[:2]
    assert networks.weights_of("KS93", "MIU²Net")(Job(tmp_path, "small")) == [SHIPPED_WEIGHTS["miu2net"]]


def test_fields_that_could_not_be_made_are_not_measured(tmp_path):
    gone = RunResult([None], (Quarantine(0, 0, 4, "died"),), 3, 1.0, 0, "a computer", 1, 1.0)
    with pytest.raises(InputError, match=r"fields.zarr: 1 chunks could not be made; try again with if_exists="):
        sample_of(Job(tmp_path, "tiny"), tmp_path / "fields.zarr", gone)


def test_interrupted_mass_maps_are_resumed(results, tmp_path, monkeypatch):
    import lensdask.reproduce.massmaps.fields as fields

    reconstruct, calls = fields.reconstruct_run, []

    def interrupted(maps, path, **settings):
        calls.append(path.stem)
        if calls == ["fields-wiener", "fields-ks93-2.5", "fields-ks93-1.6", "fields-h21"]:
            raise KeyboardInterrupt
        return reconstruct(maps, path, **settings)

    monkeypatch.setattr(fields, "reconstruct_run", interrupted)
    options = RunOptions(show_progress=False, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        run_experiment("cha.figure2", tmp_path / "run", size="tiny", options=options)
    weights = sorted((tmp_path / "run" / "parts" / "networks").glob("*.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    resumed = run_experiment("cha.figure2", tmp_path / "run", size="tiny", options=replace(options, if_exists="resume"))
    assert resumed["rows"] == results("cha.figure2")[0]["rows"]
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert len(weights) == 1


def summary(result):
    return {
        (row["series"], row["quantity"]): (row["measured"], row["error"]) for row in result["rows"] if "x" not in row
    }


def test_wiener_is_measured_on_the_same_fields(results):
    for name in ("cha.figure3", "cha.figure9", "miu2net.distribution"):
        found = summary(results(name)[0])
        for name in ("KS93", "KS93 1.6'"):
            ratio, error = found[name, "RMSE / RMSE of Wiener"]
            assert ratio == pytest.approx(found[name, "RMSE"][0] / found["Wiener", "RMSE"][0])
            # Its error knows that both are of the same fields.
            apart = [found[label, "RMSE"][1] / found[label, "RMSE"][0] for label in (name, "Wiener")]
            assert error < 0.6 * np.hypot(*apart)
            assert ratio > 1 + 3 * error
        # Each has its own smoothing.
        assert found["KS93", "RMSE"][0] > found["KS93 1.6'", "RMSE"][0]


def test_masks_hide_what_they_should(results):
    whole, masked = (results(name)[0]["run"]["objects"] for name in ("cha.figure3", "cha.figure9"))
    assert masked / whole == pytest.approx(0.8, abs=0.02)
    (shown,) = [r["image"] for r in results("cha.figure9")[0]["rows"] if r.get("image") and r["series"] == "truth"]
    hidden = np.mean([word == "-" for line in shown for word in line.split()])
    assert hidden == pytest.approx(0.2, abs=0.03)


def test_planted_mass_and_filaments_are_in_the_truth(results):
    found = summary(results("cha.figure10")[0])
    assert found["truth", "M200 by an NFW fit"][0] == pytest.approx(7.4e14, rel=0.3)
    excess, error = summary(results("cha.figure11")[0])["truth", "excess in the directions of filaments"]
    assert excess > 3 * error


def test_fields_without_mass_have_none(results):
    found = summary(results("cha.figure8")[0])
    for label in ("Wiener", "KS93"):
        mean, error = found[label, "mean of a map"]
        assert abs(mean) < 1e-3 + 4 * error
        assert abs(found[label, "skewness of a map"][0]) < 0.3
        low, high = (found[label, f"{end} of all maps"][0] for end in ("lowest", "highest"))
        assert low <= found[label, "lowest of a map"][0] < 0 < found[label, "highest of a map"][0] <= high


def test_clusters_are_found_more_often_than_by_chance(results):
    found = summary(results("cha.figure7")[0])
    (name,) = {quantity for _, quantity in found}
    share, error = found["Wiener", name]
    by_chance, error_by_chance = found["Wiener, by chance", name]
    assert share - by_chance > 4 * np.hypot(error, error_by_chance)


def test_both_clusters_of_a_pair_stand_out(results):
    found = summary(results("miu2net.merging_clusters")[0])
    first, second, middle = (found["truth", f"kappa, {place}"][0] for place in ("first", "second", "middle"))
    assert first > second > middle
