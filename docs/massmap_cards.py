"""Measure the shipped networks of mass maps on new fields of their recipes, and write the numbers into their cards."""

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cosmos import FOOTPRINT, read_footprint

from lensdask.compute import RunOptions, choose_device, describe_device, write_json
from lensdask.data import code_version
from lensdask.massmap.measured import measure_network, measure_noise
from lensdask.massmap.method import SHIPPED_WEIGHTS

WHAT = (
    "docs/massmap_cards.py: the convergence of fields of this sky and survey that no training has met, over the pixels "
    "inside the mask; errors from the scatter between fields; ks93 at its best smoothing in arcmin, wiener with the "
    "true power, symmetrised: the mean over turns and mirrors of the field"
)


NOISE = (
    "docs/massmap_cards.py --noise: the root mean square error over that of wiener, which is told the noise, on such "
    "fields with more or fewer galaxies; noises are those of a pixel over that of the training"
)


def measure(name: str, data: Path | None, noise: bool, device: str = "cpu", **settings: Any) -> None:
    """Measure one network, in the survey of its training or at other noises, and replace what its card says of it."""
    path = SHIPPED_WEIGHTS[name].with_suffix(".json")
    card = json.loads(path.read_text())
    settings |= {"options": RunOptions(device=device, show_progress=False)}
    with tempfile.TemporaryDirectory() as temporary:
        folder, footprint = Path(temporary), None
        if data is not None and (card["recipe"].get("survey") or card["recipe"]["noise"])["footprint"] is not None:
            footprint = folder / "footprint.npy"
            np.save(footprint, read_footprint(data / FOOTPRINT, card["pixel_scale"]).astype(np.int8))
        found = (measure_noise if noise else measure_network)(name, folder, footprint=footprint, **settings)
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": describe_device(device)}
    part = {"what": NOISE if noise else WHAT, **_rounded(found), **about, "lensdask": code_version()}
    checksums = {entry: card.pop(entry) for entry in ("sha256", "card_sha256") if entry in card}
    write_json(path, card | {"other_noise" if noise else "measured": part} | checksums)
    ratios = part["rmse / wiener"]
    for label, one in zip(part["noises"], ratios, strict=True) if noise else ratios.items():
        print(f"{name}: rmse / wiener of {label} {one['value']:.4f} ± {one['error']:.4f}")


def _rounded(found: Any) -> Any:
    """Return numbers with five significant digits, however deep they are."""
    if isinstance(found, dict):
        return {name: _rounded(part) for name, part in found.items()}
    if isinstance(found, list):
        return [_rounded(part) for part in found]
    return float(f"{found:.5g}") if isinstance(found, float) else found


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = ", ".join(SHIPPED_WEIGHTS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}; all of them by default")
    parser.add_argument("--data", type=Path, help=f"folder of {FOOTPRINT}, which cosmos needs")
    parser.add_argument("--noise", action="store_true", help="measure at other noises than that of the training")
    parser.add_argument("--fields", type=int, default=64)
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args()
    names = options.names or list(SHIPPED_WEIGHTS)
    if unknown := set(names) - set(SHIPPED_WEIGHTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {known}")
    if "cosmos" in names and options.data is None:
        parser.error(f"cosmos: expected --data, the folder of {FOOTPRINT}")
    for name in names:
        device = choose_device(options.device)
        measure(name, options.data, options.noise, device, fields=options.fields, seed=options.seed)


if __name__ == "__main__":
    main()
