"""How far a run is, read from its journal: while it works, after it was killed, from any machine that sees the file.

With N objects finished in a session of T seconds, the rate is N/T and the work left takes (objects left) T/N. T reaches
from the beginning of the session to its last finished chunk: time that passed since then has not shown any work yet.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lensdask.compute.runs.chunks import Chunks, Quarantine
from lensdask.compute.runs.journal import AT_WORK, is_locked, journal_path
from lensdask.compute.runs.journal_format import Session, read_lines, sessions_with
from lensdask.compute.runs.verify import lost_at_a_glance
from lensdask.errors import InputError
from lensdask.places import PathLike, local_path, located

__all__ = ["RunStatus", "find_journals", "refuse_running", "require_finished", "status"]

_SUFFIX = ".journal.jsonl"


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    journal: Path
    """File that says so."""
    label: str
    """Name of the run."""
    unit: str
    """What its objects are: galaxies, maps."""
    running: bool
    """Whether a process is at work on it now."""
    chunks: int
    """Chunks of the whole run."""
    done: int
    """Chunks finished."""
    left: int
    """Chunks that nobody finished or gave up yet."""
    quarantined: tuple[Quarantine, ...]
    """Chunks that the last session gave up; the next one tries them again."""
    objects: int
    """Objects of the whole run."""
    objects_done: int
    """Objects of the finished chunks."""
    rate: float | None
    """Objects per second in the last session; none if it has not finished a chunk yet."""
    eta_s: float | None
    """Seconds that the chunks left take at this rate; none without a rate."""
    sessions: int
    """Calls that worked on the run: one, and one more for each time it was resumed."""
    wall_s: float
    """Seconds that they worked, without the time between them."""
    updated: float | None
    """Time of the last word in the journal, seconds since 1970; none before the first session."""
    damage: str | None = None
    """What is wrong with the store, none if nothing at a glance; finished chunks that are lost count as left."""
    is_gone: bool = False
    """Whether the store of finished chunks is there no more: the run can only begin again."""

    def as_json(self) -> dict[str, Any]:
        """Return the same in plain JSON values."""
        return asdict(self) | {"journal": str(self.journal)}


def find_journals(path: str | os.PathLike[str]) -> list[Path]:
    """Return the journals of a run, or of the several runs of a reproduced figure, in the order of their paths.

    Parameters
    ----------
    path
        Directory of results, store with a journal beside it, or journal.

    Raises
    ------
    InputError
        There is no journal.
    """
    path = local_path(path, "the journal of a run")
    if path.is_file() and path.name.endswith(_SUFFIX):
        return [path]
    # Of the absolute path: "." has no name, and neither has "/".
    store = path.absolute()
    if store.name and journal_path(store).is_file():
        return [journal_path(store)]
    found = list(_journals_in(path))
    if not found:
        missing = "no journal of a run here" if path.exists() else "no such file or directory"
        raise InputError(f"{path}: {missing}; expected the directory of a run, a store that a run wrote, or a journal")
    return found


def _journals_in(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        # A store has a file for each of its chunks, and no journals.
        folders[:] = [] if "zarr.json" in files else sorted(folders)
        found = (Path(folder) / name for name in sorted(files) if name.endswith(_SUFFIX))
        # A pipe would wait for a writer.
        yield from (file for file in found if file.is_file())


def refuse_running(directory: Path) -> None:
    """Refuse a directory in which a run is at work.

    Raises
    ------
    InputError
        There is one.
    """
    for journal in _journals_in(directory):
        if is_locked(journal):
            raise InputError(f"{journal}: {AT_WORK}")


def require_finished(store: PathLike, command: str) -> None:
    """Refuse a store that a run has begun to write and not finished, by the journal beside it if there is one.

    Parameters
    ----------
    store
        The store.
    command
        What writes such stores: the message names it.

    Raises
    ------
    InputError
        Chunks are missing.
    """
    place = located(store)
    # Behind a URL no run writes, and a chunk that is missing is refused when it is read.
    if not isinstance(place, Path) or not (journal := journal_path(place.absolute())).is_file():
        return
    found = status(journal)
    if found.is_gone:
        raise InputError(f'{store} is gone; expected a finished run: start {command} again with if_exists="overwrite"')
    if found.done < found.chunks:
        now = "; a process is at work on it" if found.running else ""
        raise InputError(
            f"{store}: {found.objects_done} of {found.objects} {found.unit} done{now}; "
            f'expected a finished run: continue {command} with if_exists="resume"'
        )


def status(path: str | os.PathLike[str]) -> RunStatus:
    """Return how far a run is; it is not disturbed by the question.

    Parameters
    ----------
    path
        Directory of results with one run, store with a journal beside it, or journal.

    Raises
    ------
    InputError
        There is no journal, or more than one, or it is damaged.
    """
    journals = find_journals(path)
    if len(journals) > 1:
        raise InputError(f"{path}: {len(journals)} runs; expected one, like {journals[0]}")
    (journal,) = journals
    # Before the journal is read: a run that ends meanwhile is not taken for one that was killed.
    running = is_locked(journal)
    header, done, sessions = _read(journal)
    # Of a run at work, chunks are being replaced.
    store = journal.with_name(journal.name.removesuffix(_SUFFIX))
    is_gone = bool(header.get("store") and done) and not running and not store.exists()
    lost, damage = (set(), None) if running else (done, f"{store} is gone") if is_gone else _lost(store, header, done)
    return replace(_status(journal, running, header, done - lost, sessions), damage=damage, is_gone=is_gone)


def _lost(store: Path, header: dict[str, Any], done: set[int]) -> tuple[set[int], str | None]:
    """Return the chunks of a run that are not in its store, if it has one, and what is wrong with that."""
    if not store.exists():
        return set(), None
    try:
        lost, damage = lost_at_a_glance(store, header["chunk"], done)
    except InputError as error:
        return set(), str(error)
    more = f", and {len(damage) - 1} more" * (len(damage) > 1)
    return set(lost), next((f"{file} {reason}{more}" for file, reason in damage.items()), None)


def _read(journal: Path) -> tuple[dict[str, Any], set[int], list[Session]]:
    header: dict[str, Any] = {}
    done: set[int] = set()
    sessions: list[Session] = []
    for line, _ in read_lines(journal):
        if line["event"] == "run":
            header = line
            continue
        sessions_with(sessions, line)
        if line["event"] == "done":
            done.add(line["chunk"])
        elif line["event"] == "struck":
            done.discard(line["chunk"])
    if not header:
        raise InputError(f"{journal}: empty; expected the journal of a run that has begun")
    return header, done, sessions


def _status(journal: Path, running: bool, header: dict[str, Any], done: set[int], sessions: list[Session]) -> RunStatus:
    chunks = Chunks(header["size"], header["chunk"])
    last = sessions[-1] if sessions else Session(0.0, 0.0)
    given_up = {number: reason for number, reason in last.given_up.items() if number not in done}
    objects_done, objects_given_up = chunks.objects(done), chunks.objects(given_up)
    rate = chunks.objects(last.done) / last.wall_s if last.done and last.wall_s else None
    return RunStatus(
        journal=journal,
        label=header["label"],
        unit=header["unit"],
        running=running,
        chunks=chunks.count,
        done=len(done),
        left=chunks.count - len(done) - len(given_up),
        quarantined=tuple(Quarantine(n, *chunks.bounds(n), given_up[n]) for n in sorted(given_up)),
        objects=chunks.size,
        objects_done=objects_done,
        rate=rate,
        eta_s=(chunks.size - objects_done - objects_given_up) / rate if rate else None,
        sessions=len(sessions),
        wall_s=sum(session.wall_s for session in sessions),
        updated=last.ended if sessions else None,
    )
