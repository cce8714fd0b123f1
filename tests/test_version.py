"""The version names the commit, in a checkout, in a wheel, and as well as it can in an archive without git."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lensdask
from lensdask.version import code_version, version_of

ROOT = Path(__file__).parents[1]

PRINT = "import lensdask, sys; print(lensdask.__version__)"


@pytest.mark.parametrize(
    ("description", "version"),
    [
        ("4fe21ab", "0.2.0.dev0+g4fe21ab"),
        ("4fe21ab-dirty", "0.2.0.dev0+g4fe21ab.dirty"),
        ("v0.2.0-0-g4fe21ab", "0.2.0"),
        ("v0.2.0-0-g4fe21ab-dirty", "0.2.1.dev0+g4fe21ab.dirty"),
        ("v0.2.0-12-g4fe21ab", "0.2.1.dev12+g4fe21ab"),
        ("v0.3.0rc1-3-g4fe21ab", "0.3.0rc2.dev3+g4fe21ab"),
        ("fatal: not a git repository", "0.2.0.dev0"),
    ],
)
def test_version_of_a_description(description, version):
    assert version_of(description) == version


def test_one_version_everywhere():
    assert lensdask.__version__ == code_version()
    assert re.fullmatch(r"\d+\.\d+.*", code_version())


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """What a build needs, without git."""
    folder = tmp_path_factory.mktemp("archive")
    shutil.copytree(ROOT / "lensdask", folder / "lensdask", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def checkout(archive, tmp_path_factory):
    """The same as a repository with one commit and no tag."""
    folder = tmp_path_factory.mktemp("checkout") / "lensdask"
    shutil.copytree(archive, folder)
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text("build/\n*.egg-info/\n__pycache__/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "All")
    return folder


def printed(folder: Path) -> str:
    """Return the version that the package in a folder says it has."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files(folder: Path) -> set[Path]:
    """Return the files of the package in a folder."""
    found = (path for path in (folder / "lensdask").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder) for path in found}


def wheel_of(folder: Path, out: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(out), str(folder)], check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


def test_a_checkout_names_its_commit_and_says_if_files_differ(checkout):
    commit = git(checkout, "rev-parse", "--short", "HEAD")
    assert printed(checkout) == f"0.2.0.dev0+g{commit}"
    file = checkout / "lensdask" / "errors.py"
    before = file.read_bytes()
    file.write_bytes(before + b"# edited\n")
    assert printed(checkout) == f"0.2.0.dev0+g{commit}.dirty"
    file.write_bytes(before)


def test_an_archive_without_git_has_the_next_release(archive):
    assert printed(archive) == "0.2.0.dev0"


def test_a_wheel_keeps_the_version_of_its_checkout_and_has_all_data(checkout, tmp_path):
    expected = printed(checkout)
    wheel = wheel_of(checkout, tmp_path / "out")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    assert files(tmp_path / "site") == files(checkout)
    assert printed(tmp_path / "site") == expected


def test_an_archive_builds_without_git(archive, tmp_path):
    shutil.copytree(archive, tmp_path / "archive")
    assert wheel_of(tmp_path / "archive", tmp_path / "out").name.startswith("lensdask-0.2.0.dev0-")
