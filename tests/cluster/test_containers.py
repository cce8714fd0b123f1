"""Definitions of containers: they install what the repository has, and every file is in the README."""

import re
import tomllib

import pytest


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section of an Apptainer definition; its header is section ''."""
    found, name = {"": []}, ""
    for line in text.splitlines():
        if line.startswith("%"):
            name = line[1:]
            found[name] = []
        elif line.strip() and not line.lstrip().startswith("#"):
            found[name].append(line.strip())
    return found


@pytest.fixture(scope="session")
def project(cluster):
    """Return the project table of pyproject.toml."""
    return tomllib.loads((cluster.parent / "pyproject.toml").read_text())["project"]


def requested(line: str) -> set[str]:
    return set(re.search(r"/opt/lensdask\[([\w,]+)\]", line)[1].split(","))


def python_version(image: str, project) -> None:
    (minor,) = re.fullmatch(r"python:3\.(\d+)-slim", image).groups()
    assert int(minor) >= int(project["requires-python"].rpartition(".")[2])


def test_apptainer(cluster, project):
    found = sections((cluster / "lensdask.def").read_text())
    assert set(found) == {"", "files", "post", "environment", "test", "runscript"}
    header = dict(line.split(": ") for line in found[""])
    assert header["Bootstrap"] == "docker"
    python_version(header["From"], project)
    for line in found["files"]:
        source, target = line.split()
        assert (cluster.parent / source).exists()
        assert target == f"/opt/lensdask/{source}"
    (install,) = found["post"]
    assert requested(install) <= set(project["optional-dependencies"])
    assert found["runscript"] == ['exec lensdask "$@"']
    assert "lensdask" in project["scripts"]


def test_containerfile(cluster, project):
    text = (cluster / "Containerfile").read_text()
    python_version(re.search(r"^FROM (\S+)$", text, re.MULTILINE)[1], project)
    sources = [name for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert all((cluster.parent / name).exists() for name in sources)
    assert requested(text) <= set(project["optional-dependencies"])
    # As kubernetes.yaml runs it.
    assert "\nUSER 1000:1000\n" in text


@pytest.mark.parametrize("install", ["lensdask.def", "Containerfile"])
def test_what_the_build_needs_is_copied(cluster, project, install):
    text = (cluster / install).read_text()
    for name in ("pyproject.toml", project["readme"], *project["license-files"], "lensdask"):
        assert name in text


def test_readme_names_every_file(cluster):
    text = (cluster / "README.md").read_text()
    names = {path.name for path in cluster.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert [name for name in sorted(names - {"README.md"}) if name not in text] == []


def test_nothing_is_unencrypted(cluster):
    for path in cluster.rglob("*"):
        if path.is_file() and path.suffix in (".sh", ".yaml", ".py", ".def", ""):
            code = re.sub(r"(^|\s)#.*", "", path.read_text(), flags=re.MULTILINE)
            assert not re.search(r"tcp://|0\.0\.0\.0|--insecure", code), path
