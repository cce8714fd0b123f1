"""The rules of the house: layers, imports, licences, names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lensdask"

LAYERS = (
    {"arrays", "code", "conventions", "errors", "fourier", "lazy", "places", "random", "remote", "version"},
    {"data", "stats"},
    {"compute"},
    {"training"},
    {"sky"},
    {"maps"},
    {"shear", "massmap", "stronglens", "lss"},
    {"plots"},
    {"reproduce"},
    {"cli"},
)

FORBIDDEN = {
    "anacal": "it is GPL: tests only",
    "pickle": "it runs whatever code it reads",
    "cloudpickle": "it runs whatever code it reads",
    "joblib": "it pickles",
    "shelve": "it pickles",
    "marshal": "it runs whatever code it reads",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(path): ast.parse(path.read_text(), str(path)) for path in FILES}
PACKAGES = [module_name(path) for path in FILES if path.name == "__init__.py"]


def room(module: str) -> str:
    """Return the folder or top-level file of a module."""
    return module.split(".")[1]


def layer(module: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room(module) in rooms)


def imports(tree: ast.Module) -> set[str]:
    """Return what a module imports anywhere, ``from a import b`` as a and a.b."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative import; expected an absolute one"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_room_has_a_layer():
    rooms = {room(module) for module in MODULES if module != "lensdask"}
    assert rooms <= set().union(*LAYERS)


def goes_down(module: str, name: str) -> bool:
    # The package itself names everything, so it would hide an import that goes up.
    if room(name) in set(exported(MODULES["lensdask"])) - {package.split(".")[1] for package in PACKAGES[1:]}:
        return False
    same_folder = room(name) == room(module) or layer(name) == layer(module) == 0
    return same_folder or layer(name) < layer(module)


def test_imports_go_down():
    below = {module: imports(tree) for module, tree in MODULES.items() if module != "lensdask"}
    wrong = [
        f"{module} imports {name}"
        for module, names in below.items()
        for name in sorted(names)
        if name.startswith("lensdask.") and not goes_down(module, name)
    ]
    assert not wrong


def test_an_import_that_goes_up_is_found():
    assert goes_down("lensdask.shear.runs", "lensdask.maps.fields")
    assert goes_down("lensdask.shear.runs", "lensdask.shear.stamps.make_stamps")
    assert not goes_down("lensdask.maps.fields", "lensdask.shear.stamps")
    assert not goes_down("lensdask.shear.runs", "lensdask.massmap.method")
    assert not goes_down("lensdask.shear.runs", "lensdask.open")


def loads(module: str) -> set[str]:
    """Return the modules of the package that importing one loads at once: those that it names, and their folders."""
    found = set()
    for node in MODULES[module].body:
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        body = node.orelse if is_for_types else [node]
        found |= imports(ast.Module([each for each in body if not isinstance(each, ast.FunctionDef)], []))
    parents = {name.rpartition(".")[0] for name in found | {module}}
    return (found | parents) & set(MODULES)


def in_circles() -> list[str]:
    """Return the modules whose import leads back to themselves: where another is imported first, they may fail."""
    direct = {module: loads(module) for module in MODULES}

    def leads_to(module: str) -> set[str]:
        seen, waiting = set(), set(direct[module])
        while waiting:
            seen |= waiting
            waiting = set().union(*(direct[name] for name in waiting)) - seen
        return seen

    return [module for module in MODULES if module in leads_to(module)]


def test_every_module_imports_alone():
    # All others load what is below them first, whatever was loaded before: once is enough.
    alone, others = in_circles(), set(MODULES)
    assert {"lensdask.data", "lensdask.data.store"} <= set(alone)
    # torch and Dask stay loaded between modules, since they take seconds; lensdask does not.
    program = f"""
import importlib, sys, traceback
failed = False
for name in {[*alone, *sorted(others - set(alone))]!r}:
    if name in {alone!r}:
        for loaded in [m for m in sys.modules if m.partition(".")[0] == "lensdask"]:
            del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception:
        failed = True
        print(name, traceback.format_exc(), file=sys.stderr)
sys.exit(failed)
"""
    run_python(program)


