"""The command line, called in the process of a test, which has torch and Dask loaded already."""

import sys

from lensdask.cli import main


def call(monkeypatch, *arguments) -> int:
    """Run a command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["lensdask", *map(str, arguments)])
    try:
        main()
    except SystemExit as leave:
        return leave.code or 0
    return 0
