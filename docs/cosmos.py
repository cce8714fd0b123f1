"""Mass maps of the COSMOS field from its HST shear catalogue, held against X-ray groups: into ``docs/cosmos``.

The data are not part of this repository: the catalogue of Schrabback et al. (2010, A&A 516, A63), the footprint of the
survey, and the X-ray groups of Finoguenov et al. (2007, ApJS 172, 182).
"""

import argparse
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits
from cosmos_page import page

from lensdask.compute import Row, choose_device, describe_device, row, run_record, write_json
from lensdask.maps.fields import ShearMaps, shear_maps
from lensdask.maps.statistics.distributions import NULL_STATISTICS, null_statistics
from lensdask.maps.statistics.peaks import Peaks, find_peaks
from lensdask.massmap import bin_catalogue, read_shear_catalogue, tangent_plane
from lensdask.massmap.counterparts import FieldMaps, against_chance, clusters_with_peaks, map_with_noise
from lensdask.massmap.method import method_for
from lensdask.massmap.products import convergence_of
from lensdask.plots.massmap import plot_maps

DOCS = Path(__file__).parent
CATALOGUE, FOOTPRINT, GROUPS = "cosmos_schrabback2010.fits", "maps/cosmos_full_mask_0.29arcmin360.fits", "maps/xray.txt"

CENTRE, FINE = (150.1156, 2.2483), 0.29
"""Centre of the footprint, RA and Dec, and the side of its pixels in arcmin. The file says neither: with these, 99.8 %
of the galaxies are inside, and RA grows to the right."""

PIXEL_SCALE = 0.82
"""Arcmin, those of the networks: 43 galaxies in a pixel."""

METHODS = ("ks93:1.5", "wiener:cosmos", "aperture:12")
"""The core of the aperture's filter, 0.15 of its radius, is 1.8': two pixels, so that the filter is sampled."""

THRESHOLD, RADIUS, TOP = 2.5, 2.0, 10
"""Signal to noise from which on a peak counts, arcmin within which it does, and how many groups are looked at."""

REDSHIFTS = (0.2, 0.9)


class Groups(NamedTuple):
    """X-ray groups, the most massive first."""

    number: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    redshift: np.ndarray
    mass: np.ndarray
    """M500 in 1e13 Msun."""


def read_groups(path: Path) -> Groups:
    """Return the groups between the two redshifts."""
    table = np.loadtxt(path, usecols=(0, 1, 2, 6, 7))
    chosen = table[(table[:, 3] > REDSHIFTS[0]) & (table[:, 3] < REDSHIFTS[1])]
    return Groups(*chosen[np.argsort(-chosen[:, 4], kind="stable")].T)


def read_footprint(path: Path, pixel_scale: float) -> np.ndarray:
    """Return the footprint on other pixels about its centre, east to the left: half of a pixel at least is inside."""
    fine, per_side = fits.getdata(path)[:, ::-1] != 0, 8
    side = ceil(len(fine) * FINE / pixel_scale - 1e-9)
    points = (np.arange(side * per_side) + 0.5) / per_side - side / 2
    index = np.floor(points * pixel_scale / FINE + len(fine) / 2).astype(int)
    known = (index >= 0) & (index < len(fine))
    index = np.where(known, index, 0)
    inside = fine[np.ix_(index, index)] & known[:, None] & known
    return inside.reshape(side, per_side, side, per_side).mean(axis=(1, 3)) >= 0.5


def places_of(groups: Groups, centre: tuple[float, float], shape: tuple[int, int], pixel_scale: float) -> Peaks:
    """Return where groups are in the map."""
    x, y = tangent_plane(groups.ra, groups.dec, centre)
    row_, column = (axis / pixel_scale + (pixels - 1) / 2 for axis, pixels in zip((y, x), shape, strict=True))
    return Peaks(np.zeros(len(x), dtype=np.int64), row_, column, groups.mass)


def on_footprint(places: Peaks, mask: np.ndarray) -> np.ndarray:
    """Return which places lie on the mask."""
    y, x = np.rint(places.y).astype(int), np.rint(places.x).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    return inside & (mask[np.where(inside, y, 0), np.where(inside, x, 0)] != 0)


