import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.arrays import in_batches, like, namespace, to_numpy

REAL_AND_COMPLEX = [
    (np.float32, "float32", "complex64"),
    (np.float64, "float64", "complex128"),
    (np.complex64, "float32", "complex64"),
    (np.complex128, "float64", "complex128"),
]


@settings(deadline=None)
@given(rows=st.integers(1, 40), batch=st.integers(1, 17))
def test_in_batches_equals_one_call_of_a_row_wise_function(rows: int, batch: int) -> None:
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, 3, 2)), rng.normal(size=rows)
    calls = []

    def function(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        calls.append(len(a))
        return np.stack([a.sum((1, 2)) * b, a[:, 0, 0] - b], axis=1)

    np.testing.assert_array_equal(in_batches(function, (x, y), batch), function(x, y))
    # Every call but the last, which is the comparison itself, had the one fixed size.
    assert calls == [batch] * -(-rows // batch) + [rows]


@settings(deadline=None)
@given(rows=st.integers(1, 30), start=st.integers(0, 29))
def test_a_row_gives_the_same_bits_beside_any_neighbours(rows: int, start: int) -> None:
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=(60, 50)).astype(np.float32), rng.normal(size=(50, 7)).astype(np.float32)

    def product(a: np.ndarray) -> np.ndarray:
        return a @ matrix

    whole = in_batches(product, (x,), 8)
    part = in_batches(product, (x[start : start + rows],), 8)
    np.testing.assert_array_equal(part, whole[start : start + rows])


@pytest.mark.parametrize("library", [np, torch], ids=["numpy", "torch"])
@pytest.mark.parametrize(("reference", "real", "complex_"), REAL_AND_COMPLEX)
def test_like_keeps_precision_and_library(library: object, reference: type, real: str, complex_: str) -> None:
    holder = library.asarray(np.zeros(2, reference))
    for values, expected in ((np.arange(3), real), (np.arange(3) + 1j, complex_)):
        result = like(values, holder)
        assert type(result) is type(holder)
        assert str(result.dtype).removeprefix("torch.") == expected
        np.testing.assert_array_equal(to_numpy(result), values)


def test_like_accepts_views_with_negative_strides() -> None:
    turned = np.rot90(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(to_numpy(like(turned, torch.zeros(1))), turned)


def test_to_numpy_detaches_and_does_not_copy_numpy() -> None:
    array = np.arange(3.0)
    assert to_numpy(array) is array
    np.testing.assert_array_equal(to_numpy(torch.arange(3.0, requires_grad=True)), array)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (np.zeros(2), torch.zeros(2)),
        (torch.zeros(2), array_api_strict.zeros(2)),
        (np.zeros(2), array_api_strict.zeros(2)),
    ],
    ids=["numpy-torch", "torch-strict", "numpy-strict"],
)
def test_libraries_must_not_be_mixed(one: object, two: object) -> None:
    with pytest.raises(TypeError):
        namespace(one, two)


def test_namespace_is_that_of_the_library() -> None:
    assert namespace(array_api_strict.zeros(2)) is array_api_strict
    assert isinstance(namespace(torch.zeros(2)).zeros(1), torch.Tensor)
    assert isinstance(namespace(np.zeros(2)).zeros(1), np.ndarray)
