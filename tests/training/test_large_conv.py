import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d, conv_transpose2d

from lensdask.errors import InputError
from lensdask.training import large_conv
from lensdask.training.large_conv import LargeConv2d, LargeConvTranspose2d, correlate, fft_is_faster, spread

SHAPES = {
    "square": (2, 3, 4, 40, 40, 9),
    "wide": (1, 2, 1, 33, 71, 12),
    "one_tile": (3, 1, 2, 11, 12, 11),
    "one_pixel": (1, 2, 2, 5, 5, 5),
    "many_tiles": (1, 2, 3, 150, 130, 7),
    "kernel_of_one": (2, 2, 3, 9, 8, 1),
}
"""Fields, channels before and after, height, width, kernel."""


def drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def with_gradients(function, *arguments: torch.Tensor) -> list[torch.Tensor]:
    """Return a function's value and the gradients of a random projection of it."""
    leaves = [argument.clone().requires_grad_() for argument in arguments]
    value = function(*leaves)
    return [value, *torch.autograd.grad((value * drawn(*value.shape, seed=9).to(value.dtype)).sum(), leaves)]


def worst(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Return the largest difference, over the root mean square of what is expected."""
    assert [part.shape for part in found] == [part.shape for part in expected]
    return max(((f - e).abs().max() / e.square().mean().sqrt()).item() for f, e in zip(found, expected, strict=True))


@pytest.mark.parametrize(("fields", "before", "after", "height", "width", "kernel"), SHAPES.values(), ids=SHAPES)
def test_correlation_is_torch_s_convolution(fields, before, after, height, width, kernel) -> None:
    maps, kernels = drawn(fields, before, height, width), drawn(after, before, kernel, kernel, seed=1)
    assert worst(with_gradients(correlate, maps, kernels), with_gradients(conv2d, maps, kernels)) < 1e-12


@pytest.mark.parametrize(("fields", "before", "after", "height", "width", "kernel"), SHAPES.values(), ids=SHAPES)
def test_spreading_is_torch_s_transposed_convolution(fields, before, after, height, width, kernel) -> None:
    maps, kernels = drawn(fields, before, height, width), drawn(before, after, kernel, kernel, seed=1)
    assert worst(with_gradients(spread, maps, kernels), with_gradients(conv_transpose2d, maps, kernels)) < 1e-12


def test_large_kernels_in_single_precision() -> None:
    # Single precision against double, so that rounding of the direct sum does not count.
    maps, kernels = drawn(1, 2, 140, 130), drawn(3, 2, 49, 49, seed=1) / 49
    small = drawn(1, 3, 92, 82)
    for ours, theirs, x in ((correlate, conv2d, maps), (spread, conv_transpose2d, small)):
        found = with_gradients(ours, x.float(), kernels.float())
        assert {part.dtype for part in found} == {torch.float32}
        assert worst(found, with_gradients(theirs, x, kernels)) < 1e-4


def test_derivatives() -> None:
    maps, kernels = drawn(2, 2, 8, 9).requires_grad_(), drawn(2, 2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(correlate, (maps, kernels))
    assert torch.autograd.gradcheck(spread, (maps, kernels))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 30), st.integers(0, 1000))
def test_one_is_the_transpose_of_the_other(kernel, more_rows, more_columns, seed) -> None:
    big = drawn(2, 3, kernel + more_rows, kernel + more_columns, seed=seed)
    kernels = drawn(2, 3, kernel, kernel, seed=seed + 1)
    small = drawn(2, 2, 1 + more_rows, 1 + more_columns, seed=seed + 2)
    there, back = (correlate(big, kernels) * small).sum(), (big * spread(small, kernels)).sum()
    assert math.isclose(there, back, rel_tol=1e-10, abs_tol=1e-9)


def test_gradients_that_nobody_wants_are_not_made() -> None:
    maps, kernels = drawn(1, 2, 12, 12), drawn(2, 2, 5, 5, seed=1).requires_grad_()
    correlate(maps, kernels).sum().backward()
    assert maps.grad is None
    fixed = kernels.detach()
    of_maps = with_gradients(lambda x: correlate(x, fixed), maps)
    assert worst(of_maps, with_gradients(lambda x: conv2d(x, fixed), maps)) < 1e-12


def test_memory_limit_changes_nothing(monkeypatch) -> None:
    maps, kernels = drawn(5, 2, 40, 40), drawn(3, 2, 9, 9, seed=1)
    together = with_gradients(correlate, maps, kernels)
    monkeypatch.setattr(large_conv, "SPECTRUM_BYTES", 1)
    assert worst(with_gradients(correlate, maps, kernels), together) < 1e-12


def test_same_bits_again() -> None:
    maps, kernels = drawn(2, 4, 90, 90, dtype=torch.float32), drawn(4, 4, 25, 25, dtype=torch.float32, seed=1)
    first, second = (with_gradients(correlate, maps, kernels) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("fast", [True, False])
def test_layers_are_torch_s_layers(monkeypatch, fast) -> None:
    monkeypatch.setattr(large_conv, "fft_is_faster", lambda *_: fast)
    x = drawn(2, 3, 30, 26)
    for padding in ("valid", "same"):
        ours, theirs = LargeConv2d(3, 2, 7, padding).double(), torch.nn.Conv2d(3, 2, 7, padding=padding).double()
        theirs.load_state_dict(ours.state_dict())
        torch.nn.init.normal_(ours.bias)
        theirs.bias.data.copy_(ours.bias.data)
        assert worst([ours(x)], [theirs(x)]) < 1e-12
    ours, theirs = LargeConvTranspose2d(3, 2, 7).double(), torch.nn.ConvTranspose2d(3, 2, 7).double()
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    assert worst([ours(x)], [theirs(x)]) < 1e-12


def test_half_precision_around_a_layer_does_not_reach_it(monkeypatch) -> None:
    monkeypatch.setattr(large_conv, "fft_is_faster", lambda *_: True)
    x, layer = drawn(1, 2, 20, 20, dtype=torch.float32), LargeConv2d(2, 2, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(x)
    assert torch.equal(half, layer(x))


def test_rule_knows_the_layers_of_the_paper() -> None:
    assert fft_is_faster("cpu", 49, 464, 464, (24, 24))
    assert fft_is_faster("cpu", 25, 104, 104, (24, 24))
    assert not fft_is_faster("cpu", 3, 512, 512, (24, 24))
    assert not fft_is_faster("cpu", 3, 512, 512, (1, 1))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="field of 40 x 20 pixels; expected at least the kernel's 25 x 25"):
        LargeConv2d(1, 1, 25)(torch.zeros(1, 1, 40, 20))
    with pytest.raises(InputError, match="kernel of 8 pixels with padding 'same'; expected an odd size"):
        LargeConv2d(1, 1, 8, "same")
