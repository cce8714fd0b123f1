"""Make ``lensdask/sky/tables/tomography.npz``: cosmologies and their matter power. Needs the extra ``theory``.

The cosmologies are a Sobol set (Sobol 1967) in Ω_m and S₈, of which those with the wanted σ₈ are kept, and the fiducial
one. The order is made for those who simulate only a few: the fiducial one, the corners of the convex hull, then always
the point that is farthest from all before it; so a part of them that has the corners spans the same hull. A second
Sobol set in the same coordinates, inside the hull, is the calibration set: a sample of the prior.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyccl
from scipy.spatial import ConvexHull, Delaunay
from scipy.stats import qmc

from lensdask.sky.tomography.cosmologies import FIDUCIAL, OMEGA_M, S8, SIGMA8, tomography_cosmology
from lensdask.sky.tomography.matter import compute_matter_power

TABLE = Path(__file__).parents[1] / "lensdask" / "sky" / "tables" / "tomography.npz"

GRID, CALIBRATION = 57, 128

WAVE_NUMBER = np.geomspace(1e-3, 60.0, 128)
REDSHIFT = np.linspace(0.0, 1.8, 13)

Float64 = npt.NDArray[np.float64]


def sobol(skip: int, count: int) -> Float64:
    """Return points (Ω_m, σ₈) that are evenly spread in Ω_m and S₈, to four decimals, with σ₈ in its range."""
    sampler = qmc.Sobol(2, scramble=False).fast_forward(skip)
    omega_m, s8 = qmc.scale(sampler.random(count), (OMEGA_M[0], S8[0]), (OMEGA_M[1], S8[1])).T
    points = np.stack([omega_m, s8 / np.sqrt(omega_m / 0.3)], axis=1).round(4)
    return points[(points[:, 1] >= SIGMA8[0]) & (points[:, 1] <= SIGMA8[1])]


def ordered(points: Float64) -> Float64:
    """Return the points, the first one first, then the corners of their hull, then always the farthest from all."""
    scaled = points / (points.max(axis=0) - points.min(axis=0))
    chosen = [0, *(int(i) for i in ConvexHull(points).vertices if i)]
    while len(chosen) < len(points):
        distance = np.linalg.norm(scaled[:, None] - scaled[chosen], axis=2).min(axis=1)
        chosen.append(int(distance.argmax()))
    return points[chosen]


def cosmologies() -> tuple[Float64, Float64]:
    """Return the grid and the calibration set, shapes (57, 2) and (128, 2)."""
    grid = ordered(np.concatenate([[FIDUCIAL], sobol(1, 256)[: GRID - 1]]))
    more = sobol(512, 512)
    return grid, more[Delaunay(grid).find_simplex(more) >= 0][:CALIBRATION]


if __name__ == "__main__":
    grid, calibration = cosmologies()
    points = np.concatenate([grid, calibration])
    made = [compute_matter_power(tomography_cosmology(*point), WAVE_NUMBER, REDSHIFT) for point in points.tolist()]
    card = {
        "quantity": "ln of the linear matter power today, Mpc^3, and of the non-linear over the linear power",
        "method": "halofit (Takahashi et al. 2012) of CAMB's linear power",
        "versions": {"pyccl": pyccl.__version__},
        "made_by": "docs/lss_theory.py",
    }
    np.savez_compressed(
        TABLE,
        card=np.array(json.dumps(card)),
        omega_m=points[:, 0],
        sigma8=points[:, 1],
        calibration=np.arange(len(points)) >= len(grid),
        wave_number=WAVE_NUMBER,
        redshift=REDSHIFT,
        linear=np.array([one.linear for one in made], dtype=np.float32),
        boost=np.array([one.boost for one in made], dtype=np.float16),
    )
    print(f"{TABLE}: {len(grid)} + {len(calibration)} cosmologies, {TABLE.stat().st_size} bytes")
