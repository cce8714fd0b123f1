"""Estimators and cuts compared in one pass: the same numbers as runs of their own, whatever the chunks."""

import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.shear import Observation, RunOptions, Selection, compare, draw_psf, magnitude_cut, run_bias
from lensdask.shear.calibration.shape_sums import SUMS
from lensdask.shear.imaging import Imaging
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import FPFS, fpfs_shapes, make_moments
from lensdask.shear.shapes.measurement import COLUMNS, measure_stamps
from lensdask.shear.tasks import CompareEstimators

# With other seeds no galaxy of these few may cross the hard cut, whose response then is none.
GALAXIES, SEED = 96, 6
ESTIMATORS = ("fpfs", "fpfs:0.70,25", "d4cnn")
CUTS = (None, magnitude_cut(25.0), magnitude_cut(25.0, 0.3))
NUMBERS = ("values", "errors", "delta_errors", "response", "selection_response", "galaxies", "selected", "blocks")


def options(if_exists="refuse"):
    return RunOptions(show_progress=False, if_exists=if_exists)


def compared(directory, *, if_exists="refuse", **changes):
    settings = {"estimators": ESTIMATORS, "selections": CUTS, "galaxies": GALAXIES, "seed": SEED, "replicas": 50}
    return compare(directory, **settings | changes, options=options(if_exists))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return compared(tmp_path_factory.mktemp("comparison"), galaxies_per_task=32)


@pytest.mark.parametrize(("estimator", "cut"), [("fpfs", 0), ("fpfs", 1), ("fpfs:0.70,25", 2), ("d4cnn", 2)])
def test_same_numbers_as_a_run_of_its_own(comparison, tmp_path, estimator, cut):
    settings = {"galaxies": GALAXIES, "seed": SEED, "replicas": 50, "options": options()}
    alone = run_bias(tmp_path, estimator=estimator, selection=CUTS[cut], **settings)
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(comparison.bias(estimator, cut), name), getattr(alone.bias, name))
    assert (alone.uncorrected is None) == (CUTS[cut] is None)
    if alone.uncorrected:
        found = comparison.bias(estimator, cut, corrected=False)
        np.testing.assert_array_equal(found.values, alone.uncorrected.values)
        assert (found.values != alone.bias.values).any()


@pytest.mark.parametrize("task", [10, 64, 1000])
def test_same_bits_whatever_a_task_is(comparison, tmp_path, task):
    again = compared(tmp_path, estimators=ESTIMATORS[:2], galaxies_per_task=task)
    np.testing.assert_array_equal(again.sums, comparison.sums[:, :2], strict=True)


def test_interrupted_and_resumed(comparison, tmp_path, monkeypatch):
    whole = CompareEstimators.__call__

    def interrupted(self, start, *arguments):
        if start >= 64:
            raise KeyboardInterrupt
        return whole(self, start, *arguments)

    fpfs = {"estimators": ESTIMATORS[:2], "galaxies_per_task": 32}
    monkeypatch.setattr(CompareEstimators, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt, match="2 of 3 chunks done"):
        compared(tmp_path, **fpfs)
    monkeypatch.undo()
    with pytest.raises(InputError, match="is of an earlier run"):
        compared(tmp_path, **fpfs)
    resumed = compared(tmp_path, if_exists="resume", **fpfs)
    assert resumed.run.objects == 32
    np.testing.assert_array_equal(resumed.sums, comparison.sums[:, :2], strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.journal.jsonl"]


@pytest.mark.parametrize(
    "change",
    [
        {"estimators": ("fpfs", "fpfs:0.70,26")},
        {"selections": (None, magnitude_cut(25.0), magnitude_cut(25.0, 0.2))},
        {"selections": (None, magnitude_cut(25.0), Selection(above=100.0, gamma0=0.01))},
        {"observation": Observation(noise_sigma=0.3)},
    ],
    ids=["FPFS settings", "width", "gamma0", "noise"],
)
def test_another_comparison_does_not_resume(tmp_path, change):
    few = {"galaxies": 4, "estimators": ("fpfs", "fpfs:0.70,25")}
    compared(tmp_path, **few)
    assert compared(tmp_path, if_exists="resume", **few).run.objects == 0
    with pytest.raises(InputError, match="another configuration"):
        compared(tmp_path, if_exists="resume", **few | change)


def resampled_noise(sums: np.ndarray, weights: np.ndarray) -> float:
    """Return Std(e) / R of one resampling, from the statistics by name."""
    total = dict(zip(SUMS, np.moveaxis(np.tensordot(weights, sums, 1), -1, 0), strict=True))
    noise = []
    for i in ("1", "2"):
        mean, square = total[f"e{i}"] / total["weight"], total[f"e{i}²"] / total["weight"]
        response = (total[f"de{i}_dg{i}"] + total[f"e{i}_dw_dg{i}"]) / total["weight"]
        noise.append(np.sqrt((square - mean**2).mean()) / response.mean())
    return float(np.mean(noise))


@pytest.mark.parametrize("cut", [0, 2])
def test_ratio_of_shape_noises(comparison, cut):
    value, error = comparison.shape_noise_ratio("d4cnn", "fpfs", cut)
    first, second = (comparison.sums[:, ESTIMATORS.index(name), cut] for name in ("d4cnn", "fpfs"))
    blocks = len(first)
    assert value == pytest.approx(resampled_noise(first, np.ones(blocks)) / resampled_noise(second, np.ones(blocks)))
    noises = [comparison.bias(name, cut).values[4:].mean() for name in ("d4cnn", "fpfs")]
    assert value == pytest.approx(noises[0] / noises[1])
    rng = np.random.default_rng(0)
    draws = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=400)
    joint = np.std([resampled_noise(first, w) / resampled_noise(second, w) for w in draws])
    # 50 replicas know an error to 10 %.
    assert error == pytest.approx(joint, rel=0.4)
    relative = [
        np.std([resampled_noise(s, w) for w in draws]) / resampled_noise(s, draws[0] ** 0) for s in (first, second)
    ]
    assert error < np.hypot(*relative) * value


