"""Write fpfs_anacal.npz: what anacal measures on the stamps of test_fpfs. Run it by hand, with anacal installed."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_fpfs import GOLDEN, anacal_columns, varied_stamps


def main() -> None:
    """Measure and write."""
    images, _, renoise, psf = varied_stamps()
    np.savez(
        GOLDEN,
        plain=anacal_columns(images, None, psf),
        renoise=anacal_columns(images, renoise, psf),
        stamp_power=[np.sum(image * image) for image in images],
    )


if __name__ == "__main__":
    main()
