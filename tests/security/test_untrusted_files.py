"""Files of strangers: they are data, never code, and no path in them leads out of its store."""

import ast
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

import lensdask
from lensdask import data
from lensdask.data import SHAPES, file_sha256, load_weights, save_weights
from lensdask.data.checksums import seal
from lensdask.errors import InputError

PACKAGE = Path(lensdask.__file__).parent


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


# Names that run what they are given, by the name of the function alone: whatever it was imported as.
LOADERS = {"unpickle", "Unpickler", "read_pickle", "eval", "exec", "system", "popen", "execv", "Popen", "__import__"}
# Names that do so in one module, and are harmless in others.
MODULES = {"torch", "pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "subprocess", "numpy", "np"}
METHODS = {"load", "loads", "save", "open", "run", "call", "check_call", "check_output", "unsafe_load", "full_load"}


def refuses_pickle(node: ast.AST) -> bool:
    """Return whether a node is ``np.load(…, allow_pickle=False)``, with a plain False, which reads arrays alone."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "np.load":
        return False
    return any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)


def calls(tree: ast.AST) -> set[str]:
    """Return dangerous calls: ``eval``, ``torch.load``."""
    found = set()
    harmless = {part for node in ast.walk(tree) if refuses_pickle(node) for part in (node.func, *node.keywords)}
    for node in ast.walk(tree):
        if node in harmless:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOADERS:
            found.add(node.func.id)
        elif isinstance(node, ast.Attribute):
            root = ast.unparse(node.value).partition(".")[0]
            if (node.attr in LOADERS and root in MODULES | {"os", "builtins", "pd"}) or (
                node.attr in METHODS and root in MODULES
            ):
                found.add(f"{root}.{node.attr}")
        elif isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only", "shell"):
            found.add(node.arg)
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("torch.load(p)", {"torch.load"}),
        ("np.load(p, allow_pickle=flag)", {"np.load", "allow_pickle"}),
        ("np.load(p)", {"np.load"}),
        ("np.load(pickle.load(p), allow_pickle=False)", {"pickle.load"}),
        ("np.load(p, allow_pickle=False)", set()),
        ("pickle.loads(b)", {"pickle.loads"}),
        ("eval(text)", {"eval"}),
        ("subprocess.run(c, shell=True)", {"subprocess.run", "shell"}),
        ("model.eval(); json.loads(t); coordinate.load()", set()),
    ],
)
def test_the_search_finds(code, found):
    assert calls(ast.parse(code)) == found


def test_package_runs_nothing_that_it_reads():
    found = {path.name: calls(ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert len(found) > 20
    # Which commit this is, git says: a command that no file has a say in.
    assert {name: names for name, names in found.items() if names} == {"version.py": {"subprocess.run"}}


@pytest.mark.parametrize("writer", [pickle.dump, torch.save])
def test_pickle_named_safetensors(tmp_path, writer):
    path, victim = tmp_path / "net.safetensors", tmp_path / "victim"
    save_weights(path, {"w": torch.ones(2)}, {"architecture": "a", "config": {}})
    with path.open("wb") as file:
        writer({"w": Bomb(victim)}, file)
    card = path.with_suffix(".json")
    # A stranger makes the card fit, too.
    card.write_text(json.dumps({"architecture": "a", "config": {}, "sha256": file_sha256(path)}))
    with pytest.raises(InputError, match="expected a safetensors file") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert not victim.exists()


def table(start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: np.ones(stop - start, "float32") for name in SHAPES.variables}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "here" / "shapes.zarr"
    data.create(
        path,
        SHAPES,
        sizes={"galaxy": 25},
        coords={"galaxy": np.arange(25)},
        attributes={"configuration_hash": "0", "estimator": "fpfs"},
        chunk=10,
    )
    return path


@pytest.fixture
def outside(tmp_path):
    """Return a folder of somebody's, with what a careless program would remove or replace."""
    folder = tmp_path / "outside"
    (folder / "kept.partial").mkdir(parents=True)
    for name in ("c/0", "kept.partial/file", "file.partial", "file"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("kept")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def replace_by_link(path: Path, target: Path) -> None:
    """Put a link where a folder was; the target has what the folder had."""
    if path.exists():
        for entry in path.iterdir():
            entry.rename(target / entry.name)
        path.rmdir()
    path.symlink_to(target, target_is_directory=True)


@pytest.mark.parametrize("place", ["e1", "e1/c"])
@pytest.mark.parametrize("relative", [True, False])
def test_chunks_are_not_written_through_links(store, outside, place, relative):
    target = Path(os.path.relpath(outside, (store / place).parent)) if relative else outside
    if place == "e1":
        (store / "e1" / "zarr.json").rename(outside / "zarr.json")
        (store / "e1").rmdir()
    (store / place).symlink_to(target, target_is_directory=True)
    before = contents(outside)
    with pytest.raises(InputError, match="a link in 'e1' leads out of the store"):
        data.write_chunk(store, 0, table(0, 10))
    assert contents(outside) == before
    # Nothing else was written either.
    assert not (store / "flux" / "c").exists()


def test_chunk_that_is_a_link_is_replaced(store, outside):
    (store / "e1" / "c").mkdir()
    (store / "e1" / "c" / "0").symlink_to(outside / "file")
    before = contents(outside)
    data.write_chunk(store, 0, table(0, 10))
    assert contents(outside) == before
    assert not (store / "e1" / "c" / "0").is_symlink()


def test_store_behind_a_link_is_written(store, tmp_path):
    link = tmp_path / "scratch"
    link.symlink_to(store.parent)
    data.write_chunk(link / "shapes.zarr", 0, table(0, 10))
    assert int(data.open(store)["e1"].notnull().sum()) == 10


def test_sweep_follows_no_links(store, outside):
    (store / "e1" / "c.partial").symlink_to(outside, target_is_directory=True)
    (store / "e2" / "c.partial").symlink_to(outside / "file")
    (store / "links").symlink_to(outside, target_is_directory=True)
    before = contents(outside)
    assert data.sweep_partial(store) == 2
    assert contents(outside) == before
    assert not list(store.rglob("*.partial"))


def test_sweep_keeps_to_its_store(tmp_path):
    # Brackets are a pattern for glob: [12] is 1 or 2.
    for name in (".run1.zarr.0.partial", ".run[12].zarr.0.partial"):
        (tmp_path / name).mkdir()
    assert data.sweep_partial(tmp_path / "run[12].zarr") == 1
    assert (tmp_path / ".run1.zarr.0.partial").exists()


def test_remove_follows_no_links(store, outside, tmp_path):
    (store / "links").symlink_to(outside, target_is_directory=True)
    before = contents(outside)
    link = tmp_path / "link.zarr"
    link.symlink_to(store, target_is_directory=True)
    with pytest.raises(InputError, match="is a link"):
        data.remove(link)
    assert store.exists()
    data.remove(store)
    assert not store.exists()
    assert contents(outside) == before


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "e1/../../evil"])
def test_names_that_lead_away_are_refused(tmp_path, store, name):
    dataset = data.open(store).load()
    with pytest.raises(InputError, match="expected the plain name of a folder"):
        data.write(dataset.assign({name: dataset["e1"]}), tmp_path / "copy.zarr")
    with pytest.raises(InputError, match="expected the plain name of a folder"):
        data.write(dataset.assign_coords({name: ("galaxy", np.arange(25))}), tmp_path / "copy.zarr")
    with pytest.raises(InputError, match=f"has {name!r}"):
        data.write_chunk(store, 0, table(0, 10) | {name: table(0, 10)["e1"]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    assert not Path("/tmp/evil").exists()


def test_metadata_cannot_name_arrays(store):
    # Consolidated metadata may list arrays that are not there, under any name.
    file = store / "zarr.json"
    group, array = json.loads(file.read_text()), json.loads((store / "e1" / "zarr.json").read_text())
    listed = dict.fromkeys(("../evil", *SHAPES.variables), array)
    group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": listed}
    file.write_text(json.dumps(group))
    seal(store)
    data.write_chunk(store, 0, table(0, 10))
    assert set(data.open(store).data_vars) == set(SHAPES.variables)
    assert sorted(path.name for path in store.parent.iterdir()) == ["shapes.zarr"]


def spoil(store: Path, bomb: bytes, codec: str) -> None:
    """Put an array of objects into a store: of Zarr's version 2, whose codec unpickles, or with a codec so named."""
    meta = json.loads((store / "e1" / "zarr.json").read_text())
    if codec == "pickle of version 2":
        (store / "e1" / "zarr.json").unlink()
        old = {"zarr_format": 2, "shape": [25], "chunks": [25], "dtype": "|O", "order": "C", "fill_value": None}
        (store / "e1" / ".zarray").write_text(
            json.dumps(old | {"compressor": None, "filters": [{"id": "pickle", "protocol": 5}]})
        )
        (store / "e1" / "0").write_bytes(bomb)
    else:
        meta["codecs"] = [{"name": codec, "configuration": {}}]
        (store / "e1" / "zarr.json").write_text(json.dumps(meta))
        (store / "e1" / "c").mkdir()
        (store / "e1" / "c" / "0").write_bytes(bomb)
    # Whoever writes such a file can do so too.
    seal(store)


@pytest.mark.filterwarnings("ignore:Object at e1 is not recognized")
@pytest.mark.parametrize("codec", ["pickle of version 2", "pickle", "numcodecs.pickle"])
def test_arrays_of_objects_are_refused(store, tmp_path, codec):
    victim = tmp_path / "victim"
    spoil(store, pickle.dumps(np.array([Bomb(victim)] * 25, dtype=object)), codec)
    with pytest.raises(InputError, match=r"shapes\.zarr") as caught:
        data.open(store).load()
    assert "\n" not in str(caught.value)
    assert not victim.exists()


def test_datasets_of_objects_are_refused(tmp_path, store):
    dataset = data.open(store).load()
    dataset["e1"] = xr.DataArray(np.array([Bomb(tmp_path / "victim")] * 25, dtype=object), dims="galaxy")
    with pytest.raises(InputError, match="'e1' is object"):
        data.write(dataset, tmp_path / "copy.zarr")
    assert zarr.open_group(store, mode="r")["e1"].dtype == np.float32
