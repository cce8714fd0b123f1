"""The weight of shells in the maps: those of the light cones that are simulated here, and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from mock_skies import COSMOLOGY, EDGES, distances

from lensdask.errors import InputError
from lensdask.sky import STAGE3_BINS, redshift_bins, tomography_cosmology
from lensdask.sky.cosmology import SPEED_OF_LIGHT, comoving_distance
from lensdask.sky.fullsky.shells import Limits
from lensdask.sky.fullsky.weights import check_distances, check_neighbours, lost_weight, shell_weights
from lensdask.sky.tomography.shells import SHELLS, matter_shells


def limits(edges, reach=None):
    return Limits(np.asarray(edges[:-1]), np.asarray(edges[1:]), reach)


def test_weights_are_those_of_simulated_shells():
    cosmology = tomography_cosmology(0.2915, 0.7835)
    shells = matter_shells(cosmology)
    z = np.linspace(0, 1.75, 20001)
    edges = np.interp(shells.edges, comoving_distance(z, cosmology), z)
    found = shell_weights(limits(edges), STAGE3_BINS, cosmology)
    expected = shells.weights(STAGE3_BINS)
    assert found.shape == (3, 4, SHELLS)
    # Eight points of an integral over a shell miss corners of n(z), which is linear from 0.01 to 0.01.
    np.testing.assert_allclose(found, expected, atol=0.002 * np.abs(expected).max(axis=-1, keepdims=True).max())
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-7)
    # However shells are cut, they have the weight of the whole; beyond redshift 1.75 there is none.
    whole = shell_weights(limits(EDGES), STAGE3_BINS, cosmology).sum(axis=-1)
    np.testing.assert_allclose(whole, found.sum(axis=-1), rtol=1e-9)
    np.testing.assert_allclose(whole[2], 1.0, rtol=1e-4)
    assert not shell_weights(limits([1.8, 2.0, 3.0]), STAGE3_BINS, cosmology).any()


@pytest.mark.parametrize("w", [-1.0, -0.7])
def test_convergence_of_one_shell_before_one_plane(w):
    cosmology = replace(COSMOLOGY, w=w)
    bins = redshift_bins([0.0, 0.9999, 1.0, 1.01, 1.0101], np.tile([0.0, 0, 1, 1, 0], (4, 1)))
    found = shell_weights(limits([0.49, 0.51]), bins, cosmology)[:, :, 0]
    near, far, source = comoving_distance(np.array([0.49, 0.51, 1.005]), cosmology)
    chi, hubble = (near + far) / 2, 100 * cosmology.h / SPEED_OF_LIGHT
    expected = 1.5 * cosmology.omega_m * hubble**2 * 1.5 * chi * (1 - chi / source) * (far - near)
    np.testing.assert_allclose(found[0], expected, rtol=3e-3)
    assert not found[1:].any()


def test_shells_that_end_too_early():
    assert lost_weight(limits(EDGES), STAGE3_BINS, COSMOLOGY, "run") < 1e-9
    short = limits(EDGES[:-1])
    with pytest.raises(
        InputError, match=r"run: shells from redshift 0 to 1.3, outside of which lies 7.0% of the weight"
    ):
        lost_weight(short, STAGE3_BINS, COSMOLOGY, "run")
    near = redshift_bins([0.1, 0.3, 1.2, 1.35], np.tile([0.0, 1, 1, 0], (4, 1)))
    assert 1e-3 < lost_weight(short, near, COSMOLOGY, "run") < 0.01
    with pytest.raises(InputError, match=r"from redshift 0.2 to 1.8, outside of which lies .* of kappa in bin 1"):
        lost_weight(limits(EDGES[1:]), near, COSMOLOGY, "run")


@pytest.mark.parametrize(
    ("near", "far", "message"),
    [
        ([0.0, 0.5], [0.4, 0.9], "no shell between redshifts 0.4 and 0.5; expected each to begin where"),
        ([0.5, 0.0], [0.9, 0.4], "no shell between redshifts 0.4 and 0.5"),
        ([0.0, 0.3], [0.4, 0.9], "a shell begins at redshift 0.3, the one before ends at 0.4"),
        ([0.0, 0.0], [0.4, 0.4], "a shell begins at redshift 0, the one before ends at 0.4"),
        ([0.0, 0.9], [0.4, 0.4], "a shell from redshift 0.9 to 0.4; expected the near end first"),
        ([-0.1, 0.4], [0.4, 0.9], "expected finite numbers, zero or more"),
        ([0.0, 0.4], [0.4, np.nan], "expected finite numbers, zero or more"),
    ],
)
def test_shells_that_are_no_light_cone(near, far, message):
    check_neighbours(Limits(np.array([0.4, 0.0]), np.array([0.8, 0.40001]), None), "run")
    with pytest.raises(InputError, match=f"^run: .*{message}"):
        check_neighbours(Limits(np.array(near), np.array(far), None), "run")


def test_distances_of_another_cosmology():
    for w in (-1.0, -0.7):
        known = limits(EDGES, 1.003 * distances(EDGES[1:], replace(COSMOLOGY, w=w)))
        check_distances(known, replace(COSMOLOGY, w=w), "run")
        for wrong in (replace(COSMOLOGY, omega_m=0.35, w=w), replace(COSMOLOGY, w=-0.85)):
            with pytest.raises(
                InputError, match=rf"run: redshift 1.[38] at .*that of omega_m {wrong.omega_m}, w {wrong.w}"
            ):
                check_distances(known, wrong, "run")
