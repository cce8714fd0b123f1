"""The cosmologies: their ranges and hull, the calibration set inside, and what is refused."""

import runpy
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.lss import PARAMETERS
from lensdask.lss.parameters import s8
from lensdask.sky import (
    calibration_cosmologies,
    choose_cosmologies,
    grid_cosmologies,
    hull_distance,
    in_hull,
    tomography_cosmology,
)
from lensdask.sky.tomography import cosmologies as module


def test_grid():
    grid = grid_cosmologies()
    assert grid.shape == (57, 2)
    assert tuple(grid[0]) == module.FIDUCIAL
    assert len(np.unique(grid, axis=0)) == 57
    for values, (least, most) in zip((*grid.T, s8(*grid.T)), (module.OMEGA_M, module.SIGMA8, module.S8), strict=True):
        # To the four decimals of the points.
        assert least - 2e-4 <= values.min() < least + 0.1 * (most - least)
        assert most - 0.1 * (most - least) < values.max() <= most + 2e-4


def test_ranges_are_those_of_the_prior():
    assert (PARAMETERS["omega_m"].low, PARAMETERS["omega_m"].high) == module.OMEGA_M
    assert (PARAMETERS["s8"].low, PARAMETERS["s8"].high) == module.S8
    assert PARAMETERS["omega_m"].fiducial == module.FIDUCIAL[0]
    assert PARAMETERS["s8"].fiducial == pytest.approx(float(s8(*module.FIDUCIAL)))


def test_hull():
    grid = grid_cosmologies()
    assert in_hull(*grid.T).all()
    assert hull_distance(*module.FIDUCIAL) > 0.1
    assert not in_hull([0.15, 0.45, 0.2, 0.4], [0.5, 1.2, 1.25, 0.45]).any()
    # The edge is where the distance is 0, which it is at corners.
    corners = np.abs(hull_distance(*grid.T)) < 1e-9
    assert corners.sum() == 13
    outwards = grid[corners] + 1e-3 * (grid[corners] - grid.mean(axis=0))
    assert not in_hull(*outwards.T).any()
    assert hull_distance(np.zeros((2, 1)), np.zeros(3)).shape == (2, 3)


def test_the_first_cosmologies_span_the_hull():
    corners = np.flatnonzero(np.abs(hull_distance(*grid_cosmologies().T)) < 1e-9)
    assert (corners == np.arange(1, 1 + len(corners))).all()


def test_calibration_set_is_inside_and_another_one():
    calibration, grid = calibration_cosmologies(), grid_cosmologies()
    assert len(calibration) >= 100
    assert in_hull(*calibration.T).all()
    assert not {tuple(p) for p in calibration.tolist()} & {tuple(p) for p in grid.tolist()}
    # A sample of the prior: evenly spread in S₈ where the hull has all of them.
    inner = calibration[(calibration[:, 0] > 0.25) & (calibration[:, 0] < 0.4)]
    quarters = np.histogram(s8(*inner.T), np.linspace(0.57, 1.03, 5))[0] / len(inner)
    np.testing.assert_allclose(quarters, 0.25, atol=0.06)


def test_choice(tmp_path):
    assert choose_cosmologies(2) == tuple(tomography_cosmology(*p) for p in grid_cosmologies()[:2].tolist())
    assert choose_cosmologies("57")[56].sigma8 == grid_cosmologies()[56, 1]
    assert len(choose_cosmologies("calibration")) == len(calibration_cosmologies())
    assert choose_cosmologies("calibration:1")[0].omega_m == calibration_cosmologies()[0, 0]
    path = tmp_path / "mine.txt"
    path.write_text("# Om s8\n0.3 0.8\n0.31 0.7\n")
    assert [(one.omega_m, one.sigma8) for one in choose_cosmologies(path)] == [(0.3, 0.8), (0.31, 0.7)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.3 0.8\n0.1 0.8", "row 2: omega_m: 0.1; expected a number from 0.15 to 0.45"),
        ("0.3 1.3", "row 1: sigma8: 1.3; expected a number from 0.5 to 1.2"),
        ("0.30001 0.8", "4 decimals"),
        ("0.3 nan", "sigma8: nan"),
        ("0.3 0.8\n0.3 0.8", "stands in it twice"),
        ("0.3", "mine.txt: rows of 1; expected a text file with Ω_m and σ₈ in each row"),
        ("a b", "expected a text file"),
        ("0.3 0.8\n0.3", "expected a text file"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        choose_cosmologies(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_choices_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x9c")
    for which in (
        0,
        58,
        -3,
        "calibration:1000",
        "calibration:x",
        "no.txt",
        tmp_path / "empty.txt",
        tmp_path / "binary",
    ):
        with pytest.raises(InputError, match=r"; expected .*(Ω_m and σ₈ in each row|whole number)"):
            choose_cosmologies(which)


def test_table_needs_no_theory_code_and_is_small():
    program = """
import sys
sys.modules |= {"pyccl": None, "camb": None}
from lensdask.sky import choose_cosmologies, shell_spectra, STAGE3_BINS
print(shell_spectra([100.0], STAGE3_BINS, choose_cosmologies("calibration:2")[1])[0, 0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(resources.files("lensdask.sky").joinpath("tables", "tomography.npz").read_bytes()) < 2_000_000


def test_the_table_is_what_its_script_makes():
    pytest.importorskip("pyccl")
    path = Path(__file__).parents[3] / "docs" / "lss_theory.py"
    cosmologies = runpy.run_path(str(path))["cosmologies"]
    for made, shipped in zip(cosmologies(), (grid_cosmologies(), calibration_cosmologies()), strict=True):
        np.testing.assert_array_equal(made, shipped)
