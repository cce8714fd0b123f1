"""Count the operations and the memory traffic of array code, from the shapes of every torch operation that it calls.

Counts are of one eager call after another: each reads its inputs and writes its outputs once, views cost nothing. A
cache saves traffic, so the share of the bandwidth of main memory that a stage reaches can exceed one.
"""

import math
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

COMPLEX_PRODUCT = 4
"""Real multiplications, each with its addition, in a complex one."""


class Operations(TorchDispatchMode):
    """Counts what happens in its ``with`` block."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        """Call an operation and count it."""
        out = function(*arguments, **(options or {}))
        if not function.is_view:
            tensors = [leaf for leaf in tree_leaves((arguments, options, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(map(_bytes, tensors))
            self.flops += _flops(function, arguments, options or {}, out)
        return out


def _bytes(tensor: torch.Tensor) -> int:
    """Return the memory behind a tensor: one that is expanded is smaller than its shape says."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _flops(function, arguments, options, out) -> int:
    """Return operations: a multiplication and its addition are two, a function of an element is one.

    Products and convolutions are counted by torch's own formulas; a Fourier transform of N real numbers is
    ``2.5 N log2 N``. Layout, sorting, sums and norms count as nothing.
    """
    name = function._overloadpacket
    if name in flop_registry:
        factor = COMPLEX_PRODUCT if out.is_complex() else 1
        return factor * flop_registry[name](*arguments, **options, out_val=out)
    if name in (torch.ops.aten._fft_r2c, torch.ops.aten._fft_c2r, torch.ops.aten._fft_c2c):
        image, axes = arguments[0], arguments[1]
        per_element = 5.0 if image.is_complex() and out.is_complex() else 2.5
        real = out if not out.is_complex() else image
        return int(per_element * real.numel() * math.log2(math.prod(real.shape[axis] for axis in axes)))
    if torch.Tag.pointwise in function.tags and isinstance(out, torch.Tensor):
        return out.numel()
    return 0


def count(function: Callable[[], object]) -> Operations:
    """Return the operations of one call of a function that computes with torch."""
    function()  # prepares what is kept for the next call
    with torch.no_grad(), Operations() as operations:
        function()
    return operations
