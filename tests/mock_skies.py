"""Full skies in the formats of CosmoGrid and Gower Street, and where the pixels of HEALPix are."""

from pathlib import Path

import numpy as np

from lensdask.sky import Cosmology
from lensdask.sky.cosmology import comoving_distance

COSMOLOGY = Cosmology(h=0.7, omega_m=0.3, omega_b=0.05, sigma8=0.8, n_s=0.96)
EDGES = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.8])


def centres(nside: int) -> tuple[np.ndarray, np.ndarray]:
    """Sine of latitude and longitude of all pixels in RING order, ring by ring (Górski et al. 2005, equations 4-9)."""
    z, longitude = [], []
    for ring in range(1, 4 * nside):
        i = min(ring, 4 * nside - ring)
        sign = 1 if ring < 2 * nside else -1
        if i < nside:
            count, height, start = 4 * i, sign * (1 - i**2 / (3 * nside**2)), 0.5
        else:
            count, height = 4 * nside, 4 / 3 - 2 * ring / (3 * nside)
            start = 0.5 * ((ring - nside + 1) % 2)
        z.append(np.full(count, height))
        longitude.append(2 * np.pi / count * (np.arange(count) + start))
    return np.concatenate(z), np.concatenate(longitude)


def counts(shells: int, nside: int, seed: int = 0) -> np.ndarray:
    """Return particles of shells, shape (shell, pixel)."""
    return np.random.default_rng(seed).poisson(20.0, (shells, 12 * nside**2)).astype(np.uint16)


def distances(redshift: np.ndarray, cosmology: Cosmology) -> np.ndarray:
    return comoving_distance(redshift, cosmology) * cosmology.h


def write_cosmogrid(path: Path, maps: np.ndarray, edges: np.ndarray = EDGES, cosmology: Cosmology = COSMOLOGY) -> Path:
    kinds = [("shell_id", "i4"), *((name, "f4") for name in ("lower_z", "upper_z", "lower_com", "upper_com"))]
    info = np.zeros(len(maps), dtype=kinds)
    info["lower_z"], info["upper_z"] = edges[:-1], edges[1:]
    info["lower_com"], info["upper_com"] = distances(edges[:-1], cosmology), distances(edges[1:], cosmology)
    np.savez_compressed(path, shells=maps, shell_info=info)
    return path


def write_gower(path: Path, maps: np.ndarray, edges: np.ndarray = EDGES, cosmology: Cosmology = COSMOLOGY) -> Path:
    """Write steps from far to near, and two before that have no map or not a whole one."""
    path.mkdir()
    header = "Step,z_far,z_near,delta_z,cmd_far(Mpc/h),cmd_near(Mpc/h),delta_cmd(Mpc/h),cmd/box_far"
    ends = np.concatenate([edges, [5.0, 49.0]])[::-1]
    far, near = ends[:-1], ends[1:]
    reach = distances(ends, cosmology)
    steps = np.arange(1, len(ends))
    table = [steps, far, near, far - near, reach[:-1], reach[1:], reach[:-1] - reach[1:], reach[:-1] / 1250]
    np.savetxt(path / "z_values.txt", np.stack(table, axis=1), ["%i"] + ["%.6f"] * 7, ",", header=header)
    np.save(path / "run.00002.incomplete.npy", maps[0])
    for step, one in zip(steps[2:], maps[::-1], strict=True):
        np.save(path / f"run.{step:05d}.lightcone.npy", one)
    return path


def describe(path: Path, form: str, simulations: list, more: str = "", about: str = "") -> Path:
    """Write the description of one cosmology."""
    listed = ", ".join(f'"{one}"' for one in simulations)
    path.write_text(
        f'format = "{form}"\n{more}\n[[cosmology]]\nomega_m = {COSMOLOGY.omega_m}\nsigma8 = {COSMOLOGY.sigma8}\n'
        f"simulations = [{listed}]\n{about}\n"
    )
    return path
