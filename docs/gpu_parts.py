"""What `docs/gpu.py` runs and times: each function is a part, takes device and size, and returns what a table shows."""

import importlib.metadata
import importlib.util
import json
import os
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import busy_cores, machine, timed

from lensdask.arrays import to_torch
from lensdask.compute.devices import full_precision

ROOT = Path(__file__).parent.parent


def surroundings(device: str) -> dict[str, Any]:
    """Return what a table says of the machine, its software and the date, and how many cores others keep busy."""
    about = machine(device)
    found = [d for d in importlib.metadata.distributions() if (d.name or "").startswith("cupy")]
    about["versions"] |= {"cuda": torch.version.cuda} | {d.name: d.version for d in found}
    return {"machine": about, "busy_cores": round(busy_cores(), 2)}


def tests(device: str, tiny: bool) -> dict[str, Any]:  # noqa: ARG001  parts share a signature
    """Run the tests that are marked gpu; on a CPU collect them."""
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["--require-gpu", f"--junit-xml={report}"] if device == "cuda" else ["--collect-only"]
        os.chdir(ROOT)
        # A GPU node has libraries of its own versions, whose warnings are not what is tested.
        options += ["-W", "default"]
        code = pytest.main(["-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu", *options])
        if device == "cpu":
            return {"failed": int(code != 0)}
        suite = next(ElementTree.parse(report).iter("testsuite")).attrib  # noqa: S314  pytest wrote it
    counts = {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")}
    return counts | {"failed": int(code != 0)}


def _psf(n: int, count: int = 0) -> np.ndarray:
    """Return a Moffat PSF of LSST, FWHM 4 pixels, or several that differ, shape (count, n, n)."""
    x = np.arange(n) - (n - 1) / 2
    fwhm = 4.0 * (1 + 0.05 * np.linspace(-1, 1, count)[:, None, None]) if count else 4.0
    image = (1 + (x**2 + x[:, None] ** 2) * (2 ** (1 / 2.5) - 1) * 4 / fwhm**2) ** -2.5
    return image / image.sum(axis=(-2, -1), keepdims=True)


def resmooth(device: str, tiny: bool) -> dict[str, Any]:
    """Time resmoothing by torch, and by CuPy with the planes handed to torch where they lie."""
    count = 8 if tiny else 1024
    rng = np.random.default_rng(0)
    stamps, noise = rng.normal(size=(2, count, 64, 64)).astype(np.float32)
    rows, reference = [], None
    for library, hold in _libraries(device):
        images, renoise = hold(stamps), hold(noise)
        for psfs in ("one PSF", "a PSF each"):
            psf = _psf(64) if psfs == "one PSF" else hold(_psf(64, count))
            planes = _resmoothed(images, renoise, psf, device)
            found = planes()[0].cpu().numpy()
            reference = {} if reference is None else reference
            worst = float(np.abs(found - reference.setdefault(psfs, found)).max() / np.abs(found).max())
            median, spread = timed(planes, device, 2 if tiny else 8)
            cost = {"microseconds": 1e6 * median / count, "spread": 1e6 * spread / count}
            rows.append({"library": library, "psf": psfs, **cost, "difference": worst})
    return {"stamps": count, "rows": rows, "failed": int(any(row["difference"] > 1e-4 for row in rows))}


def _libraries(device: str) -> Iterator[tuple[str, Callable[[np.ndarray], Any]]]:
    """Yield the libraries that can hold arrays on the device, each with a function that moves an array there."""
    yield "torch", lambda array: to_torch(array, device)
    if device == "cuda" and importlib.util.find_spec("cupy") is not None:
        import cupy

        yield "CuPy", cupy.asarray


def _resmoothed(images: Any, renoise: Any, psf: Any, device: str) -> Callable[[], list[torch.Tensor]]:
    """Return a function that resmooths images to the grid of ``d4cnn``, PSF kernels included where each has its own."""
    from lensdask.shear.shapes.resmooth import Grid, make_resmoother
    from lensdask.shear.shapes.resmooth import resmooth as resmoothed

    def prepare() -> Any:
        return make_resmoother(psf, pixel_scale=0.2, grid=Grid(20, 0.4))

    shared = prepare() if psf.ndim == 2 else None

    def planes() -> list[torch.Tensor]:
        with full_precision():
            return [to_torch(plane, device) for plane in resmoothed(images, shared or prepare(), renoise)]

    return planes


def stages(device: str, tiny: bool) -> dict[str, Any]:
    """Time the stages that a galaxy goes through, and whole chunk functions."""
    from stage_cost import stage_costs

    with tempfile.TemporaryDirectory() as folder:
        return stage_costs(device, Path(folder), tiny=tiny)


def bias(device: str, tiny: bool) -> dict[str, Any]:
    """Run ``shear bias`` with each estimator, store and journal included."""
    from lensdask.shear import RunOptions, run_bias

    sizes = {"fpfs": 64} if tiny else {"fpfs": 100_000, "d4cnn": 100_000, "d4cnn-paper": 20_000}
    options, rows = RunOptions(device=device, show_progress=False), []
    for estimator, galaxies in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            run_bias(Path(folder), galaxies=galaxies, estimator=estimator, options=options)
            result = json.loads((Path(folder) / "result.json").read_text())
        found = {row["quantity"]: [row["measured"], row["error"]] for row in result["rows"]}
        speed = {"wall_s": result["run"]["wall_s"], "per_s": result["run"]["objects_per_s"]}
        rows.append({"estimator": estimator, "galaxies": galaxies, **speed, **{n: found[n] for n in ("m1", "m2")}})
    return {"rows": rows}


def maps(device: str, tiny: bool) -> dict[str, Any]:
    """Time mass maps by a network and by the Wiener filter, of fields of noise with a mask."""
    from lensdask.maps.fields import ShearMaps

    fields, side = (1, 64) if tiny else (16, 512)
    rng = np.random.default_rng(1)
    g1, g2 = rng.normal(scale=0.05, size=(2, fields, side, side))
    mask = (rng.random(g1.shape) > 0.1).astype(np.float64)
    rows = []
    for method, call in _mass_maps(ShearMaps(g1 * mask, g2 * mask, 400 * mask, 0 * mask, mask), device):
        finite = bool(np.isfinite(call()).all())
        median, spread = timed(call, device, 2 if tiny else 8)
        rows.append({"method": method, "s_per_field": median / fields, "spread": spread / fields, "finite": finite})
    return {"fields": fields, "side": side, "rows": rows, "failed": int(not all(row["finite"] for row in rows))}


def _mass_maps(maps: Any, device: str) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    from lensdask.arrays import held_on, to_numpy
    from lensdask.massmap.classical.wiener_filter import wiener
    from lensdask.massmap.method import find_method
    from lensdask.massmap.products import convergence_of
    from lensdask.sky.power import ConvergencePower

    network = find_method("miu2net")
    yield "miu2net", lambda: convergence_of(maps, network, pixel_scale=0.82, device=device)
    ell = np.geomspace(1, 1e6, 61)
    power = ConvergencePower(ell, 1e-5 * ell**-1.2)

    def filtered() -> np.ndarray:
        # One field at a time, as runs do.
        made = []
        for number in range(len(maps.g1)):
            one = (held_on(part[number : number + 1], device) for part in maps[:3])
            made.append(to_numpy(wiener(*one, pixel_scale=0.82, power=power).kappa))
        return np.concatenate(made)

    yield "wiener", filtered


def training(device: str, tiny: bool) -> dict[str, Any]:
    """Time one epoch of each network of stamps, batches as large as the paper's, on images of noise."""
    from lensdask.shear.shapes.d4cnn import D4CNN, PAPER, SMALL
    from lensdask.training import TrainingConfig, train

    stamps, batch = (16, 8) if tiny else (10_000, 500)
    config = TrainingConfig(epochs=1, batch=batch, micro_batch=batch, validate_every=max(1, stamps // batch))
    rows = []
    for name, architecture in {"d4cnn": SMALL}.items() if tiny else {"d4cnn": SMALL, "d4cnn-paper": PAPER}.items():
        images = torch.randn(stamps, architecture.grid_points, architecture.grid_points, device=device)
        labels, network = 0.3 * torch.randn(stamps, 2, device=device), D4CNN(architecture).to(device)
        batches = list(zip(images.split(batch), labels.split(batch), strict=True))
        began = time.perf_counter()
        history = train(network, lambda _: batches, batches[:1], config)  # noqa: B023  called before it changes
        rows.append(
            {"network": name, "stamps": stamps, "epoch_s": time.perf_counter() - began, "loss": history.training}
        )
    return {"rows": rows, "failed": int(not all(np.isfinite(row["loss"]).all() for row in rows)), "batch": batch}


def mosaics(device: str, tiny: bool) -> dict[str, Any]:
    """Time the forward model of large-scale structure by stage, and its networks."""
    from mosaic_stages import mosaic_costs

    return mosaic_costs(device, tiny=tiny)


def lenses(device: str, tiny: bool) -> dict[str, Any]:
    """Time the simulation of strong lenses, and the networks that tell their classes."""
    from lens_stages import lens_costs

    return lens_costs(device, tiny=tiny)
