"""Fit the constants of `lensdask.sky.nbody.descent`: power of particles against halofit, in boxes that no test has.

For each pair of scales it prints the amplitude that brings the power of the boxes closest to halofit, from 0.2 to
1 h / Mpc and at all times together, and how close; then the power with the constants that ship. As the boxes are few,
each is compared with its own initial power, grown. Two to three CPU minutes.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.sky import NbodyBox, matter_power, simulate_box, tomography_cosmology
from lensdask.sky.nbody.descent import Descent, descent_kernel, displaced
from lensdask.sky.nbody.mesh import mesh_wave_numbers, paint, transform_of
from lensdask.sky.nbody.start import linear_density

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Complex64 = npt.NDArray[np.complex64]

COSMOLOGY, BOX = tomography_cosmology(0.2915, 0.7835), NbodyBox()
BOXES, SEED = 4, 77
TIMES = [0.65, 1.0]
"""Scale factors: redshift 0.54, whose matter lenses the last bin most, and today."""
EDGES = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0])
"""Of bands in k, h / Mpc."""
SCALES = list(product([0.3, 0.4, 0.6], [0.9, 1.2, 1.6]))
"""Pairs of k_l and k_s, h / Mpc."""
TRIAL = 0.004
"""Amplitude, 1 / Mpc, at which the change of the power is measured; it is nearly proportional to it."""


def band_power(transform: Complex64, edges: Float64, *, painted: bool) -> tuple[Float64, Float64]:
    """Return the mean k in 1 / Mpc and the power in Mpc³ of bands, without the window of the mesh if it was painted.

    Parameters
    ----------
    transform
        Of a density contrast in `BOX`, shape (size, size, size // 2 + 1).
    edges
        Of the bands, h / Mpc, shape (band + 1,).
    painted
        Whether it is of particles, rather than exact at the centres of cells.
    """
    size = len(transform)
    waves = mesh_wave_numbers(size, np.zeros(0))
    k = np.sqrt(sum(wave**2 for wave in waves)) * size / BOX.side
    # A wave stands for two, but for those along the faces of the half space.
    weight = np.full(k.shape, 2.0)
    weight[..., [0, -1]] = 1.0
    band = np.digitize(k / COSMOLOGY.h, edges) - 1
    inside = (band >= 0) & (band < len(edges) - 1)
    window = np.prod([np.broadcast_to(np.sinc(wave / (2 * np.pi)), k.shape)[inside] for wave in waves], axis=0)
    power = np.abs(transform[inside] / window ** (2 if painted else 0)) ** 2 * BOX.side**3 / size**6
    modes, *sums = (
        np.bincount(band[inside], weight[inside] * each) for each in (np.ones_like(power), k[inside], power)
    )
    return sums[0] / modes, sums[1] / modes


def over_halofit(position: Float32, time: float, start: Complex64, edges: Float64) -> tuple[Float64, Float64]:
    """Return the mean k of bands in 1 / Mpc, and the power of particles over that of halofit.

    Parameters
    ----------
    position
        Particles of `BOX`, in cells of the force mesh.
    time
        Scale factor.
    start
        `linear_density` of the same box, whose power over the theory is taken out.
    edges
        Of the bands, h / Mpc.
    """
    theory = matter_power(COSMOLOGY)
    k, initial = band_power(start, edges, painted=False)
    density = transform_of(paint(position, BOX.mesh) * (BOX.mesh / BOX.particles) ** 3)
    linear = np.exp(np.interp(np.log(k), np.log(theory.wave_number), theory.linear))
    return k, band_power(density, edges, painted=True)[1] / initial / (theory.at(k, 1 / time - 1) / linear)


class Powers(NamedTuple):
    """Powers over halofit of one box, each of shape (time, band)."""

    moved: list[Float64]
    """By forces alone."""
    shipped: list[Float64]
    """Displaced as light cones have it."""
    trials: list[list[Float64]]
    """Displaced with `TRIAL` and each of `SCALES`, shape (time, pair) of lists; of the first box alone."""


def powers(number: int) -> Powers:
    """Simulate a box and return its powers."""
    found, start = Powers([], [], []), linear_density(COSMOLOGY, BOX, number=number, seed=SEED)
    trials = [Descent(TRIAL, *(COSMOLOGY.h * scale for scale in pair)) for pair in SCALES]
    for time, position in zip(TIMES, simulate_box(COSMOLOGY, BOX, TIMES, number=number, seed=SEED), strict=True):
        kernels = (descent_kernel(BOX, position, each) for each in (trials if number == 0 else []))
        found.moved.append(over_halofit(position, time, start, EDGES)[1])
        shown = displaced(position, descent_kernel(BOX, position))
        found.shipped.append(over_halofit(shown, time, start, EDGES)[1])
        found.trials.append([over_halofit(displaced(position, each), time, start, EDGES)[1] for each in kernels])
    return found


def main() -> None:
    """Simulate the boxes and print what fits them."""
    boxes = [powers(number) for number in range(BOXES)]
    moved, shipped = (np.array(each) for each in zip(*((box.moved, box.shipped) for box in boxes), strict=True))
    # By how much of itself a displacement changes the power hardly differs between boxes.
    for pair, trial in zip(SCALES, np.moveaxis(np.array(boxes[0].trials), 1, 0), strict=True):
        slope = moved * (trial / moved[0] - 1) / TRIAL
        each = np.sum(slope * (1 - moved), axis=(1, 2)) / np.sum(slope**2, axis=(1, 2))
        left = np.sqrt(np.mean((np.mean(moved + each.mean() * slope, axis=0) - 1) ** 2))
        error = each.std(ddof=1) / BOXES**0.5
        print(f"k_l, k_s = {pair} h / Mpc: amplitude {each.mean():.4f} ± {error:.4f}, leaves {100 * left:.1f} % rms")
    print(f"power over halofit between k = {EDGES} h / Mpc")
    for row, time in enumerate(TIMES):
        for name, power in (("moved", moved[:, row]), ("displaced", shipped[:, row])):
            error = power.std(axis=0, ddof=1) / BOXES**0.5
            print(f"a = {time}, {name}: {power.mean(axis=0).round(3)} ± {error.round(3)}")


if __name__ == "__main__":
    main()