def map_rows(found: FieldMaps, mask: np.ndarray, series: str) -> list[Row]:
    """Return what the map is like: its peak, its skewness, and the same of its B mode and of maps of noise."""
    peaks = [find_peaks(found.over_noise(one)[None], mask=mask).height[0] for one in (found.kappa, found.kappa_b)]
    noise = find_peaks(found.over_noise(found.nulls), mask=mask)
    highest = np.maximum.reduceat(noise.height, np.unique(noise.field, return_index=True)[1])
    std, skewness = (NULL_STATISTICS.index(name) for name in ("std", "skewness"))
    real, nulls = (null_statistics(m, mask) for m in (np.stack([found.kappa, found.kappa_b]), found.nulls))
    scatter = nulls[:, skewness].std(ddof=1)
    return [
        row("highest S/N of the E mode", peaks[0], series=series),
        row("highest S/N of the B mode", peaks[1], series=series),
        row("highest S/N of rotated shear", highest.mean(), highest.std(ddof=1), series=series, n=len(highest)),
        row("p-value of the highest S/N", against_chance(peaks[0], highest).p_value, series=series),
        row("skewness of the E mode", real[0, skewness], scatter, series=series),
        row("skewness of the B mode", real[1, skewness], scatter, series=series),
        row("standard deviation, E mode / B mode", real[0, std] / real[1, std], series=series),
        row("standard deviation, E mode / rotated shear", real[0, std] / nulls[:, std].mean(), series=series),
    ]


def group_rows(
    found: FieldMaps, mask: np.ndarray, places: Peaks, pixel_scale: float, what: str, series: str
) -> tuple[list[Row], np.ndarray]:
    """Return how many groups have a peak, in the map, in maps of noise and by luck, and the peak of each group."""
    reach = RADIUS / pixel_scale
    highest, nulls = clusters_with_peaks(places, found, mask, radius=reach, threshold=THRESHOLD)
    chance = against_chance(np.count_nonzero(highest >= THRESHOLD), nulls)
    covered = share_near(find_peaks(found.over_noise(found.kappa)[None], THRESHOLD, mask), mask, reach)
    known = np.count_nonzero(on_footprint(places, mask))
    about: dict[str, Any] = {"series": series, "n": len(places.field)}
    return [
        row(f"{what} with a peak", chance.found, **about),
        row(f"{what} with a peak, rotated shear: mean", chance.mean, nulls.std(ddof=1) / len(nulls) ** 0.5, **about),
        row(f"{what} with a peak, rotated shear: 16 %", chance.low, **about),
        row(f"{what} with a peak, rotated shear: 84 %", chance.high, **about),
        row(f"{what} with a peak, p-value", chance.p_value, **about),
        row(f"{what} with a peak if they were anywhere on the footprint", known * covered, **about),
    ], highest


def share_near(peaks: Peaks, mask: np.ndarray, radius: float) -> float:
    """Return the share of the footprint that lies within a radius in pixels of a peak."""
    y, x = np.nonzero(mask)
    near = np.hypot(y[:, None] - peaks.y, x[:, None] - peaks.x) <= radius
    return float(near.any(axis=1).mean())


def mirrored_row(maps: ShearMaps, found: FieldMaps, mask: np.ndarray, method: Any, pixel_scale: float) -> Row:
    """Return the highest S/N with the sign of g2 reversed: right if the catalogue had RA to the right, else nothing."""
    kappa = convergence_of(maps._replace(g2=-maps.g2), method, pixel_scale=pixel_scale).astype(float)
    height = find_peaks(found.over_noise(kappa), mask=mask).height[0]
    return row("highest S/N with g2 reversed", height, series=method.label)


