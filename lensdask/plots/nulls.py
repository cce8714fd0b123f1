"""Pictures of null tests of a catalogue of shear."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

__all__ = ["plot_nulls"]


def plot_nulls(path: Path, binned: Mapping[str, Table], modes: Table | None) -> None:
    """Draw the mean shear in bins of columns, and the modes of the aperture mass.

    Parameters
    ----------
    path
        Picture to write.
    binned
        Tables of `lensdask.shear.nulls.samples.shear_in_bins`, by column.
    modes
        Table of `lensdask.shear.nulls.correlations.shear_correlation`; none where places are unknown.
    """
    panels = [*binned, *(["modes"] if modes is not None else [])]
    if not panels:
        return
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        axes.axhline(0, color="0.7", lw=0.8)
        if name in binned:
            for i, marker in ((1, "o"), (2, "s")):
                found = binned[name]
                axes.errorbar(found[name], found[f"g{i}"], found[f"g{i}_error"], fmt=marker, label=f"$g_{i}$")
            axes.set(xlabel=name, ylabel="mean shear")
        elif modes is not None:
            for column, marker, label in (("map2", "o", "E"), ("mx2", "s", "B")):
                axes.errorbar(modes["theta"], modes[column], modes["map2_error"], fmt=marker, label=label)
            axes.set(xscale="log", xlabel="arcmin", ylabel=r"$\langle M_{ap}^2\rangle$")
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
