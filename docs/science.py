"""Run the slow accuracy tests and keep the numbers that they print in ``docs/science.txt``: `make science`.

With files of tests as arguments it runs these alone, and leaves what the record has of the others.
"""

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


def science_tests() -> list[str]:
    """Return the files that have slow tests, from the root of the checkout."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if "mark.science" in file.read_text()]


def run(file: str) -> str | None:
    """Run the slow tests of a file, showing their output as it comes, and return it, or nothing if one fails."""
    lines = []
    # Nothing in the command comes from outside.
    with subprocess.Popen([*PYTEST, file], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:  # noqa: S603
        for line in tests.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return None if tests.returncode else "".join(lines)


def keep(file: str, output: str) -> None:
    """Put the numbers of a file of tests into the record, in place of older ones."""
    record = ROOT / "docs" / "science.txt"
    parts = {part.partition(":")[0]: part for part in record.read_text().strip().split("\n\n") if part}
    date, cores = datetime.now(UTC).date(), len(os.sched_getaffinity(0))
    parts[file] = f"{file}: {date}, {cores} cores of {describe_device('cpu')}\n{numbers(output)}"
    record.write_text("\n\n".join(parts[name] for name in sorted(parts)) + "\n")


def main(files: list[str]) -> int:
    """Run files of tests, keep the numbers of those that pass, and return 1 if any fails."""
    failed = 0
    for file in files or science_tests():
        output = run(file)
        # A record of numbers is not replaced by one of failures.
        if output is None:
            failed = 1
        else:
            keep(file, output)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
