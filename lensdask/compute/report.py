"""What a cluster did, with Dask's own plots, in one HTML file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed

from lensdask.errors import InputError

__all__ = ["check_report", "performance_reported"]


def check_report(file: Path) -> None:
    """Check that a performance report can be written to a file: hours later it would be too late.

    Raises
    ------
    InputError
        The name does not end in ``.html``, or there is no such directory.
    """
    if file.suffix != ".html" or file.is_dir():
        raise InputError(f"performance report {file}: expected a file *.html")
    if not file.absolute().parent.is_dir():
        raise InputError(f"performance report {file}: no directory {file.parent}; expected one that exists")


@contextmanager
def performance_reported(client: distributed.Client | None, file: Path | None) -> Iterator[None]:
    """Write a report on all that a cluster does in a ``with`` block, also if an error or Ctrl-C ends the block.

    Parameters
    ----------
    client
        The cluster.
    file
        HTML file to write, or replace; None for no report.
    """
    if client is None or file is None:
        yield
        return
    report = distributed.performance_report(filename=str(file.absolute()))
    # Not for the whole block: a client that loses its scheduler in there would come back as Dask's default.
    with client.as_current():
        report.__enter__()
    try:
        yield
    finally:
        _write(report, client, file)


def _write(report: distributed.performance_report, client: distributed.Client, file: Path) -> None:
    """Write the report; that it cannot be written must not hide how the run ended."""
    try:
        if client.status != "running":
            raise ConnectionError("the scheduler was lost")
        with client.as_current():
            report.__exit__(None, None, None)
    except OSError as error:
        print(f"performance report {file} was not written: {error}", file=sys.stderr)
