"""Thin slices of a box, seen along an axis: the mean density along it, and its mean over any rectangle.

A slice counts the particles in square cells, so it is the same bits in whatever order they are counted. The mean over a
rectangle is four values of the integral image C(y, x) = ∫∫ δ, which is linear in each cell, and periodic but for the
mean of the slice. So pixels of any size and place are exact means over the pixel, of a field smoothed by one cell.
"""

from collections.abc import Iterator

import array_api_compat

from lensdask.arrays import Array, namespace

__all__ = ["SLICES", "integral_image", "rectangle_means", "slice_counts"]

SLICES = 4
"""Slices of a box along an axis. Two of them are a shell of a light cone."""


def slice_counts(position: Array, size: int, axis: int, cells: int) -> Iterator[Array]:
    """Yield the particles in the cells of each of `SLICES` slices of a box.

    Parameters
    ----------
    position
        In cells of the force mesh, shape (3, particle).
    size
        Cells of the force mesh on a side.
    axis
        0, 1 or 2: what the box is cut along. The other axes are y and x of the slice, in cyclic order.
    cells
        Cells of the slice on a side.

    Yields
    ------
    Array
        Whole numbers, shape (cells, cells).
    """
    xp = namespace(position)

    def place(of: int, number: int) -> Array:
        scaled = xp.astype(position[of % 3, ...] * (number / size), xp.int64)
        # Rounding puts some particles on the far face.
        return xp.clip(scaled, max=number - 1)

    depth, cell = place(axis, SLICES), place(axis + 1, cells) * cells + place(axis + 2, cells)
    for one in range(SLICES):
        yield xp.reshape(xp.bincount(cell[depth == one], minlength=cells**2), (cells, cells))


def integral_image(counts: Array, particles: int) -> Array:
    """Return the integral of the density contrast from the first cell, in cells².

    Parameters
    ----------
    counts
        Of a slice, shape (cells, cells).
    particles
        In the whole box.

    Returns
    -------
    Array
        float64, shape (cells + 1, cells + 1): up to the near and the far edges of the cells.
    """
    xp, cells = namespace(counts), len(counts)
    image = xp.zeros((cells + 1, cells + 1), dtype=xp.float64, device=array_api_compat.device(counts))
    contrast = xp.astype(counts, xp.float64) * (SLICES * cells**2 / particles) - 1
    image[1:, 1:] = xp.cumulative_sum(xp.cumulative_sum(contrast, axis=0), axis=1)
    return image


def rectangle_means(image: Array, y: Array, x: Array) -> Array:
    """Return means over the rectangles of some grids.

    Parameters
    ----------
    image
        Of `integral_image`, shape (cells + 1, cells + 1).
    y, x
        Edges of the rectangles in cells, anywhere in the periodic plane, increasing or decreasing: shape (grid, y + 1)
        and (grid, x + 1), float64.

    Returns
    -------
    Array
        Shape (grid, y, x).
    """
    xp = namespace(image)
    total = _integral_to(image, y[:, :, None], x[:, None, :])
    integral = xp.diff(xp.diff(total, axis=1), axis=2)
    return integral / (xp.diff(y, axis=1)[:, :, None] * xp.diff(x, axis=1)[:, None, :])


def _integral_to(image: Array, y: Array, x: Array) -> Array:
    """Return the integral from the first cell to places in the periodic plane, which broadcast."""
    xp, cells = namespace(image), image.shape[0] - 1
    turns_y, turns_x = xp.floor(y / cells), xp.floor(x / cells)
    y, x = y - turns_y * cells, x - turns_x * cells
    end = xp.full((1, 1, 1), float(cells), dtype=xp.float64, device=array_api_compat.device(image))
    whole_rows, whole_columns = _linear(image, end, x), _linear(image, y, end)
    whole = turns_y * whole_rows + turns_x * whole_columns + turns_y * turns_x * image[-1, -1]
    return _linear(image, y, x) + whole


def _linear(image: Array, y: Array, x: Array) -> Array:
    """Return an image between its points, linear along y and x, at places inside it that broadcast."""
    xp, cells = namespace(image), image.shape[0] - 1
    i, j = (xp.clip(xp.astype(at, xp.int64), max=cells - 1) for at in (y, x))
    v, u = y - i, x - j
    flat = xp.reshape(image, (-1,))

    def corner(row: Array, column: Array) -> Array:
        number = row * (cells + 1) + column
        return xp.reshape(xp.take(flat, xp.reshape(number, (-1,))), number.shape)

    near = (1 - u) * corner(i, j) + u * corner(i, j + 1)
    return (1 - v) * near + v * ((1 - u) * corner(i + 1, j) + u * corner(i + 1, j + 1))
