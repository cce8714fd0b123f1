"""The ``lensdask`` command itself: how mistakes are told, and with which exit code it ends."""

import errno
import json
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from lensdask.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from lensdask.compute import RunResult

__all__ = ["app", "finish", "in_flags", "report_store"]


class _Commands(typer.core.TyperGroup):
    """Commands whose mistakes are told in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; bad input exits with 2, what came from outside with 3, an interruption with 130."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            message, code = str(error), 2
        except BrokenPipeError:
            raise  # click ends quietly when a pager or head has read enough
        except OSError as error:
            message, code = _told(error), 3 if _is_outside(error) else 2
        except KeyboardInterrupt as interrupt:
            message, code = str(interrupt) or "interrupted", 130
        print(f"lensdask: {in_flags(message, _options(self))}", file=sys.stderr)
        raise typer.Exit(code)


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
    lost scheduler), 130 interrupted. After 1, 3 and 130 continue with --resume.
    """


def finish(quarantined: int) -> None:
    """Exit with 1 if chunks were given up."""
    if quarantined:
        print(f"{quarantined} chunks failed; retry them with --resume", file=sys.stderr)
        raise typer.Exit(1)


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
    finish(len(result.quarantined))
