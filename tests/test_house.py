"""The rules of the house: layers, imports, licences, names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lensdask"

LAYERS = (
    {"errors", "random", "conventions", "arrays", "fourier"},
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


MODULES = {module_name(path): ast.parse(path.read_text(), str(path)) for path in sorted(PACKAGE.rglob("*.py"))}


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


@pytest.mark.parametrize("module", [m for m in MODULES if m != "lensdask"])
def test_imports_go_down(module):
    names = {name for name in imports(MODULES[module]) if name.startswith("lensdask.")}
    # The package itself names everything, so it would hide an import that goes up.
    assert not {name for name in names if room(name) in ("open", "start_cluster", "InputError")}
    for name in names:
        same_folder = room(name) == room(module) or layer(name) == layer(module) == 0
        assert same_folder or layer(name) < layer(module), f"{module} imports {name}"


def test_every_module_imports_alone():
    # torch and Dask stay loaded between modules, since they take seconds; lensdask does not.
    program = f"""
import importlib, sys, traceback
failed = False
for name in {list(MODULES)!r}:
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


@pytest.mark.parametrize("module", ["lensdask", "lensdask.data", "lensdask.cli"])
def test_cheap_to_import(module):
    heavy = ("torch", "dask", "distributed") if module != "lensdask.data" else ("torch", "distributed")
    program = f"import {module}, sys; print(*sorted(sys.modules.keys() & set({heavy!r})))"
    assert run_python(program).split() == []


@pytest.mark.parametrize("module", MODULES)
def test_forbidden_imports_and_calls(module):
    roots = {name.partition(".")[0] for name in imports(MODULES[module])}
    assert not {name: FORBIDDEN[name] for name in roots & set(FORBIDDEN)}
    used = {ast.unparse(node) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Attribute)}
    assert not used & {"torch.load", "torch.save", "torch.jit.load"}
    assert "allow_pickle=True" not in ast.unparse(MODULES[module])


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("module", [m for m, tree in MODULES.items() if exported(tree)])
def test_public_names_are_sorted(module):
    names = exported(MODULES[module])
    assert names == sorted(set(names), key=order)


@pytest.mark.parametrize("module", [m for m, tree in MODULES.items() if exported(tree)])
def test_public_names_have_docstrings(module):
    tree = MODULES[module]
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
    assert defined & set(exported(tree)) <= documented
