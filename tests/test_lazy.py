"""Packages load their names when they are used, show them all, and warn of old ones."""

import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from astropy.table import Table

import lensdask
from lensdask.lazy import lazy_names

LAZY = (
    "lensdask",
    *(f"lensdask.{name}" for name in ("compute", "lss", "maps", "massmap", "shear", "sky", "stronglens")),
)


@pytest.mark.parametrize("package", LAZY)
def test_all_that_is_shown_is_there(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)
    shown = {name: getattr(module, name) for name in dir(module)}
    # Constants and types such as Literal have no docstring of their own; those of their modules are held elsewhere.
    can_say = {n: v for n, v in shown.items() if inspect.isclass(v) or inspect.isroutine(v) or inspect.ismodule(v)}
    assert not [name for name, value in can_say.items() if not (value.__doc__ or "").strip()]
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018  the access is what fails


def test_what_lensdask_shows():
    names = {"InputError", "RunOptions", "__version__", "maps", "massmap", "open", "reproduce", "shear", "sky", "stats"}
    assert names <= set(dir(lensdask))
    assert isinstance(lensdask.sky, ModuleType)


def test_what_there_is_by_name():
    from lensdask import massmap, shear, stronglens

    assert shear.estimators() == ["fpfs", "d4cnn", "d4cnn-wide", "d4cnn-fpfs", "d4cnn-paper", "d4cnn-relu", "cnn"]
    assert massmap.methods() == ["ks93", "ksplus", "wiener", "aperture", "cha", "h21", "miu2net", "cosmos"]
    for name in massmap.methods():
        assert massmap.find_method(name, source="lsst").name == name
    for name in shear.estimators():
        assert shear.find_estimator(name).name == name
    assert "lens-net" in stronglens.networks()
    for name in stronglens.networks():
        assert stronglens.find_network(name).label == name


def test_peaks_are_found_from_the_front_door():
    from lensdask.massmap import find_peaks

    kappa = np.zeros((1, 9, 9))
    kappa[0, 4, 5] = 1.0
    found = find_peaks(kappa, threshold=0.5)
    assert (found.y.tolist(), found.x.tolist()) == ([4.0], [5.0])


@pytest.fixture
def renaming(monkeypatch, tmp_path):
    """A package with a name that has a new one."""
    (tmp_path / "renaming").mkdir()
    (tmp_path / "renaming" / "home.py").write_text("new = 7\n")
    (tmp_path / "renaming" / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from lensdask.lazy import lazy_names\n"
        "if TYPE_CHECKING:\n"
        "    from renaming.home import new\n"
        "else:\n"
        "    __getattr__, __dir__ = lazy_names(__name__, {'old': 'new'})\n"
        "__all__ = ['new']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("renaming")
    for name in ("renaming", "renaming.home"):
        sys.modules.pop(name, None)


def test_an_old_name_works_and_says_the_new_one(renaming):
    with pytest.warns(DeprecationWarning, match=r"renaming\.old is now renaming\.new") as caught:
        assert renaming.old == 7
    assert caught[0].filename == __file__
    assert dir(renaming) == ["new"]
    assert renaming.new == 7


def test_the_home_of_a_name_is_loaded_at_its_first_use(renaming):
    assert "renaming.home" not in sys.modules
    assert renaming.new == 7
    assert "renaming.home" in sys.modules
    load, _ = lazy_names("renaming")
    with pytest.raises(AttributeError, match="no attribute 'old'"):
        load("old")


def test_binning_loads_no_more_than_it_needs(tmp_path):
    draw = np.random.default_rng(1)
    columns = {name: draw.uniform(-0.2, 0.2, 5000) for name in ("ra", "dec", "g1", "g2")}
    Table(columns | {"weight": np.ones(5000)}).write(tmp_path / "catalogue.fits")
    program = f"""
import sys
from lensdask.cli import main
sys.argv = ["lensdask", "massmap", "bin", {str(tmp_path / "catalogue.fits")!r}, {str(tmp_path / "maps.zarr")!r}]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
heavy = ["astropy.cosmology", "bokeh", "dask.array", "distributed", "galsim", "matplotlib", "scipy.ndimage", "torch"]
print("loaded", *[name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded"
    assert lensdask.open(tmp_path / "maps.zarr")["count"].sum() == 5000


@pytest.mark.parametrize(
    ("package", "old", "new"),
    [
        ("lensdask.shear", "Instrument", "Imaging"),
        ("lensdask.shear", "read_catalogue", "read_catsim"),
        ("lensdask.massmap", "NoiseModel", "Survey"),
    ],
)
def test_names_of_the_last_release_work_with_a_warning(package, old, new):
    module = importlib.import_module(package)
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{old} is now {package}\.{new}"):
        assert getattr(module, old) is getattr(module, new)
