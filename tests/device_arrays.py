"""Arrays that behave as CuPy's do, for machines without a GPU.

Their device cannot be hashed, NumPy cannot convert them behind one's back, and they speak the array API standard and
DLPack.
"""

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class Device:
    """A device that is equal to itself but not hashable, as CuPy's."""

    __hash__ = None

    def __init__(self, number=0):
        self.number = number

    def __eq__(self, other):
        return self.number == other.number

    def __str__(self):
        return f"<Device {self.number}>"


class DeviceArray(NDArrayOperatorsMixin):
    """An array that pretends to be on a device."""

    def __init__(self, held, number=0):
        self.held, self.device = np.asarray(held), Device(number)

    dtype, shape, ndim, size, strides = (
        property(lambda self, name=name: getattr(self.held, name))
        for name in ("dtype", "shape", "ndim", "size", "strides")
    )

    def __array_namespace__(self, api_version=None):
        return LIBRARY

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if any(isinstance(each, np.ndarray) for each in inputs):
            return NotImplemented
        return _wrapped(getattr(ufunc, method))(*inputs, **options)

    def __dlpack__(self, **options):
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()

    def __len__(self):
        return len(self.held)

    def __getitem__(self, key):
        return DeviceArray(self.held[_plain(key)], self.device.number)

    def __setitem__(self, key, value):
        # CuPy takes no array of NumPy's here either.
        assert isinstance(value, DeviceArray | int | float)
        self.held[_plain(key)] = _plain(value)

    @property
    def T(self):  # noqa: N802  the standard's name
        return DeviceArray(self.held.T, self.device.number)

    def __bool__(self):
        return bool(self.held)

    def __float__(self):
        return float(self.held)


def _plain(value):
    if isinstance(value, DeviceArray):
        return value.held
    return type(value)(map(_plain, value)) if isinstance(value, list | tuple) else value


def _wrapped(function):
    def call(*arguments, device=None, **options):
        assert device is None or isinstance(device, Device)
        out = function(*map(_plain, arguments), **{name: _plain(value) for name, value in options.items()})
        return DeviceArray(out) if isinstance(out, np.ndarray | np.generic) else out

    return call


class _Library:
    """NumPy's functions on these arrays."""

    fft = type("fft", (), {name: staticmethod(_wrapped(getattr(np.fft, name))) for name in ("rfftn", "irfftn")})

    def __getattr__(self, name):
        found = getattr(np, name)
        return _wrapped(found) if callable(found) and not isinstance(found, type) else found


LIBRARY = _Library()
