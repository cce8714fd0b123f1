"""The ``lensdask`` command itself: how mistakes are told, and with which exit code it ends."""

import atexit
import errno
import gc
import json
import re
import signal
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from lensdask.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from lensdask.compute import RunResult

__all__ = ["app", "check_place", "finish", "in_flags", "report_store", "unmeasured"]

_NAMED = 5
"""Results that are named."""


_FILE_URL = re.compile(r"(?<![^=])(?:file|local)://.*", re.IGNORECASE)


def _as_path(url: re.Match[str]) -> str:
    """Return the path of a ``file://…``, which may be all of a word or the value in it."""
    from lensdask.places import located

    return str(located(url.group()))


class _Commands(typer.core.TyperGroup):
    """Commands whose mistakes are told in one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse empty words, as a shell leaves of a variable that is not set: pathlib takes them for this folder."""
        for before, word in zip(("", *args), args, strict=False):
            option, equals, value = word.partition("=")
            if not word or (option.startswith("--") and equals and not value):
                place = option or (before if before.startswith("--") else "an argument")
                print(f"lensdask: {place} is empty; expected a value", file=sys.stderr)
                raise typer.Exit(2)
        # Options are paths to pathlib, which makes one slash of two; other URLs are told apart by what opens them.
        try:
            words = [_FILE_URL.sub(_as_path, word) for word in args]
        except InputError as error:
            print(f"lensdask: {error}", file=sys.stderr)
            raise typer.Exit(2) from error
        parsed: list[str] = super().parse_args(ctx, words)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run a command; bad input exits with 2, what came from outside with 3, an interruption with 130 or 143."""
        stopped_by: list[int] = []
        try:
            with _terminable(stopped_by):
                return super().invoke(ctx)
        except InputError as error:
            message, code = str(error), 2
        except BrokenPipeError:
            raise  # click ends quietly when a pager or head has read enough
        except OSError as error:
            message, code = _told(error), 3 if _is_outside(error) else 2
        except MemoryError as error:
            message, code = f"not enough memory ({error}); expected smaller numbers or a larger machine", 2
        except KeyboardInterrupt as interrupt:
            message, code = _advice(interrupt), 128 + (stopped_by or [signal.SIGINT])[0]
        print(f"lensdask: {in_flags(message, _options(self))}", file=sys.stderr)
        raise typer.Exit(code)


@contextmanager
def _terminable(stopped_by: list[int]) -> Iterator[None]:
    """Have SIGTERM, which batch systems and ``timeout`` send, stop a command as Ctrl-C does; note it in a list."""

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # Python has signals in the main thread alone
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _advice(interrupt: BaseException | None) -> str:
    """Return what an interrupted run said on how to continue: the last of several interrupts knows nothing of it."""
    while interrupt is not None:
        if isinstance(interrupt, KeyboardInterrupt) and str(interrupt):
            return str(interrupt)
        interrupt = interrupt.__context__
    return "interrupted"


def _options(group: Any) -> set[str]:
    """Return the names of the options of all commands of a group."""
    nested = (command for command in group.commands.values())
    return {p.name for p in group.params}.union(
        *(_options(c) if hasattr(c, "commands") else {p.name for p in c.params} for c in nested)
    )


def in_flags(message: str, options: Collection[str]) -> str:
    """Return a message of the Python door with flags for its arguments: ``if_exists="resume"`` is ``--resume``.

    Parameters
    ----------
    message
        For a user of Python.
    options
        Names of options: other arguments stay as they are.
    """

    def flag(argument: re.Match[str]) -> str:
        name, value = argument["name"], argument["value"]
        if name == "if_exists":
            return f"--{value}"
        return f"--{name.replace('_', '-')}" + f" {value}" * (value != "True") if name in options else argument.group()

    return re.sub(r"""\b(?P<name>[a-z]\w*)=["']?(?P<value>\w(?:[\w.,+-]*\w)?)["']?""", flag, message)


def _is_outside(error: OSError) -> bool:
    """Return whether nothing in the command is at fault: a full disk, a scheduler that was lost or does not answer."""
    return isinstance(error, ConnectionError | TimeoutError) or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _told(error: OSError) -> str:
    """Return what an error of the operating system is about; only one of a place needs advice on where to write."""
    place = f"{error.filename}: " if error.filename else ""
    message = error.strerror or str(error) or type(error).__name__
    advice = "" if _is_outside(error) else "; expected a place that can be read and written"
    return f"{place}{message}{advice}"


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
"""The command; pillars add theirs to it."""

# Python would look through the 400 000 objects of torch and Dask for garbage as it ends: a second, or three.
atexit.register(gc.freeze)


def _show_version(wanted: bool) -> None:
    if wanted:
        from lensdask.version import code_version

        print(code_version())
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")]


@app.callback()
def root(version: Version = False) -> None:
    """Gravitational-lensing measurement with neural networks.

    Exit codes: 0 done, 1 finished but for chunks that were given up, 2 bad input, 3 stopped from outside (full disk,
    lost scheduler), 130 interrupted, 143 terminated. After 1, 3, 130 and 143 continue with --resume.
    """


def check_place(store: "Path", overwrite: bool) -> None:
    """Refuse what cannot be written or replaced before the work, not after it.

    Parameters
    ----------
    store
        Store to write.
    overwrite
        Whether one that is there is replaced.

    Raises
    ------
    InputError
        It cannot, or would be gone with this process.
    """
    from lensdask.data import require_store
    from lensdask.places import located

    place = located(store)
    if str(place).startswith("memory://"):
        raise InputError(f"{place}: gone when the command ends; expected a path, or the URL of a place that keeps it")
    if place.exists() and not overwrite:
        raise InputError(f"{place} exists; replace it with --overwrite")
    if place.exists():
        require_store(place)


def finish(quarantined: int, not_finite: Collection[str] = ()) -> None:
    """Exit with 1 if chunks were given up, or results are not finite.

    Parameters
    ----------
    quarantined
        Number of these chunks.
    not_finite
        Names of these results.
    """
    if quarantined:
        print(f"{quarantined} chunks failed; retry them with --resume", file=sys.stderr)
    if not_finite:
        named = ", ".join(list(not_finite)[:_NAMED]) + ", …" * (len(not_finite) > _NAMED)
        print(f"lensdask: results that are not finite: {named}", file=sys.stderr)
    if quarantined or not_finite:
        raise typer.Exit(1)


def unmeasured(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the rows of a result file that have no number; a curve may lack some of its points."""
    known: dict[str, bool] = {}
    for row in rows:
        series = row.get("series", "")
        name = f"curves of {series}" if "x" in row else f"{series}: {row['quantity']}".removeprefix(": ")
        known[name] = known.get(name, False) or row["measured"] is not None
    return [name for name, is_known in known.items() if not is_known]


def report_store(path: "Path", result: "RunResult", unit: str, as_json: bool) -> None:
    """Say which store a run has written, and finish.

    Parameters
    ----------
    path
        The store.
    result
        What the run has done.
    unit
        What its objects are.
    as_json
        Whether a program reads it.
    """
    if as_json:
        print(json.dumps({"store": str(path), "run": result.record()}, indent=2))
    else:
        from lensdask.cli.terminal import print_store

        print_store(path, result, unit)
    finish(len(result.quarantined), [f"of {result.not_finite} {unit}"] if result.not_finite else ())
