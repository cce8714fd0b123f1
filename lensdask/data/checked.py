"""How chunks are read and written: one that is damaged or missing is an error that names its file.

Every chunk that lensdask writes ends in a checksum (crc32c), in sharded arrays every inner chunk and the index; Zarr
compares it before anything is decompressed. Here an error gets its place, and what is missing is not filled in where
that looks like data, as it does for whole numbers and text.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zarr
from zarr.abc.codec import Codec
from zarr.abc.store import ByteGetter, ByteRequest
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, BufferPrototype, NDBuffer
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.indexing import SelectorTuple
from zarr.registry import register_pipeline
from zarr.storage import FsspecStore

from lensdask.data.checksums import is_checked
from lensdask.data.files import refuse_devices
from lensdask.errors import InputError
from lensdask.places import Place, located
from lensdask.remote import RemotePath, options_of, reached

__all__ = ["BLOSC_HEADER", "CheckedPipeline", "RemoteStore", "blosc_length", "checked_arrays", "zarr_store"]

BLOSC_HEADER = 16
"""Bytes at the beginning of what Blosc has compressed."""


def blosc_length(header: bytes) -> int:
    """Return the length of the compressed chunk with its header, as that says."""
    return int.from_bytes(header[12:BLOSC_HEADER], "little")


class RemoteStore(FsspecStore):
    """A store behind a URL, which is its name."""

    version = ""
    """Of its metadata: Dask names chunks after it too, and never takes those of a store that was replaced."""

    def __str__(self) -> str:
        return str(located(self.fs.unstrip_protocol(self.path)))


def zarr_store(place: Place, mode: str) -> Path | FsspecStore:
    """Return what Zarr takes for a store.

    Parameters
    ----------
    place
        Its directory.
    mode
        "r" to read, "r+" also to write.
    """
    if not isinstance(place, RemotePath):
        return place
    with reached(place):
        options = options_of(place.url)
        return RemoteStore.from_url(place.url, storage_options=options, read_only=mode == "r")


@dataclass(frozen=True)
class _Chunk:
    """The file of a chunk."""

    file: ByteGetter
    may_lack: bool
    """Whether nothing need be there."""
    is_blosc: bool
    """Whether it is compressed by Blosc, and has no checksum."""

    @property
    def name(self) -> str:
        return str(self.file).removeprefix("file://")

    @property
    def place(self) -> RemotePath | None:
        return RemotePath(self.name) if _is_remote(self.file) else None

    async def get(self, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        if self.place is None:
            refuse_devices(self.name, "the chunk as it was written")
        with reached(self.place):
            found = await self.file.get(prototype, byte_range)
        if found is None and not self.may_lack:
            raise InputError(
                f"{self.name} is missing: a chunk that was lost, or not written yet; expected a whole store"
            )
        # Blosc trusts what the chunk says of its length, and reads beyond the end of one that was cut off.
        if found is not None and self.is_blosc and byte_range is None:
            header = found.as_numpy_array()[:BLOSC_HEADER].tobytes()
            if len(header) < BLOSC_HEADER or blosc_length(header) != len(found):
                raise ValueError("it is cut off")
        return found


class CheckedPipeline(BatchedCodecPipeline):
    """Reads chunks as Zarr does, and names those that cannot be read."""

    @classmethod
    def from_codecs(cls, codecs: Iterable[Codec], *, batch_size: int | None = None) -> Self:  # noqa: ARG003
        """Return a pipeline that takes one chunk at a time, to know which one is damaged."""
        return super().from_codecs(codecs, batch_size=1)

    async def read_batch(
        self,
        batch_info: Iterable[tuple[ByteGetter, ArraySpec, SelectorTuple, SelectorTuple, bool]],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> None:
        """Read a chunk into its place.

        Raises
        ------
        InputError
            It is damaged; or it is missing, and what would be read instead passes for data.
        """
        ((file, spec, *places),) = batch_info
        codecs = list(self)
        checked = is_checked([codec.to_dict() for codec in codecs])
        # NaN, which is no equal of itself, tells that it is no value; but runs, which leave chunks for later, write to
        # no URL.
        fills = spec.fill_value == spec.fill_value or _is_remote(file)
        chunk = _Chunk(file, not (checked and fills), not checked and isinstance(codecs[-1], BloscCodec))
        batch: Any = [(chunk, spec, *places)]
        try:
            await super().read_batch(batch, out, drop_axes)
        except InputError:
            raise
        except (ValueError, RuntimeError) as error:
            reason = str(error).partition(".")[0]
            raise InputError(f"{chunk.name} is damaged ({reason}); expected the chunk as it was written") from error


def _is_remote(file: ByteGetter) -> bool:
    return isinstance(getattr(file, "store", None), RemoteStore)


_LOCK = threading.Lock()


@contextmanager
def checked_arrays() -> Iterator[None]:
    """Let arrays that are opened or made in a ``with`` block read and write checked chunks, wherever they travel."""
    register_pipeline(CheckedPipeline)
    name = f"{CheckedPipeline.__module__}.{CheckedPipeline.__qualname__}"
    # Chunks that are all fill value are written too, so that one that is not there was lost.
    settings = {"codec_pipeline.path": name, "array.write_empty_chunks": True}
    # The configuration of Zarr is that of the whole process.
    with _LOCK, zarr.config.set(settings):
        yield
