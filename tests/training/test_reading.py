import threading
import time
from collections.abc import Iterator

import pytest

from lensdask.training import read_ahead


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_items_come_in_order(length, count) -> None:
    assert list(read_ahead(iter(range(length)), count)) == list(range(length))


def test_items_are_made_ahead_and_not_further() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append((number, threading.current_thread()))
            yield number

    reader = read_ahead(items(), 3)
    assert next(reader) == 0
    # The three that may lie ready come without being asked for; then the thread waits.
    until = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)
    assert [number for number, _ in made] == [0, 1, 2, 3]
    assert len({thread for _, thread in made} | {threading.main_thread()}) == 2
    assert list(reader) == list(range(1, 10))


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    reader = read_ahead(items(), 4)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="broken"):
        next(reader)


def test_a_reader_that_is_left_ends_its_thread() -> None:
    before = threading.active_count()
    reader = read_ahead(iter(range(100)))
    next(reader)
    assert threading.active_count() == before + 1
    reader.close()
    assert threading.active_count() == before
