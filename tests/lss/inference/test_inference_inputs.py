"""What an inference reads: which samples are set aside, and from which prior."""

import numpy as np
import pytest
from lss_toy import CORNERS, toy_dataset, write_toy

from lensdask.data import write
from lensdask.errors import InputError
from lensdask.lss.inference.inputs import fiducial_of, read_inputs


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with four samples of each set of parameters."""
    dataset = toy_dataset(2400)
    dataset["theta_true"][:] = np.repeat(dataset["theta_true"].values[:600], 4, axis=0)
    path = tmp_path_factory.mktemp("inputs") / "summaries.zarr"
    write(dataset, path)
    return path


def test_parameter_sets_of_mocks_are_not_learned_from(store):
    inputs = read_inputs(store, observation=2, mocks=40, seed=1)
    assert len(inputs.mocks.theta) == 40
    # The row that is observed may be among the mocks.
    assert len(inputs.rest.theta) in (2400 - 4 * 40, 2400 - 4 * 41)
    rest = set(map(tuple, inputs.rest.theta))
    assert not rest & set(map(tuple, inputs.mocks.theta))
    assert tuple(inputs.observed.truth) not in rest


def test_mocks_of_another_store(store, tmp_path):
    other = write_toy(tmp_path / "other.zarr", 50, seed=3)
    # Its cosmologies reach further than those of the 600 simulations.
    inputs = read_inputs(store, observation="fiducial", mocks=30, calibration=other, cosmologies=CORNERS)
    assert len(inputs.rest.theta) == 2400
    assert len(inputs.mocks.theta) == 30
    assert inputs.observed is None
    assert len(inputs.prior.hull) == len(CORNERS)


def test_simulations_outside_of_the_hull_that_is_given(store):
    with pytest.raises(InputError, match="samples lie outside of the prior"):
        read_inputs(store, observation="fiducial", mocks=0, cosmologies=[(0.25, 0.75), (0.35, 0.75), (0.3, 0.85)])


def test_other_bounds(store):
    inputs = read_inputs(store, observation="fiducial", mocks=0, bounds={"eta_ia": (-5, 7)})
    assert inputs.prior.high[5] == 7
    assert inputs.mocks is None


def test_a_fiducial_observation_outside_of_the_prior(tmp_path):
    dataset = toy_dataset(6000)
    write(dataset.isel(sample=np.flatnonzero(dataset["theta_true"][:, 0] > 0.32)), tmp_path / "far.zarr")
    with pytest.raises(InputError, match="observation fiducial: outside of the prior"):
        read_inputs(tmp_path / "far.zarr", observation="fiducial", mocks=0)


def test_priors_are_those_that_the_summaries_were_made_with(tmp_path):
    assert fiducial_of(("eta_b", "b_g2"), "released").tolist() == [0.5, -1.0]
    # Of Table I: the released ones end at an eta_b of 2.
    dataset = toy_dataset(4000)
    dataset = dataset.isel(sample=abs(dataset["theta_true"].values[:, 6]) < 2)
    for priors, high in (("table1", 3.0), ("released", 2.0)):
        write(dataset.assign_attrs(priors=priors), tmp_path / priors)
        prior = read_inputs(tmp_path / priors, observation=0, mocks=0).prior
        assert prior.high[prior.names.index("eta_b")] == high
    with pytest.raises(InputError, match="lie outside of the prior"):
        read_inputs(write_toy(tmp_path / "a.zarr", 2000, priors="released"), observation=0, mocks=0)
    with pytest.raises(InputError, match="priors: 'flat'; expected table1"):
        read_inputs(write_toy(tmp_path / "b.zarr", 2000, priors="flat"), observation=0, mocks=0)


def test_mocks_that_are_learned_from_are_refused(store):
    with pytest.raises(InputError, match="expected mocks that are not learned from"):
        read_inputs(store, observation="fiducial", mocks=20, calibration=store)
