"""A batch that does not fit is tried at half the size: same rows, one warning, and no endless attempts."""

import warnings

import numpy as np
import pytest
import torch

from lensdask.arrays import in_batches
from lensdask.compute import OutOfMemoryWarning, batches_that_fit, memory

ROWS = np.arange(37.0)[:, None]


def device_of(rows, calls):
    """Return a function that runs out of memory with more than so many rows."""

    def function(part):
        calls.append(len(part))
        if len(part) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part**2

    return function


@pytest.fixture(autouse=True)
def _untold():
    memory._tell_once.cache_clear()


def test_smaller_batches_give_the_same_rows():
    calls = []
    with pytest.warns(OutOfMemoryWarning, match="smaller batches"):
        found = batches_that_fit(device_of(5, calls), (ROWS,), 32)
    np.testing.assert_array_equal(found, in_batches(np.square, (ROWS,), 32))
    assert calls == [32, 16, 8] + [4] * 10


def test_it_is_told_once():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            batches_that_fit(device_of(5, []), (ROWS,), 32)
    assert [each.category for each in told] == [OutOfMemoryWarning]


def test_what_fits_is_done_at_once_and_in_silence():
    calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches_that_fit(device_of(32, calls), (ROWS,), 32)
    assert calls == [32, 32]


@pytest.mark.filterwarnings("ignore::lensdask.compute.OutOfMemoryWarning")
def test_a_single_row_that_does_not_fit_is_an_error():
    calls = []
    with pytest.raises(torch.OutOfMemoryError):
        batches_that_fit(device_of(0, calls), (ROWS,), 4)
    assert calls == [4, 2, 1]


def test_other_errors_are_not_retried():
    with pytest.raises(ZeroDivisionError):
        batches_that_fit(lambda _: 1 / 0, (ROWS,), 4)