def measure(
    catalogue: dict[str, np.ndarray],
    mask: np.ndarray,
    groups: Groups,
    methods: Sequence[str],
    *,
    centre: tuple[float, float] = CENTRE,
    pixel_scale: float = PIXEL_SCALE,
    realisations: int = 200,
    device: str = "cpu",
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the content of the result file, and S/N maps by method."""
    start = time.perf_counter()
    options: dict[str, Any] = {"pixel_scale": pixel_scale, "centre": centre, "mask": mask}
    shear = bin_catalogue(**catalogue, **options, sky=True, drop_outside=True, source="cosmos")
    maps, places = shear_maps(shear), places_of(groups, centre, mask.shape, pixel_scale)
    inside = on_footprint(places, mask)
    chosen = {"of the ten most massive groups": slice(0, TOP), "of all groups": inside}
    rows: list[Row] = [
        row("galaxies", float(shear["count"].sum())),
        row("galaxies per arcmin² of footprint", shear.attrs["density"], unit="arcmin^-2"),
        row("dispersion of each component", shear.attrs["sigma_e"]),
        row("ten most massive groups on the footprint", np.count_nonzero(inside[:TOP])),
    ]
    pictures, heights, seconds = {}, {}, {}
    for name in methods:
        begun, method = time.perf_counter(), method_for(shear, name)
        found = map_with_noise(maps, method, pixel_scale=pixel_scale, realisations=realisations, device=device)
        seconds[method.label] = time.perf_counter() - begun
        rows += [*map_rows(found, mask, method.label), mirrored_row(maps, found, mask, method, pixel_scale)]
        for what, which in chosen.items():
            more, highest = group_rows(found, mask, places.select(which), pixel_scale, what, method.label)
            heights.setdefault(method.label, [None if h == -np.inf else float(h) for h in highest])
            rows += more
        pictures[method.label] = found.over_noise(found.kappa)
    columns = zip(*(column[:TOP].tolist() for column in (*groups, inside)), strict=True)
    result = {
        "experiment": "cosmos",
        "size": f"{mask.shape[0]} x {mask.shape[1]} pixels of {pixel_scale:g} arcmin, {realisations} rotations",
        "rotations": realisations,
        "rows": rows,
        "groups": [dict(zip((*Groups._fields, "on_footprint"), group, strict=True)) for group in columns],
        "group_peaks": heights,
        "seconds": seconds,
        "run": run_record(describe_device(device), time.perf_counter() - start, len(methods) * (realisations + 3)),
    }
    return result, pictures


def draw(
    pictures: dict[str, np.ndarray],
    mask: np.ndarray,
    groups: Groups,
    path: Path,
    *,
    centre: tuple[float, float] = CENTRE,
    pixel_scale: float = PIXEL_SCALE,
) -> None:
    """Draw the S/N maps of the footprint with the groups."""
    places = places_of(groups, centre, mask.shape, pixel_scale)
    inside, top = on_footprint(places, mask), np.arange(len(groups.mass)) < TOP
    known = np.count_nonzero(inside & top)
    marks = {
        f"X-ray groups: the ten most massive ({known} of them on the footprint)": inside & top,
        f"others at {REDSHIFTS[0]} < z < {REDSHIFTS[1]}": inside & ~top,
    }
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    plot_maps(
        {_title(label): one[part] for label, one in pictures.items()},
        path,
        pixel_scale=pixel_scale,
        mask=mask[part],
        places={name: (places.y[which] - rows[0], places.x[which] - columns[0]) for name, which in marks.items()},
        # Not all S/N count the same: each map to its own highest peak.
        limits={_title(label): tuple(np.percentile(one[mask], (0.5, 100))) for label, one in pictures.items()},
        label="S/N",
        columns=2 if len(pictures) % 2 == 0 else 3,
        compass=True,
    )


def _title(label: str) -> str:
    """Return the name of a method for people."""
    kind, _, setting = label.partition(":")
    names = {
        "ks93": f"Kaiser–Squires, {setting}′",
        "wiener": "Wiener",
        "aperture": f"aperture mass, radius {setting}′",
        "cosmos": "network trained for this field",
    }
    return names.get(kind, label)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help=f"folder of {CATALOGUE}, {FOOTPRINT} and {GROUPS}")
    parser.add_argument("--network", action="append", default=[], help="weights, or another method; may be repeated")
    parser.add_argument("--pixel-scale", type=float, default=PIXEL_SCALE, help="arcmin")
    parser.add_argument("--realisations", type=int, default=200, help="maps of rotated shear")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--footprint", type=Path, help="write the footprint for a training (.npy), and nothing else")
    options = parser.parse_args()
    mask = read_footprint(options.data / FOOTPRINT, options.pixel_scale)
    if options.footprint:
        np.save(options.footprint, mask.astype(np.int8))
        return
    catalogue = read_shear_catalogue(options.data / CATALOGUE, ("ra", "dec", "g1", "g2", "weight"))
    groups, methods = read_groups(options.data / GROUPS), (*METHODS, *options.network)
    settings = {"pixel_scale": options.pixel_scale, "realisations": options.realisations}
    result, pictures = measure(catalogue, mask, groups, methods, **settings, device=choose_device(options.device))
    (DOCS / "cosmos").mkdir(exist_ok=True)
    write_json(DOCS / "cosmos" / "result.json", result)
    (DOCS / "cosmos" / "README.md").write_text(page(result))
    draw(pictures, mask, groups, DOCS / "cosmos.png", pixel_scale=options.pixel_scale)


if __name__ == "__main__":
    main()
