"""Correlation functions ξ± of a catalogue of shear by TreeCorr, with errors by a jackknife over patches of the sky."""

from typing import Any

import numpy as np
from astropy.table import Table

from lensdask.errors import InputError, check_number

__all__ = ["shear_correlation", "treecorr_catalogue"]


def treecorr_catalogue(table: Table, *, patches: int = 1) -> Any:
    """Return a catalogue as TreeCorr takes it, cut into patches of the sky for a jackknife.

    Parameters
    ----------
    table
        Of `lensdask.shear.to_catalogue`, with ``ra`` and ``dec`` in degrees. Its frame, x to the west and y to the
        north, is that of TreeCorr.
    patches
        Number of patches; 1 for none.

    Returns
    -------
    treecorr.Catalog
        Galaxies of weight 0 are left out.

    Raises
    ------
    InputError
        TreeCorr is not installed, columns are missing, or there are fewer galaxies than patches.
    """
    try:
        import treecorr
    except ImportError as error:
        raise InputError("treecorr is not installed; expected it for correlations: pip install treecorr") from error
    check_number("patches", patches, least=1, whole=True)
    missing = [name for name in ("ra", "dec", "g1", "g2", "weight") if name not in table.colnames]
    if missing:
        raise InputError(f"catalogue: no column {', '.join(missing)}; expected a table of lensdask.shear.to_catalogue")
    kept = table[np.asarray(table["weight"]) > 0]
    if len(kept) < max(2, patches):
        raise InputError(f"catalogue: {len(kept)} galaxies with a weight; expected {max(2, patches)} or more")
    columns = {name: np.asarray(kept[column], dtype=float) for name, column in _TREECORR.items()}
    settings = {"npatch": patches, "rng": np.random.default_rng(0)} if patches > 1 else {}
    return treecorr.Catalog(**columns, ra_units="deg", dec_units="deg", **settings)


_TREECORR = {"ra": "ra", "dec": "dec", "g1": "g1", "g2": "g2", "w": "weight"}
"""Our columns by the names that TreeCorr has for them."""


def shear_correlation(
    table: Table,
    other: Table | None = None,
    *,
    least: float = 1.0,
    most: float = 100.0,
    bins: int = 10,
    patches: int = 20,
) -> Table:
    """Return the correlation functions ξ+ and ξ- of a catalogue, or of two, and the aperture masses that follow.

    Parameters
    ----------
    table
        As for `treecorr_catalogue`.
    other
        A second one, such as another tomographic bin.
    least, most
        Range of separations, arcmin.
    bins
        Logarithmic bins of it.
    patches
        Of the jackknife; with 1 errors are those of shape noise alone.

    Returns
    -------
    Table
        A row for each bin: ``theta``, arcmin; ``xi_plus``, ``xi_minus`` and their errors; ``pairs``; and ``map2``,
        ``mx2``, ``map2_error``: the variance of the aperture mass at that scale by E and by B modes, which should be
        zero but for pairs that are left out, with the error of shape noise.

    Raises
    ------
    InputError
        As `treecorr_catalogue`, or a setting is not acceptable.
    """
    check_number("least", least, above=0, below=most, meaning="arcmin, below most")
    check_number("bins", bins, least=2, whole=True)
    first = treecorr_catalogue(table, patches=patches)
    second = None if other is None else treecorr_catalogue(other, patches=patches)
    from treecorr import GGCorrelation

    method = {"var_method": "jackknife"} if patches > 1 else {}
    found = GGCorrelation(min_sep=least, max_sep=most, nbins=bins, sep_units="arcmin", **method)
    found.process(first, second)
    map2, _, mx2, _, variance = found.calculateMapSq()
    columns = {
        "theta": found.meanr,
        "xi_plus": found.xip,
        "xi_plus_error": np.sqrt(found.varxip),
        "xi_minus": found.xim,
        "xi_minus_error": np.sqrt(found.varxim),
        "pairs": found.npairs,
        "map2": map2,
        "mx2": mx2,
        "map2_error": np.sqrt(variance),
    }
    return Table({name: np.asarray(values) for name, values in columns.items()})
