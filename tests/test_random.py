import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.random import Stream, generator

IDS = np.arange(24)


def draws(ids: np.ndarray, seed: int = 3, stream: Stream = Stream.NOISE) -> np.ndarray:
    """Draws of a chunk: what any worker does with the ids it is given."""
    return np.array([generator(seed, stream, int(i)).standard_normal(5) for i in ids]).reshape(-1, 5)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, len(IDS)), max_size=6), order=st.permutations(range(7)))
def test_any_split_of_ids_in_any_order_gives_the_same_draws(cuts: list[int], order: list[int]) -> None:
    chunks = np.split(IDS, sorted(cuts))
    results = {}
    for k in order:
        if k < len(chunks):
            results[k] = draws(chunks[k])
    joined = np.concatenate([results[k] for k in sorted(results)])
    np.testing.assert_array_equal(joined, draws(IDS))


def test_draws_are_those_of_numpys_philox() -> None:
    # The definition is part of the format: a catalogue is reproduced from its seed by whoever knows it.
    bits = np.random.Philox(key=np.array([7, 2], np.uint64), counter=np.array([0, 0, 0, 41], np.uint64))
    expected = np.random.Generator(bits).standard_normal(9)
    np.testing.assert_array_equal(generator(7, Stream.NOISE, 41).standard_normal(9), expected)


def test_no_stream_number_is_used_twice() -> None:
    # An IntEnum turns a repeated number into an alias, which iteration hides and __members__ shows.
    numbers = [int(stream) for stream in Stream.__members__.values()]
    assert len(numbers) == len(set(numbers)) == len(Stream)


@pytest.mark.parametrize("index", range(3), ids=["seed", "stream", "id"])
def test_seed_stream_and_id_all_matter(index: int) -> None:
    key = [5, 2, 9]
    other = [k + (i == index) for i, k in enumerate(key)]
    one, two = (generator(s, Stream(t), i).random(1000) for s, t, i in (key, other))
    assert not np.isin(one, two).any()


def test_large_ids_and_seeds_stay_distinct() -> None:
    ids = [0, 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1]
    values = [generator(seed, Stream.NOISE, i).random() for seed in (0, 2**32, 2**63 - 1) for i in ids]
    assert len(set(values)) == len(values)


def test_neighbouring_ids_are_uncorrelated() -> None:
    values = np.array([generator(1, Stream.NOISE, i).standard_normal(4000) for i in range(40)])
    correlation = np.corrcoef(values)[np.triu_indices(40, 1)]
    # 780 coefficients with standard deviation 1/sqrt(4000); their mean square has a relative error of 5 %.
    assert np.mean(correlation**2) * 4000 == pytest.approx(1, abs=0.25)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
