"""Messages of the Python door name arguments; those of the command line name its flags."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import lensdask
from lensdask.cli import app
from lensdask.cli.root import _options, in_flags

OPTIONS = {"pixel_scale", "insecure", "overwrite", "cluster", "columns"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('continue with if_exists="resume"', "continue with --resume"),
        ("try again with if_exists='overwrite'; or not", "try again with --overwrite; or not"),
        ("bin with pixel_scale=0.82)", "bin with --pixel-scale 0.82)"),
        ("use tls://… or insecure=True", "use tls://… or --insecure"),
        ("replace it with overwrite=True.", "replace it with --overwrite."),
        ('cluster="cuda"', "--cluster cuda"),
        ("colour=3 of no command", "colour=3 of no command"),
        ('choose with columns="ra,dec,g1,g2"', "choose with --columns ra,dec,g1,g2"),
        ("m=0.01", "m=0.01"),
    ],
)
def test_arguments_become_flags(message, expected):
    assert in_flags(message, OPTIONS) == expected


def test_nothing_below_the_command_line_speaks_of_flags():
    package = Path(lensdask.__file__).parent
    files = [file for file in package.rglob("*.py") if file.parent.name != "cli"]
    lines = [f"{file}: {line}" for file in files for line in file.read_text().splitlines()]
    flags = {name.replace("_", "-") for name in _options(typer.main.get_command(app))} | {"resume", "overwrite"}
    assert {"pixel-scale", "cluster"} <= flags
    spoken = [line for line in lines for flag in re.findall(r"--([a-z][a-z-]+)", line) if flag in flags]
    # `lensdask --version` is no advice.
    assert [line for line in spoken if "--version" not in line] == []


@pytest.mark.parametrize("words", ["verify", "shear simulate", "massmap evaluate", "lss import", "stronglens evaluate"])
def test_commands_that_leave_gpus_alone_take_no_device(words):
    command = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    assert "device" not in {option.name for option in command.params}


def test_a_command_does_not_collect_garbage_as_it_ends():
    """It takes seconds, and Ctrl-C waits for it."""
    garbage = "class Garbage:\n    def __del__(self):\n        print('collected')\none = Garbage()\none.itself = one\n"
    code = f"import gc\ngc.disable()\nimport lensdask.cli\n{garbage}del one"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == ""