CHEAP = {
    "lensdask": ("dask", "distributed", "numpy", "subprocess", "torch"),
    "lensdask.cli": ("dask", "distributed", "numpy", "rich.console", "torch"),
    "lensdask.compute": ("dask", "distributed", "numpy", "torch"),
    "lensdask.data": ("dask.array", "distributed", "torch"),
    "lensdask.lss": ("dask", "distributed", "numpy", "torch"),
    "lensdask.maps": ("dask", "distributed", "numpy", "torch"),
    "lensdask.massmap": ("dask", "distributed", "numpy", "torch"),
    "lensdask.shear": ("dask", "distributed", "numpy", "torch"),
    "lensdask.stronglens": ("dask", "distributed", "numpy", "torch"),
    "lensdask.sky": ("astropy", "dask", "distributed", "numpy", "torch"),
}
"""What the import of a package does without."""


@pytest.mark.parametrize("module", CHEAP)
def test_cheap_to_import(module):
    heavy = CHEAP[module]
    program = f"import {module}, sys; print(*sorted(sys.modules.keys() & set({heavy!r})))"
    assert run_python(program).split() == []


def forbidden(tree: ast.Module) -> list[str]:
    """Return what a module imports or calls and must not."""
    roots = {name.partition(".")[0] for name in imports(tree)}
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = [f"{name}: {FORBIDDEN[name]}" for name in sorted(roots & set(FORBIDDEN))]
    found += sorted(used & {"torch.load", "torch.save", "torch.jit.load"})
    return found + ["allow_pickle=True"] * ("allow_pickle=True" in ast.unparse(tree))


def test_forbidden_imports_and_calls():
    assert not {module: found for module, tree in MODULES.items() if (found := forbidden(tree))}


def test_what_is_forbidden_is_found():
    program = "import pickle.x\nfrom anacal import a\ntorch.load(b)\nnp.load(c, allow_pickle=True)"
    assert [line.split(":")[0] for line in forbidden(ast.parse(program))] == [
        "anacal",
        "pickle",
        "torch.load",
        "allow_pickle=True",
    ]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_public_names_are_sorted():
    public = {module: exported(tree) for module, tree in MODULES.items()}
    assert not {m: names for m, names in public.items() if names != sorted(set(names), key=order)}


def undocumented(tree: ast.Module) -> set[str]:
    """Return the public names that a module defines without a docstring."""
    documented, defined = set(), set()
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names, text = {node.name}, ast.get_docstring(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {ast.unparse(target) for target in targets}
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
        else:
            continue
        defined |= names
        documented |= names if text else set()
    return (defined & set(exported(tree))) - documented


def test_public_names_have_docstrings():
    assert not {module: names for module, tree in MODULES.items() if (names := undocumented(tree))}


def test_a_public_name_without_a_docstring_is_found():
    program = '__all__ = ["A", "b", "c"]\nA = 1\n"""It is."""\ndef b(): pass\ndef c():\n    """Do."""'
    assert undocumented(ast.parse(program)) == {"b"}


def test_no_public_name_hides_a_module():
    hidden = []
    for package in PACKAGES:
        below = {m.removeprefix(f"{package}.").split(".")[0] for m in MODULES if m.startswith(f"{package}.")}
        tree = MODULES[package]
        modules = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == package
            for alias in node.names
        }
        hidden += [f"{package}.{name}" for name in exported(tree) if name in below - modules]
    assert not hidden


def test_modules_are_reached_by_their_names():
    import lensdask.massmap.classical.wiener_filter as w
    from lensdask.compute.runs import engine

    assert w.WienerMap.__module__ == "lensdask.massmap.classical.wiener_filter"
    assert engine.run.__module__ == "lensdask.compute.runs.engine"


def test_folders_and_files_stay_small():
    folders = {path.parent for path in FILES}
    crowded = {f"{folder}": count for folder in folders if (count := len(list(folder.glob("*.py")))) > 15}
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert not crowded
    assert not {f"{path}": length for path, length in lengths.items() if length > 400}
    rooms = dict.fromkeys((path.relative_to(PACKAGE).parts[0] for path in FILES), 0)
    for path, length in lengths.items():
        rooms[path.relative_to(PACKAGE).parts[0]] += length
    assert max(rooms.values()) <= sum(rooms.values()) / 4, rooms
