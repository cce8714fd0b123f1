import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.random import Stream, generator, normals, philox

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


# Known answers that come with the generator of Salmon et al. (2011), Random123: counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("library", [np, torch], ids=["numpy", "torch"])
@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_known_answers(library, counter, key, words) -> None:
    found = philox(tuple(library.asarray([word], dtype=library.int64) for word in counter), key)
    assert tuple(int(word[0]) for word in found) == words


@pytest.mark.parametrize("library", [np, torch], ids=["numpy", "torch"])
@settings(deadline=None, max_examples=30)
@given(start=st.integers(0, 30), rows=st.integers(1, 9), count=st.sampled_from([1, 6, 400, 1023]))
def test_normals_are_the_same_bits_beside_any_neighbours(library, start: int, rows: int, count: int) -> None:
    whole = normals(library.arange(40), count, 3, Stream.NOISE)
    part = normals(library.arange(start, start + rows), count, 3, Stream.NOISE)
    np.testing.assert_array_equal(part, whole[start : start + rows], strict=True)


def test_normals_are_the_same_in_every_library() -> None:
    ids = np.array([0, 7, 2**31, 2**32, 2**53 + 1, 2**62], dtype=np.int64)
    numpy, other = normals(ids, 4096, 2**62 + 5, Stream.RENOISE), normals(torch.from_numpy(ids), 4096, 2**62 + 5, 3)
    assert numpy.dtype == np.float32
    np.testing.assert_allclose(numpy, other, atol=2e-6)


def test_normals_are_normal_and_independent() -> None:
    # 4e6 numbers: moments of a normal distribution, with the standard errors of their estimates.
    drawn = normals(np.arange(1000), 4000, 1, Stream.NOISE).astype(np.float64)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert np.mean(drawn**power) == pytest.approx(moment, abs=4 * np.sqrt(variance / drawn.size))
    # Numbers of a pair have one radius: their squares would betray an angle that is not uniform.
    for shift in (1, 2, 1000, 2000):
        for values in (drawn, drawn**2 - 1):
            product = values[:, :-shift] * values[:, shift:]
            assert abs(product.mean()) < 4.5 * product.std() / np.sqrt(product.size)
    correlation = np.corrcoef(drawn[:200])[np.triu_indices(200, 1)]
    assert np.mean(correlation**2) * 4000 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("changed", [{"ids": 10}, {"ids": 9 + 2**32}, {"seed": 6}, {"seed": 5 + 2**32}, {"stream": 3}])
def test_normals_depend_on_seed_stream_and_id(changed) -> None:
    key = {"ids": 9, "seed": 5, "stream": 2}
    one, two = (
        normals(np.array([k["ids"]], dtype=np.int64), 1000, k["seed"], Stream(k["stream"]))
        for k in (key, key | changed)
    )
    assert not np.isin(one, two).any()
