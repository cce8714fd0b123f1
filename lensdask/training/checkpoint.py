"""A training that was cut off: all it needs to continue, with bit-identical results, in one file.

The file is safetensors, the tensors under numbers and everything else as JSON in its header, so that one rename
replaces the whole: there is no moment at which weights and optimiser are of different epochs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save
from torch import Tensor

from lensdask.code import refuse_changed_code
from lensdask.errors import InputError

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a training is kept between its epochs."""

    path: Path
    """The file, which need not exist yet."""
    fingerprint: str
    """What the training is; one with another fingerprint is not continued."""
    code: Mapping[str, Any] | None = None
    """The code that trains, from `lensdask.code.code_now`; a training that other code began is not continued."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file.

        Parameters
        ----------
        state
            Mappings and lists of tensors and of plain values, nested.
        """
        tensors: dict[str, Tensor] = {}
        text = json.dumps({"fingerprint": self.fingerprint, "code": self.code, "state": _packed(state, tensors)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        with partial.open("wb") as file:
            file.write(save(tensors, {"checkpoint": text}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def load(self) -> dict[str, Any] | None:
        """Return the state that was saved, its tensors on the CPU; nothing if there is no file.

        Raises
        ------
        InputError
            The file is damaged, or of another training.
        """
        if not self.path.exists():
            return None
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                content = json.loads(file.metadata()["checkpoint"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path} is damaged ({error}); expected the checkpoint of a training") from error
        if content["fingerprint"] != self.fingerprint:
            raise InputError(f"{self.path} is of a training with another recipe; expected the same, or overwrite=True")
        # One of lensdask 0.1 does not say.
        if self.code is not None and content.get("code") is not None:
            refuse_changed_code(content["code"], self.code, str(self.path), "expected the same code, or overwrite=True")
        state: dict[str, Any] = _unpacked(content["state"], tensors)
        return state

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _packed(value: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return a value as JSON; its tensors are put aside. Pairs keep the keys of an optimiser, which are numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"mapping": [[key, _packed(part, tensors)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_packed(part, tensors) for part in value]}
    return {"plain": value}


def _unpacked(packed: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {key: _unpacked(part, tensors) for key, part in content}
    if kind == "list":
        return [_unpacked(part, tensors) for part in content]
    return content