def test_an_estimator_compared_with_itself(comparison):
    assert comparison.shape_noise_ratio("fpfs", "fpfs") == (1.0, 0.0)


def test_what_was_not_compared_is_refused(comparison, tmp_path):
    with pytest.raises(
        InputError, match=r"^estimator 'fpfs:1,1' was not compared; expected fpfs, fpfs:0.70,25, d4cnn$"
    ):
        comparison.bias("fpfs:1,1")
    with pytest.raises(InputError, match=r"^selection 3; expected 0 to 2$"):
        comparison.bias("fpfs", 3)
    for mistake in ({"estimators": ("fpfs", "fpfs")}, {"estimators": ()}, {"selections": ()}):
        with pytest.raises(InputError, match=r"^estimators: [^\n]*; expected distinct ones, and at least one cut$"):
            compared(tmp_path, **mistake)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_that_keeps_nobody_is_refused(tmp_path):
    bright = compared(tmp_path, galaxies=8, estimators=("fpfs",), selections=(magnitude_cut(10.0),))
    for number in (lambda: bright.bias("fpfs"), lambda: bright.shape_noise_ratio("fpfs", "fpfs")):
        with pytest.raises(InputError, match=r"^selection: 0 of 8 galaxies are kept, in 0 of 4 blocks; expected"):
            number()


def test_a_comparison_of_which_nothing_is_left_says_why(tmp_path, monkeypatch):
    def broken(*_arguments):
        raise ValueError("cosmic ray")

    monkeypatch.setattr(CompareEstimators, "__call__", broken)
    with pytest.raises(InputError, match=r": every chunk was given up; expected some \(ValueError: cosmic ray\)$"):
        compared(tmp_path, galaxies=8, estimators=("fpfs",))


# Settings of FPFS in the name of the estimator


def blank_stamps(count=6):
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, 64, 64)).astype(np.float32), np.arange(count)


def test_settings_of_fpfs_in_its_name():
    images, ids = blank_stamps()
    psf = draw_psf(Observation())
    imaging = Imaging(psf, 0.2, 0.0)
    plain, other = (measure_stamps(images, ids, imaging, find_estimator(e), seed=0) for e in ESTIMATORS[:2])
    expected = fpfs_shapes(images, make_moments(psf, pixel_scale=0.2, settings=FPFS(0.7, 25.0)))
    np.testing.assert_allclose(other[:, :6], expected[:6].T, rtol=1e-5, atol=1e-6)
    assert (other[:, :6] != plain[:, :6]).all()
    # The flux is that of the default, so that a cut selects the same galaxies whatever the estimator.
    np.testing.assert_array_equal(other[:, COLUMNS.index("flux") :], plain[:, COLUMNS.index("flux") :])
    default = measure_stamps(images, ids, imaging, find_estimator("fpfs:0.52,8.4"), seed=0)
    np.testing.assert_array_equal(default, plain)


@pytest.mark.parametrize(
    "name", ["fpfs:", "fpfs:0.5", "fpfs:0.5,8,1", "fpfs:a,8", "fpfs:-0.5,8", "fpfs:0.5,0", "fpfs:nan,8", "fpfs:1e9,8"]
)
def test_settings_that_fpfs_cannot_have(name):
    with pytest.raises(InputError, match=rf"^estimator '{name}': expected fpfs:SIGMA,C, two positive numbers[^\n]*$"):
        find_estimator(name)
