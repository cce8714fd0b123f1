"""Columns of a table of shapes, from batches of stamps: of FPFS, of a network, and of where the galaxies are."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from lensdask.arrays import Array, like, to_numpy, to_torch
from lensdask.compute import cached_model
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.shear.imaging import Imaging
from lensdask.shear.shapes.centring import find_places, places_of
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, build_d4cnn
from lensdask.shear.shapes.deconvolution import Places, planes_of
from lensdask.shear.shapes.estimator import Estimator
from lensdask.shear.shapes.fpfs import FPFS, Moments, fpfs_shapes, make_moments
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.shapes.response import shapes_with_response

__all__ = ["Columns", "check_width", "fpfs_columns", "place_columns", "shape_columns"]

Columns = Callable[..., torch.Tensor]
"""From a batch of images, renoise, a table of places, which may have no columns, and PSFs, to columns."""


def _prepared(imaging: Imaging, *, own: Callable[..., Any], shared: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function from what a batch brings along, PSFs or their indices, to what was prepared of the PSFs."""
    if imaging.psf.ndim > 2 and imaging.psf_index is None:
        return own
    prepared = shared(imaging.psf)
    return (lambda: prepared) if imaging.psf_index is None else prepared.pick


def _like(prepared: Any, reference: Array) -> Any:
    """Return what was prepared with its arrays, which are double precision and NumPy's, like a reference."""
    arrays = {field.name: getattr(prepared, field.name) for field in fields(prepared)}
    return replace(prepared, **{n: like(a, reference) for n, a in arrays.items() if isinstance(a, np.ndarray)})


def fpfs_columns(imaging: Imaging, settings: FPFS, device: str) -> Columns:
    """Return a function from batches to (stamp, 9) columns of FPFS."""

    def shapes(images: Array, moments: Moments, renoise: Array | None, places: Array) -> Array:
        return fpfs_shapes(images, moments, renoise, _places(places)).T

    return _columns_of_moments(imaging, settings, device, shapes)


def place_columns(imaging: Imaging, device: str) -> Columns:
    """Return a function from batches to the (stamp, 11) columns of `find_places`."""
    settings = FPFS()

    def places(images: Array, moments: Moments, renoise: Array | None, _places: Array) -> Array:
        kernels = moments.of_stamps(moments.kernel), moments.of_stamps(moments.kernel90)
        planes = planes_of(images, *kernels, renoise)
        return find_places(planes, imaging.pixel_scale, settings.sigma)

    return _columns_of_moments(imaging, settings, device, places)


def _columns_of_moments(imaging: Imaging, settings: FPFS, device: str, function: Callable[..., Array]) -> Columns:
    """Return a function of batches that takes images, moments for their PSFs, renoise if there is any, and places."""
    # Products are in double precision, see `fpfs`. On the CPU those of NumPy take half the time of torch's.
    on_host = device == "cpu"
    reference = np.empty(0) if on_host else torch.empty(0, dtype=torch.float64, device=device)
    prepare = partial(make_moments, pixel_scale=imaging.pixel_scale, settings=settings)
    of_batch = _prepared(imaging, own=prepare, shared=lambda psf: _like(prepare(psf, shared=True), reference))

    def columns(images: torch.Tensor, renoise: torch.Tensor, places: torch.Tensor, *psf: Any) -> torch.Tensor:
        first, second, where = (
            to_numpy(array).astype(np.float64, copy=False) if on_host else array.double()
            for array in (images, renoise, places)
        )
        moments = of_batch(*map(to_numpy, psf) if on_host else psf)
        found = function(first, moments, second if imaging.noise_sigma > 0 else None, where)
        return to_torch(found, device).double()

    return columns


def _places(table: Array) -> Places | None:
    return places_of(table) if table.shape[1] else None


def _network_columns(imaging: Imaging, chosen: Estimator, device: str) -> Columns:
    """Return a function from batches to (stamp, 6) columns."""
    network = cached_model(build_d4cnn, chosen.weights, str(chosen.sha256), device)
    if not isinstance(network, D4CNN):
        raise TypeError(f"{chosen.weights} is no D4CNN")
    _refuse_narrow(imaging.psf.shape[-1] * imaging.pixel_scale, chosen, network.config)
    prepare = partial(
        make_resmoother,
        pixel_scale=imaging.pixel_scale,
        fwhm=chosen.kernel_fwhm or network.config.kernel_fwhm,
        grid=network.config.grid,
    )
    reference = torch.empty(0, device=device)
    of_batch = _prepared(imaging, own=prepare, shared=lambda psf: _like(prepare(psf), reference))

    def columns(images: torch.Tensor, renoise: torch.Tensor, places: torch.Tensor, *psf: Any) -> torch.Tensor:
        second = renoise if imaging.noise_sigma > 0 else None
        resmoothed = resmooth(images, of_batch(*psf), second, _places(places))
        return shapes_with_response(network, resmoothed).T.double()

    return columns


def check_width(chosen: Estimator, size: int, pixel_scale: float) -> None:
    """Refuse stamps smaller than what a network sees, which it would see repeated; only its card is loaded.

    With zeros around them galaxies would end where the stamp ends: m is -4 % with stamps of 0.6 of the width.

    Raises
    ------
    InputError
        They are.
    """
    if chosen.path is not None:
        _refuse_narrow(size * pixel_scale, chosen, build_d4cnn(load_card(chosen.weights)).config)


def _refuse_narrow(width: float, chosen: Estimator, config: D4CNNConfig) -> None:
    seen = config.grid.points * config.grid.spacing
    # Rounding leaves a stamp of the very width of the grid.
    if width < seen * (1 - 1e-6):
        raise InputError(
            f"stamps: {width:.3g} arcsec wide, and {chosen.name} sees {seen:.3g}; expected larger stamps, or fpfs"
        )


def shape_columns(imaging: Imaging, chosen: Estimator, device: str) -> Columns:
    """Return a function from batches to columns, of which the first six are the estimator's shapes."""
    if chosen.path is not None:
        return _network_columns(imaging, chosen, device)
    return fpfs_columns(imaging, chosen.fpfs, device)
