"""Draw ``docs/lens_classes.png``: one lens with each kind of dark matter, as Euclid and the HST see it."""

from pathlib import Path

import numpy as np

from lensdask.plots.lenses import SeenLens, plot_lenses
from lensdask.stronglens import SURVEYS, simulate
from lensdask.stronglens.evaluation.information import substructure_snr
from lensdask.stronglens.fitting.fit import fit_smooth

PICTURE = Path(__file__).parent / "lens_classes.png"

LENS, SEED = 24, 0
"""Id and seed of the lens: of the first 64, that whose three S/N for Euclid are nearest to the medians of all."""

KINDS = {
    "no substructure": ("none", "cdm"),
    "CDM, 0.5 % of the mass": ("cdm", "cdm"),
    "CDM as coded": ("cdm", "as-coded"),
    "vortex": ("vortex", "cdm"),
}
"""By title, class and substructure."""

CAMERAS = {"euclid": "Euclid", "hst": "HST"}


def seen(kind: str, survey: str) -> tuple[str, SeenLens]:
    """Return the lens as a survey sees it, fitted, with the S/N of its substructure in the title."""
    name, signal = KINDS[kind]
    lenses = simulate(images=LENS + 1, survey=survey, signal=signal, classes=(name,), seed=SEED).isel(lens=[LENS])
    image = lenses["image"].to_numpy()
    residual = fit_smooth(image, SURVEYS[survey]).residual
    title = f"{CAMERAS[survey]}: {kind}"
    if name != "none":
        (ratio,) = substructure_snr("physical", survey, signal, name, np.array([LENS]), SEED)
        title += f"\nS/N {ratio:.0f}"
    return title, SeenLens(image[0], residual[0], lenses.attrs["pixel_scale"])


def main() -> None:
    """Draw the picture."""
    plot_lenses(dict(seen(kind, survey) for survey in CAMERAS for kind in KINDS), PICTURE)


if __name__ == "__main__":
    main()
