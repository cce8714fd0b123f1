"""The bias test gives the same bits wherever it runs and however it is cut into tasks."""

import numpy as np
import pytest
import torch

import lensdask
from lensdask.compute import start_cluster
from lensdask.data import SHAPES, save_weights
from lensdask.shear import Observation, RunOptions, bias, measure_run, run_bias, simulate_run
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe

GALAXIES = {"fpfs": 160, "small": 160, "d4cnn": 64}
TASK = 32
SEED = 11


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the path of a small network with random weights."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    config = D4CNNConfig(channels=(4, 8), strides=(1, 2), hidden=8, grid_points=24, grid_spacing=0.4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        save_weights(path, D4CNN(config).state_dict(), describe(config))
    return path


@pytest.fixture(params=["fpfs", "small", "d4cnn"])
def estimator(request, small):
    """Return the name of an estimator and how many galaxies test it in a second or two."""
    return small if request.param == "small" else request.param, GALAXIES[request.param]


@pytest.fixture(scope="module", params=["threads-2", "local-1", "local-2"])
def cluster(request):
    kind, _, workers = request.param.partition("-")
    with start_cluster(kind, workers=int(workers)) as client:
        yield client


def outcome(folder, estimator, task=TASK, client=None):
    """Return the table and the sums of a bias test, to the bit, and the biases."""
    name, galaxies = estimator
    options = RunOptions(cluster=client, show_progress=False)
    found = run_bias(folder, galaxies=galaxies, estimator=name, galaxies_per_task=task, seed=SEED, options=options)
    assert found.run.quarantined == ()
    assert found.run.objects == galaxies
    sums = np.concatenate([chunk["shapes"] for chunk in found.run.sums])
    return {name: values.tobytes() for name, values in table(folder / "shapes.zarr").items()}, sums, found.bias


def table(path):
    dataset = lensdask.open(path).load()
    return {name: dataset[name].values for name in SHAPES.variables}


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.fixture
def direct(tmp_path, estimator, outcomes):
    """Return the outcome of the direct loop, computed once for each estimator."""
    if estimator not in outcomes:
        outcomes[estimator] = outcome(tmp_path / "direct", estimator)
    return outcomes[estimator]


def assert_same_bits(first, second):
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1], strict=True)
    for name in ("values", "errors", "delta_errors"):
        np.testing.assert_array_equal(getattr(first[2], name), getattr(second[2], name), strict=True)


def test_same_bits_on_every_cluster(tmp_path, estimator, cluster, direct):
    assert np.isfinite(direct[1]).all()
    assert_same_bits(outcome(tmp_path / "run", estimator, client=cluster), direct)


# 50 is no multiple of the stamps in a batch, 1000 is more than there are galaxies.
@pytest.mark.parametrize("task", [50, 64, 96, 1000])
def test_same_bits_whatever_a_task_is(tmp_path, estimator, direct, task):
    assert_same_bits(outcome(tmp_path / "run", estimator, task), direct)


def test_sums_are_those_of_the_table(estimator, direct):
    rows, sums, _ = direct
    columns = [np.frombuffer(rows[name], np.float32).reshape(estimator[1], 4) for name in SHAPES.variables]
    expected = shape_sums(np.stack(columns, axis=-1).astype(np.float64), estimator[1] // len(sums))
    np.testing.assert_allclose(sums, expected, rtol=2e-6, atol=1e-7 * np.abs(sums).max())


def test_same_as_simulating_then_measuring(tmp_path, estimator, direct):
    name, galaxies = estimator
    options = RunOptions(show_progress=False)
    simulate_run(tmp_path / "stamps.zarr", galaxies=galaxies, seed=SEED, chunk=TASK, options=options)
    measure_run(tmp_path / "stamps.zarr", tmp_path / "shapes.zarr", estimator=name, options=options)
    # The same pixels go through the same kernels, so even the table agrees to the bit.
    assert {name: v.tobytes() for name, v in table(tmp_path / "shapes.zarr").items()} == direct[0]
    # The sums of the run are of double-precision shapes, those here of the table's single precision.
    found = bias(lensdask.open(tmp_path / "shapes.zarr"), seed=SEED)
    np.testing.assert_allclose(found.values, direct[2].values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.errors, direct[2].errors, rtol=1e-4)
    assert found.blocks == direct[2].blocks


def test_the_seed_and_the_noise_matter(tmp_path, small):
    runs = []
    for number, (seed, sigma) in enumerate([(0, 0.1), (1, 0.1), (0, 0.2)]):
        observed = Observation(noise_sigma=sigma)
        options = RunOptions(show_progress=False)
        run_bias(tmp_path / str(number), galaxies=8, estimator=small, seed=seed, observation=observed, options=options)
        runs.append(table(tmp_path / str(number) / "shapes.zarr")["e1"])
    assert not np.any(runs[0] == runs[1])
    assert not np.any(runs[0] == runs[2])
