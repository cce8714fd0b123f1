"""Run the slow accuracy tests and keep the numbers that they print in ``docs/science.txt``: `make science`."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from lensdask.compute import describe_device

ROOT = Path(__file__).parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-m", "science", "-s", "-q", "--no-header", "-p", "no:cacheprovider"]

PROGRESS = re.compile(r"^\.+|\.*( *\[ *\d+%\])?$")
"""What pytest puts before and after the lines of a test."""


def numbers(output: str) -> str:
    """Return what the tests printed, without the points of pytest and its list of durations."""
    lines = [PROGRESS.sub("", line) for line in output.partition("slowest")[0].splitlines()]
    return "\n".join(line for line in lines if line.strip("= s"))


def main() -> int:
    """Run the tests, showing their output as it comes, keep their numbers if all pass, and return the exit status."""
    lines = []
    # Nothing in the command comes from outside.
    with subprocess.Popen(PYTEST, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:  # noqa: S603
        for line in tests.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    date, cores = datetime.now(UTC).date(), len(os.sched_getaffinity(0))
    # A record of numbers is not replaced by one of failures.
    if tests.returncode:
        return tests.returncode
    head = f"make science, {date}, {cores} cores of {describe_device('cpu')}"
    (ROOT / "docs" / "science.txt").write_text(f"{head}\n\n{numbers(''.join(lines))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
