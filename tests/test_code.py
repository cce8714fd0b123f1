"""Code is told apart by what it does: a comment changes nothing, an edit of what a task needs is named."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lensdask import code
from lensdask.code import Code, changed_files, code_files
from lensdask.errors import InputError

PACKAGE = Path(__file__).parents[1] / "lensdask"

SHEAR, MASSMAP = "lensdask.shear.shapes.measurement", "lensdask.massmap.reconstruction"
FPFS = "lensdask/shear/shapes/fpfs.py"


def skeleton(text: str) -> str:
    return "\n".join(code._skeleton(code.ast.parse(text)))


@pytest.mark.parametrize(
    "other",
    [
        '"""Other words."""\n\ndef f(x):\n    """Say more."""\n    return x + 1  # why\n',
        "def f(\n    x\n):\n    return (x + 1)\n",
    ],
)
def test_words_and_layout_are_no_code(other):
    assert skeleton(other) == skeleton('"""Words."""\n\ndef f(x):\n    """Say."""\n    return x + 1\n')


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x):\n    return x + True\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(x):\n    return x - 1\n",
        "def f(x, y=None):\n    return x + 1\n",
        "def f(y):\n    return y + 1\n",
        "def g(x):\n    return x + 1\n",
        "def f(x):\n    return x + 1\nf.a = ''\n",
    ],
)
def test_every_change_of_code_shows(other):
    assert skeleton(other) != skeleton("def f(x):\n    return x + 1\n")


def test_a_text_that_is_a_value_is_code():
    assert skeleton("a = 'b'") != skeleton("a = 'c'")
    assert skeleton("print('b')") != skeleton("print('c')")


def test_a_module_needs_what_it_imports_and_nothing_else():
    shear, massmap = code_files(SHEAR), code_files(MASSMAP)
    assert {FPFS, "lensdask/arrays.py", "lensdask/data/store.py"} <= shear.keys()
    assert {"lensdask/sky/power.py", "lensdask/sky/tables/power_lsst.json"} <= massmap.keys()
    assert not [path for path in shear if path.startswith(("lensdask/massmap", "lensdask/plots", "lensdask/cli"))]
    assert FPFS not in massmap


def test_a_module_outside_counts_with_what_it_needs():
    found = code_files(__name__)
    assert {"test_code.py", "lensdask/code.py", "lensdask/errors.py"} <= found.keys()
    assert FPFS not in found
    assert {FPFS, "lensdask/massmap/method.py"} <= code_files("of no file").keys()


def test_changed_files():
    assert changed_files({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}) == ["b", "c", "d"]
    assert changed_files({"a": "1"}, {"a": "1"}) == []


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "lensdask", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    return folder


def told(folder: Path, program: str):
    """Return what a program prints that runs with the package of a folder."""
    program = f"import json, sys; sys.path.insert(0, {str(folder)!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


FILES = f"from lensdask.code import code_files; print(json.dumps(code_files({SHEAR!r})))"


def test_an_edit_of_a_copied_package_is_named(copied):
    before = told(copied, FILES)
    assert before == code_files(SHEAR)
    file = copied / FPFS
    text = file.read_text()
    file.write_text(f'"""Other words."""\n# And a comment.\n{text}')
    (copied / "lensdask" / "cli" / "root.py").write_text("edited = True\n")
    assert told(copied, FILES) == before
    file.write_text(f"{text}\nEDITED = True\n")
    assert changed_files(before, told(copied, FILES)) == [FPFS]
    file.write_text(text)


def test_a_process_with_other_code_refuses(copied):
    here = Code.of(SHEAR)
    here.require()
    ask = f"""
from lensdask.code import Code
from lensdask.errors import InputError
try:
    print(json.dumps(Code(**{vars(here)!r}).require()))
except InputError as error:
    print(json.dumps(str(error)))
"""
    file = copied / FPFS
    text = file.read_text()
    file.write_text(f"# A comment.\n{text}")
    assert told(copied, ask) is None
    file.write_text(f"{text}\nEDITED = True\n")
    answer = told(copied, ask)
    file.write_text(text)
    assert answer.startswith("a worker has other code, of lensdask 0.2.0.dev0 in ")
    assert f"expected that of the client, {here.version}: " in answer


def test_code_that_differs_only_in_its_layers_above_is_the_same(monkeypatch):
    here = Code.of(SHEAR)
    monkeypatch.setattr(code, "_sources", lambda: "other")
    here.require()
    monkeypatch.setattr(code, "code_files", lambda _: {"lensdask/a.py": "other"})
    with pytest.raises(InputError, match="a worker has other code"):
        here.require()
