"""Which device computes, and how torch is set up for it."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from lensdask.errors import InputError

__all__ = ["Device", "choose_device", "describe_device", "torch_settings"]

Device = Literal["cpu", "cuda"]
"""Where a chunk is computed."""


def choose_device(name: str = "auto") -> Device:
    """Return the device to compute on.

    Parameters
    ----------
    name
        "cpu", "cuda", or "auto" for CUDA where there is some and the CPU elsewhere.

    Raises
    ------
    InputError
        CUDA was asked for and is absent, or the name is none of the three.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {name!r} is unknown; expected auto, cpu or cuda")
    if name == "cpu":
        return "cpu"
    found = _count_cuda_devices() > 0
    if name == "cuda" and not found:
        raise InputError("device 'cuda' was asked for, but torch finds no CUDA device here")
    return "cuda" if found else "cpu"


def describe_device(device: str) -> str:
    """Return the name of the processor behind "cpu" or "cuda", for people."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@contextmanager
def torch_settings() -> Iterator[None]:
    """Set torch up so that every process computes the same bits, and put it back afterwards.

    One thread: workers share the cores already, and the order of summation depends on the number of
    threads. No TF32: it keeps 10 bits of the mantissa.
    """
    import torch

    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = (torch.get_num_threads(), *(backend.allow_tf32 for backend in backends))
    try:
        _set_torch(1, False, False)
        yield
    finally:
        _set_torch(*before)


def _set_torch(threads: int, matmul_tf32: bool, cudnn_tf32: bool) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = matmul_tf32
    torch.backends.cudnn.allow_tf32 = cudnn_tf32


def _count_cuda_devices() -> int:
    import torch

    # Asks NVML: unlike torch.cuda.is_available it leaves CUDA uninitialised in a client.
    return torch.cuda.device_count()
