"""Convolutions with kernels of tens of pixels, by FFT where that is faster.

A layer from 24 to 24 maps of 512 x 512 pixels with kernels of 49 x 49 multiplies and adds 3e11 times: most of a minute
on a processor. In Fourier space a convolution is a product. Since maps are much larger than kernels, they are cut into
overlapping tiles whose length suits an FFT, and each tile is convolved on its own (overlap-save, and its transpose,
overlap-add): kernels are then transformed at the size of a tile, which takes little time and memory.

Three linear operations share the tiles. With the signs of torch, whose convolution is a correlation,

    correlate        small[o, p] = sum_cu big[c, p + u] kernels[o, c, u]        (``conv2d``)
    spread           big[c, p] = sum_ou small[o, p - u] kernels[o, c, u]        (``conv_transpose2d``)
    kernel gradient  kernels[o, c, u] = sum_p small[o, p] big[c, p + u]

and the derivatives of each are the two others. In Fourier space they are S = B K*, B = S K and K = B S*.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lensdask.errors import InputError

__all__ = ["LargeConv2d", "LargeConvTranspose2d", "correlate", "fft_is_faster", "spread"]

SPECTRUM_BYTES = 2**28
"""Size of the spectra of the maps that are worked on at a time."""

DIRECT_COST = {"cpu": 0.1, "cuda": 0.05}
"""Time of a multiplication of torch's own convolution, in that of an operation that `_fft_cost` counts. On a CPU 0.06
to 0.16 was measured, forwards and backwards, for kernels of 3 to 25 pixels; the value for CUDA is an estimate."""


class _Tiles(NamedTuple):
    """How maps are cut: `rows` x `columns` tiles of `side` pixels, one every `step`."""

    side: int
    step: int
    rows: int
    columns: int

    @property
    def area(self) -> int:
        """Pixels of all tiles."""
        return self.rows * self.columns * self.side**2


def _tiles(side: int, kernel: int, height: int, width: int) -> _Tiles:
    """Return tiles whose first `step` rows and columns together cover a small map of height x width."""
    step = side - kernel + 1
    return _Tiles(side, step, -(-height // step), -(-width // step))


def _fft_cost(tiles: _Tiles, channels: tuple[int, int]) -> float:
    """Return the operations of a convolution by FFT: transforms of maps and kernels, and the products between."""
    pairs = channels[0] * channels[1]
    transforms = (tiles.area * sum(channels) + tiles.side**2 * pairs) * math.log2(tiles.side)
    return transforms + tiles.area * pairs


@lru_cache(maxsize=1024)
def _best_tiles(kernel: int, height: int, width: int, channels: tuple[int, int]) -> _Tiles:
    """Return the tiles of least operations, for small maps of height x width."""
    largest = next_fast_len(max(height, width) + kernel - 1, real=True)
    sides = sorted({next_fast_len(size, real=True) for size in range(kernel, largest + 1)})
    return min((_tiles(side, kernel, height, width) for side in sides), key=lambda tiles: _fft_cost(tiles, channels))


def fft_is_faster(device: str, kernel: int, height: int, width: int, channels: tuple[int, int]) -> bool:
    """Return whether a convolution is faster by FFT than done directly.

    Parameters
    ----------
    device
        "cpu" or "cuda".
    kernel
        Side of the kernels, pixels.
    height, width
        Sides of the smaller of the two maps, before or after the convolution, pixels.
    channels
        Maps before and after.
    """
    direct = DIRECT_COST[device] * height * width * kernel**2 * channels[0] * channels[1]
    return direct > _fft_cost(_best_tiles(kernel, height, width, channels), channels)


def _spectra(maps: Tensor, tiles: _Tiles) -> Tensor:
    """Return the transforms of maps (..., y, x) filled up to the size of a tile by zeros."""
    spectra: Tensor = torch.fft.rfft2(maps, s=(tiles.side, tiles.side))
    return spectra


def _maps(spectra: Tensor, tiles: _Tiles) -> Tensor:
    """Return the maps of such transforms."""
    maps: Tensor = torch.fft.irfft2(spectra, s=(tiles.side, tiles.side))
    return maps


def _spectra_of_big(big: Tensor, tiles: _Tiles) -> Tensor:
    """Return the transforms of overlapping tiles, shape (field, channel, row, column, side, side // 2 + 1)."""
    margin = tiles.side - tiles.step
    height, width = tiles.rows * tiles.step + margin, tiles.columns * tiles.step + margin
    filled = pad(big, (0, width - big.shape[-1], 0, height - big.shape[-2]))
    return _spectra(filled.unfold(2, tiles.side, tiles.step).unfold(3, tiles.side, tiles.step), tiles)


def _spectra_of_small(small: Tensor, tiles: _Tiles) -> Tensor:
    """Return the transforms of tiles that lie side by side, each followed by zeros; shape as of the others."""
    height, width = tiles.rows * tiles.step, tiles.columns * tiles.step
    filled = pad(small, (0, width - small.shape[-1], 0, height - small.shape[-2]))
    cut = filled.unfold(2, tiles.step, tiles.step).unfold(3, tiles.step, tiles.step)
    return _spectra(cut, tiles)


def _joined(spectra: Tensor, tiles: _Tiles, height: int, width: int) -> Tensor:
    """Return small maps from the spectra of their tiles."""
    parts = _maps(spectra, tiles)[..., : tiles.step, : tiles.step]
    return parts.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


def _added(spectra: Tensor, tiles: _Tiles, height: int, width: int) -> Tensor:
    """Return big maps from the spectra of their tiles, which add up where they overlap."""
    parts, margin = _maps(spectra, tiles), tiles.side - tiles.step
    total = parts.new_zeros(*parts.shape[:2], tiles.rows * tiles.step + margin, tiles.columns * tiles.step + margin)
    for row in range(tiles.rows):
        for column in range(tiles.columns):
            y, x = row * tiles.step, column * tiles.step
            total[..., y : y + tiles.side, x : x + tiles.side] += parts[:, :, row, column]
    return total[..., :height, :width]


def _groups(fields: int, tiles: _Tiles, kernels: Tensor) -> Iterator[slice]:
    """Yield the fields in groups whose spectra take bounded memory."""
    bytes_per_field = tiles.area * max(kernels.shape[:2]) * kernels.element_size()
    count = max(1, SPECTRUM_BYTES // bytes_per_field)
    return (slice(start, start + count) for start in range(0, fields, count))


def _small_shape(big: Tensor, kernels: Tensor) -> tuple[int, int]:
    margin = kernels.shape[-1] - 1
    return big.shape[-2] - margin, big.shape[-1] - margin


def _tiles_of(small: tuple[int, int], kernels: Tensor) -> _Tiles:
    return _best_tiles(kernels.shape[-1], *small, (kernels.shape[0], kernels.shape[1]))


class _Correlation(torch.autograd.Function):
    """Big maps to small ones. Spectra are made again for the derivative, since they are larger than the maps."""

    @staticmethod
    def forward(ctx: Any, big: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(big, kernels)
        shape = _small_shape(big, kernels)
        tiles = _tiles_of(shape, kernels)
        conjugate = _spectra(kernels, tiles).conj_physical()
        small = big.new_empty(len(big), len(kernels), *shape)
        for group in _groups(len(big), tiles, kernels):
            product = torch.einsum("bcrqyx,ocyx->borqyx", _spectra_of_big(big[group], tiles), conjugate)
            small[group] = _joined(product, tiles, *shape)
        return small

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        big, kernels = ctx.saved_tensors
        tiles = _tiles_of((gradient.shape[-2], gradient.shape[-1]), kernels)
        of_big = torch.empty_like(big) if ctx.needs_input_grad[0] else None
        spectra = _spectra(kernels, tiles)
        sums = torch.zeros_like(spectra)
        for group in _groups(len(big), tiles, kernels):
            small = _spectra_of_small(gradient[group], tiles)
            if of_big is not None:
                of_big[group] = _added(torch.einsum("borqyx,ocyx->bcrqyx", small, spectra), tiles, *big.shape[-2:])
            if ctx.needs_input_grad[1]:
                sums += torch.einsum("bcrqyx,borqyx->ocyx", _spectra_of_big(big[group], tiles), small.conj_physical())
        return of_big, _kernels_from(sums, tiles, kernels) if ctx.needs_input_grad[1] else None


class _Spreading(torch.autograd.Function):
    """Small maps to big ones: the transpose of `_Correlation`."""

    @staticmethod
    def forward(ctx: Any, small: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(small, kernels)
        tiles = _tiles_of((small.shape[-2], small.shape[-1]), kernels)
        spectra = _spectra(kernels, tiles)
        shape = small.shape[-2] + kernels.shape[-1] - 1, small.shape[-1] + kernels.shape[-1] - 1
        big = small.new_empty(len(small), kernels.shape[1], *shape)
        for group in _groups(len(small), tiles, kernels):
            product = torch.einsum("borqyx,ocyx->bcrqyx", _spectra_of_small(small[group], tiles), spectra)
            big[group] = _added(product, tiles, *shape)
        return big

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        small, kernels = ctx.saved_tensors
        tiles = _tiles_of((small.shape[-2], small.shape[-1]), kernels)
        of_small = torch.empty_like(small) if ctx.needs_input_grad[0] else None
        conjugate = _spectra(kernels, tiles).conj_physical()
        sums = torch.zeros_like(conjugate)
        for group in _groups(len(small), tiles, kernels):
            big = _spectra_of_big(gradient[group], tiles)
            if of_small is not None:
                product = torch.einsum("bcrqyx,ocyx->borqyx", big, conjugate)
                of_small[group] = _joined(product, tiles, *small.shape[-2:])
            if ctx.needs_input_grad[1]:
                sums += torch.einsum("bcrqyx,borqyx->ocyx", big, _spectra_of_small(small[group], tiles).conj_physical())
        return of_small, _kernels_from(sums, tiles, kernels) if ctx.needs_input_grad[1] else None


def _kernels_from(spectra: Tensor, tiles: _Tiles, kernels: Tensor) -> Tensor:
    """Return kernels from their spectra."""
    side = kernels.shape[-1]
    return _maps(spectra, tiles)[..., :side, :side].contiguous()


def correlate(big: Tensor, kernels: Tensor) -> Tensor:
    """Return maps convolved by FFT with kernels that stay inside them, as ``torch.nn.functional.conv2d`` does.

    Parameters
    ----------
    big
        Shape (field, c, y, x), float32 or float64.
    kernels
        Shape (o, c, k, k), of the same type.

    Returns
    -------
    Tensor
        Shape (field, o, y - k + 1, x - k + 1).

    Raises
    ------
    InputError
        The maps are smaller than the kernels.
    """
    if min(_small_shape(big, kernels)) < 1:
        height, width = big.shape[-2:]
        side = kernels.shape[-1]
        raise InputError(f"field of {height} x {width} pixels; expected at least the kernel's {side} x {side}")
    # torch does not annotate the apply of its functions.
    result: Tensor = _Correlation.apply(big, kernels)  # type: ignore[no-untyped-call]
    return result


def spread(small: Tensor, kernels: Tensor) -> Tensor:
    """Return maps convolved by FFT with kernels that reach out of them, as ``conv_transpose2d`` of torch does.

    Parameters
    ----------
    small
        Shape (field, o, y, x), float32 or float64.
    kernels
        Shape (o, c, k, k), of the same type.

    Returns
    -------
    Tensor
        Shape (field, c, y + k - 1, x + k - 1).
    """
    # As in `correlate`: torch's apply has no annotations.
    result: Tensor = _Spreading.apply(small, kernels)  # type: ignore[no-untyped-call]
    return result


class LargeConv2d(nn.Module):
    """Convolution of maps with large square kernels, by FFT or directly, whichever is faster.

    Kernels begin as Glorot & Bengio (2010) draw them and biases at 0, as in Keras.

    Parameters
    ----------
    inputs, outputs
        Maps before and after.
    kernel
        Side of the kernels, pixels; odd for "same".
    padding
        "valid" keeps to pixels around which the whole kernel has data, so that maps shrink by kernel - 1;
        "same" surrounds the map by zeros and keeps its size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: Literal["valid", "same"] = "valid") -> None:
        super().__init__()
        if padding == "same" and kernel % 2 == 0:
            raise InputError(f"kernel of {kernel} pixels with padding 'same'; expected an odd size")
        self.around = kernel // 2 if padding == "same" else 0
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved maps, shape (field, outputs, y, x)."""
        small = _small_shape(x, self.weight)
        small = small[0] + 2 * self.around, small[1] + 2 * self.around
        if min(small) > 0 and not _by_fft(x, small, self.weight):
            return nn.functional.conv2d(x, self.weight, self.bias, padding=self.around)
        # Half precision has no FFT.
        with torch.autocast(x.device.type, enabled=False):
            return correlate(pad(x.to(self.weight.dtype), 4 * (self.around,)), self.weight) + self.bias[:, None, None]


class LargeConvTranspose2d(nn.Module):
    """Transposed convolution with large square kernels: every pixel spreads a kernel, and maps grow by kernel - 1.

    Parameters
    ----------
    inputs, outputs
        Maps before and after.
    kernel
        Side of the kernels, pixels.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved maps, shape (field, outputs, y, x)."""
        if not _by_fft(x, (x.shape[-2], x.shape[-1]), self.weight):
            return nn.functional.conv_transpose2d(x, self.weight, self.bias)
        with torch.autocast(x.device.type, enabled=False):
            return spread(x.to(self.weight.dtype), self.weight) + self.bias[:, None, None]


def _by_fft(maps: Tensor, small: tuple[int, int], kernels: Tensor) -> bool:
    return fft_is_faster(maps.device.type, kernels.shape[-1], *small, (kernels.shape[0], kernels.shape[1]))
