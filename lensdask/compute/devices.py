"""Which device computes, and how torch is set up for it."""

import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lensdask.errors import InputError, check_choice

__all__ = [
    "DEVICE_NAMES",
    "Device",
    "choose_device",
    "count_cuda_devices",
    "describe_device",
    "full_precision",
    "torch_settings",
]

Device = Literal["cpu", "cuda"]
"""Where a chunk is computed."""

DEVICE_NAMES = ("auto", "cpu", "cuda")
"""What `choose_device` takes."""


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
    check_choice("device", name, DEVICE_NAMES)
    if name == "cpu":
        return "cpu"
    found = count_cuda_devices() > 0
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


class _FullPrecision:
    """How many are inside `full_precision`, and what puts back the settings that the first of them found."""

    lock = threading.Lock()
    inside = 0
    put_back: Callable[[], None]


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep torch from multiplying in TF32, which has 10 bits of the mantissa and moves m by 3e-4 (``make science``).

    cuDNN also takes deterministic kernels, always the same ones, so that a run on a GPU repeats bit by bit. The
    settings are one for all threads of a process: the last to leave puts them back.
    """
    state = _FullPrecision
    with state.lock:
        state.inside += 1
        if state.inside == 1:
            state.put_back = _use_full_precision()
    try:
        yield
    finally:
        with state.lock:
            state.inside -= 1
            if state.inside == 0:
                state.put_back()


def _use_full_precision() -> Callable[[], None]:
    """Use full precision and deterministic kernels; return what puts back the settings found."""
    import torch

    cudnn, operations = torch.backends.cudnn, _operations()
    kernels = cudnn.deterministic, cudnn.benchmark
    precisions = [operation.fp32_precision for operation in operations]
    products, convolutions = _old_flags()

    def put_back() -> None:
        cudnn.deterministic, cudnn.benchmark = kernels
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32 = convolutions
        for operation, precision in zip(operations, precisions, strict=True):
            _restore(operation, precision)

    cudnn.deterministic, cudnn.benchmark = True, False
    # Torch wants its old flags to agree with the new settings.
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for operation in operations:
        operation.fp32_precision = "ieee"
    return put_back


def _operations() -> list[Any]:
    """Return what has a precision of its own: from torch 2.9 on single operations, before that nothing."""
    import torch

    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        return []
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    return [backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn]


def _old_flags() -> tuple[str, bool]:
    """Return torch's old settings of products and of convolutions."""
    import torch

    backends: Any = torch.backends
    matmul, cudnn = backends.cuda.matmul, backends.cudnn
    if not _operations():
        return torch.get_float32_matmul_precision(), bool(cudnn.allow_tf32)
    products = _old_flag(matmul, matmul.fp32_precision)
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        precision = "high" if products else "highest"
    return precision, _old_flag(cudnn, cudnn.conv.fp32_precision)


def _old_flag(backend: Any, precision: str) -> bool:
    """Return an old flag; torch refuses to read it where the new setting says the opposite."""
    try:
        return bool(backend.allow_tf32)
    except RuntimeError:
        return precision != "tf32"


def _restore(operation: Any, precision: str) -> None:
    """Set the precision of an operation; left unset where it inherits the one wanted."""
    operation.fp32_precision = "none"
    if operation.fp32_precision != precision:
        operation.fp32_precision = precision


class _OneThread:
    """Which threads are inside `torch_settings`, and how many threads torch and NumPy's BLAS had there before."""

    lock = threading.Lock()
    inside = 0
    before = 1
    """Of the first thread inside."""
    mine = threading.local()
    blas: Any = None
    """What the first thread inside found of BLAS, whose number is one for the whole process."""


@contextmanager
def torch_settings() -> Iterator[None]:
    """Set torch and BLAS up so that every process and thread computes the same bits, and put them back afterwards.

    One thread: workers share the cores already, and the order of summation depends on the number of threads. And full
    precision. In torch each thread of a process has a number of its own: enter this in the thread that computes.
    """
    depth = getattr(_OneThread.mine, "depth", 0)
    if depth == 0:
        _enter_one_thread()
    _OneThread.mine.depth = depth + 1
    try:
        with full_precision():
            yield
    finally:
        _OneThread.mine.depth = depth
        if depth == 0:
            _leave_one_thread()


def _enter_one_thread() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    state = _OneThread
    with state.lock:
        before = torch.get_num_threads()
        if state.inside == 0:
            state.before = before
            _control_blas()
            state.blas = threadpool_limits(1, user_api="blas")
        # A thread that is new to torch begins with the number that any thread set last, our 1 if another is inside.
        state.mine.before = state.before if before == 1 else before
        state.inside += 1
        torch.set_num_threads(1)


def _leave_one_thread() -> None:
    import torch

    with _OneThread.lock:
        _OneThread.inside -= 1
        torch.set_num_threads(_OneThread.mine.before)
        if _OneThread.inside == 0:
            _control_blas()
            _OneThread.blas.restore_original_limits()


def _control_blas() -> None:
    """Have this thread control BLAS: threadpoolctl lets one thread do so, and the last to leave may be another."""
    from threadpoolctl import OpenBLASController

    # Before version 3.8 any thread could.
    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=True)


def count_cuda_devices() -> int:
    """Return the number of CUDA devices of this machine."""
    import torch

    # Asks NVML: unlike torch.cuda.is_available it leaves CUDA uninitialised in a client.
    return torch.cuda.device_count()
