"""Mean shear of samples of a catalogue, with the response of each: by bins of a column, and along with the PSF.

The mean shear of a sample is ``g = R^-1 sum(w e) / sum(w)`` with ``R = sum(wR) / sum(w)``, see
`lensdask.shear.to_catalogue`. A catalogue has no reason for a mean shear that follows a place on the detector, the PSF
or the seeing. Of what shear itself changes, such as the flux, bins are cuts: their own response is not in R.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from lensdask.errors import InputError, check_number
from lensdask.stats import block_length, block_sums, bootstrap_error

__all__ = ["mean_shear", "psf_leakage", "shear_in_bins", "star_response"]

Float64 = npt.NDArray[np.float64]

_RESPONSE = ("wR11", "wR12", "wR21", "wR22")


def mean_shear(table: Table, *, seed: int = 0) -> tuple[Float64, Float64]:
    """Return the mean shear (g1, g2) of a sample, and its errors by a bootstrap over galaxies.

    Parameters
    ----------
    table
        Rows of a catalogue of `lensdask.shear.to_catalogue`, at least two.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        Columns are missing, there are too few galaxies, or their response has no inverse.
    """
    terms = _terms(table)
    if len(terms) < 2:
        raise InputError(f"catalogue: {len(terms)} galaxies in a sample; expected 2 or more")
    return _shear(terms.sum(0)), bootstrap_error(_blocks(terms), _shear, seed=seed)


def _blocks(terms: Float64) -> Float64:
    return block_sums(terms, block_length(len(terms)))


def _terms(table: Table) -> Float64:
    """Return what galaxies add to <w e>, shape (galaxy, 2), and R, (galaxy, 4), side by side."""
    weight = _column(table, "weight")
    e = [weight * _column(table, name) for name in ("e1", "e2")]
    return np.stack([*e, *(_column(table, name) for name in _RESPONSE)], axis=-1)


def _shear(totals: Float64) -> Float64:
    response = totals[..., 2:].reshape(*totals.shape[:-1], 2, 2)
    try:
        return np.asarray(np.linalg.solve(response, totals[..., :2, None])[..., 0])
    except np.linalg.LinAlgError as error:
        raise InputError("catalogue: the response of a sample has no inverse; expected galaxies") from error


def _column(table: Table, name: str) -> Float64:
    if name not in table.colnames:
        raise InputError(f"catalogue: no column {name!r}; expected a table of lensdask.shear.to_catalogue with it")
    column = table[name]
    values = np.asarray(np.ma.filled(column, np.nan) if np.ma.isMaskedArray(column) else column, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"catalogue: {name} is not finite for {np.sum(~np.isfinite(values))} galaxies; drop them")
    return values


def shear_in_bins(table: Table, column: str, bins: int = 10, *, seed: int = 0) -> Table:
    """Return the mean shear in bins of a column, each with as many galaxies and with a response of its own.

    Parameters
    ----------
    table
        As for `mean_shear`.
    column
        Name of a column, such as the place on the detector or the size of the PSF.
    bins
        Number of bins.
    seed
        Of the bootstrap.

    Returns
    -------
    Table
        A row for each bin: mean of the column, ``g1``, ``g2``, ``g1_error``, ``g2_error``, ``galaxies``. Its ``meta``
        has the slopes ``slope1`` and ``slope2`` of a line through the bins, per unit of the column, with errors.

    Raises
    ------
    InputError
        As `mean_shear`; or the column has too few values for the bins.
    """
    check_number("bins", bins, least=2, whole=True)
    values = _column(table, column)
    number = np.searchsorted(np.quantile(values, np.arange(1, bins) / bins), values, side="right")
    if len(np.unique(number)) < bins:
        raise InputError(f"catalogue: {column} has too few values for {bins} bins; expected fewer bins")
    found = Table(list(zip(*_rows(table, values, number, bins, seed), strict=True)), names=_names(column))
    found.meta = _slopes(found, column)
    return found


def _names(column: str) -> list[str]:
    return [column, "g1", "g2", "g1_error", "g2_error", "galaxies"]


def _rows(
    table: Table, values: Float64, number: npt.NDArray[np.int64], bins: int, seed: int
) -> Iterator[tuple[float, ...]]:
    for one in range(bins):
        inside = number == one
        g, error = mean_shear(table[inside], seed=seed)
        yield float(values[inside].mean()), *map(float, g), *map(float, error), int(inside.sum())


def _slopes(found: Table, column: str) -> dict[str, float]:
    slopes = {}
    for i in (1, 2):
        weight = np.asarray(found[f"g{i}_error"], dtype=float) ** -2
        x = np.asarray(found[column]) - np.average(found[column], weights=weight)
        spread = float(np.sum(weight * x**2))
        slopes[f"slope{i}"] = float(np.sum(weight * x * found[f"g{i}"])) / spread
        slopes[f"slope{i}_error"] = spread**-0.5
    return slopes


def psf_leakage(table: Table, *, seed: int = 0) -> dict[str, float]:
    """Return the share α of the ellipticity of the PSF that is in the shear: ``g_i = α e_i(PSF) + c_i``.

    Parameters
    ----------
    table
        As for `mean_shear`, with columns ``psf_e1`` and ``psf_e2``.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        ``alpha1``, ``alpha2``, ``c1``, ``c2``, each with its error under the name with ``_error``.

    Raises
    ------
    InputError
        Columns are missing, or the PSF is the same everywhere.
    """
    terms, weight = _terms(table), _column(table, "weight")
    found: dict[str, float] = {}
    response = terms[:, 2:].sum(0).reshape(2, 2)
    # Each galaxy's w g with the mean response of all, so that the sum over a sample is one of shears.
    shear = np.linalg.solve(response / weight.sum(), terms[:, :2].T)
    for i in (1, 2):
        e = _column(table, f"psf_e{i}")
        if np.ptp(e) == 0:
            raise InputError(f"catalogue: psf_e{i} is {e[0]:g} everywhere; expected a PSF that changes")
        sums = np.stack([weight, weight * e, weight * e**2, shear[i - 1], shear[i - 1] * e], axis=-1)
        errors = bootstrap_error(_blocks(sums), _line, seed=seed)
        for name, value, error in zip(("alpha", "c"), _line(sums.sum(0)), errors, strict=True):
            found |= {f"{name}{i}": float(value), f"{name}{i}_error": float(error)}
    return found


def _line(sums: Float64) -> Float64:
    """Return slope and intercept, shape (..., 2), of a weighted line of sums w, w x, w x², w y, w x y."""
    w, x, xx, y, xy = np.moveaxis(sums, -1, 0)
    slope = (w * xy - x * y) / (w * xx - x**2)
    return np.stack([slope, (y - slope * x) / w], axis=-1)


def star_response(table: Table) -> tuple[float, float]:
    """Return the mean response (R11 + R22) / 2 of stars, which is 0 where the PSF is understood, and its error.

    Parameters
    ----------
    table
        Stars measured as galaxies are, with columns ``weight`` and ``wR11`` to ``wR22``; at least two.

    Raises
    ------
    InputError
        Columns are missing, or there are too few stars.
    """
    weight = _column(table, "weight")
    if np.count_nonzero(weight) < 2:
        raise InputError(f"stars: {np.count_nonzero(weight)} with a weight; expected 2 or more")
    each = (_column(table, "wR11") + _column(table, "wR22")) / 2
    mean = float(each.sum() / weight.sum())
    error = float(np.sqrt(np.sum((each - mean * weight) ** 2)) / weight.sum())
    return mean, error
