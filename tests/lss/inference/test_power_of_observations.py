"""An observation whose summary is usual and whose maps are not is told of by the power of its maps."""

import numpy as np
import pytest
from lss_toy import PRIOR, observe, toy_dataset

from lensdask.data import write
from lensdask.errors import InputError
from lensdask.lss import ChainSettings, infer
from lensdask.lss.inference.summaries import read_observation, read_summaries

FEATURES = 6


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return the path of a toy of 3000 samples with the power of their maps."""
    path = tmp_path_factory.mktemp("power") / "summaries.zarr"
    toy = toy_dataset(3000)
    rng = np.random.default_rng(1)
    # The third parameter changes the power, and so does noise of a few per cent.
    power = toy["theta_true"].values[:, 2:3] / 6 + rng.normal(0, 0.05, (3000, FEATURES))
    write(toy.assign(power=(("sample", "feature"), power.astype(np.float32))), path)
    return path


def observation(path, shift):
    rng = np.random.default_rng(2)
    theta = PRIOR.sample(1, rng)
    arrays = {"theta_summary": observe(theta, rng)[0], "power": theta[0, 2] / 6 + shift * np.arange(FEATURES)}
    np.savez(path, **arrays)
    return path


def test_power_travels_with_the_rows(store):
    known = read_summaries(store)
    chosen = known.rows(np.array([5, 2]))
    assert known.power.shape == (3000, FEATURES)
    np.testing.assert_array_equal(chosen.power, known.power[[5, 2]])


@pytest.mark.parametrize(("shift", "is_usual"), [(0.0, True), (0.2, False)])
def test_unusual_power_is_warned_of(store, tmp_path, shift, is_usual):
    chain = ChainSettings(32, 500, 1.0, 250)
    file = observation(tmp_path / "o.npz", shift)
    found = infer(tmp_path / "out", store, observation=file, mocks=0, epochs=1, chain=chain, device="cpu")
    assert set(found.novelty) == {"the observation", "the power of its maps"}
    assert (found.novelty["the power of its maps"].p_value > 0.01) == is_usual
    line = "the power of its maps is unlike the simulations"
    warned = any(one.startswith(line) for one in found.result["warnings"])
    assert warned != is_usual
    rows = {row["quantity"] for row in found.result["rows"]}
    assert "p-value of the power of its maps among the simulations" in rows


def test_power_that_is_no_number_is_refused(tmp_path):
    np.savez(tmp_path / "o.npz", theta_summary=np.zeros(2), power=np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=r"power\[1\] is nan"):
        read_observation(tmp_path / "o.npz", ("a", "b"))
