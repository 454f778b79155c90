"""The house rules that a program can check: who imports whom, what start-up costs, and how files are kept."""

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmdist

SOURCE = Path(mmdist.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(SOURCE)], "mmdist."))
HEAVY = {"tensorflow", "keras", "ray", "tensorflow_datasets", "sklearn", "matplotlib"}
MAX_LINES = 300


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_layers_of_pyproject_hold() -> None:
    # In a process of its own: it sets logging up anew, and the loggers of tests that follow would be silent.
    lint = Path(sys.executable).with_name("lint-imports")
    words = [str(lint), "--config", str(REPOSITORY / "pyproject.toml"), "--no-cache"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", ["mmdist.cli.main", "mmdist.spec"])
def test_the_command_line_and_the_job_file_start_light(module: str) -> None:
    loaded = run_python(f"import sys, {module}; print(*sorted(sys.modules))").split()
    assert module in loaded
    assert HEAVY.isdisjoint(loaded), f"{module} imports {sorted(HEAVY.intersection(loaded))}"


def test_reading_data_needs_no_tensorflow() -> None:
    loaded = run_python("import sys, mmdist.data; print(*sorted(sys.modules))").split()
    assert {"tensorflow", "keras", "ray"}.isdisjoint(loaded)


def test_no_file_needs_a_table_of_contents() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    too_long = {str(path.relative_to(SOURCE)): lines for path, lines in lengths.items() if lines > MAX_LINES}
    assert not too_long, f"a file of more than {MAX_LINES} lines is two files"


def test_every_file_says_what_it_owns() -> None:
    silent = [path for path in SOURCE.rglob("*.py") if not (ast.get_docstring(ast.parse(path.read_text())) or "")]
    assert not silent


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_public_names_are_listed_and_there(name: str) -> None:
    path = SOURCE.joinpath(*name.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text())
    listed = _listed(tree)
    assert listed is not None or not _defines(tree), f"{name} has public names and no __all__"
    assert _defines(tree) >= {part for part in listed or () if part not in _imported(tree)}, name
    assert len(set(listed or ())) == len(listed or ()), f"{name} lists a name twice"


def test_the_packages_hand_out_what_they_list() -> None:
    # One process for all: each package costs its libraries' start-up once.
    packages = [name for name in MODULES if (SOURCE.joinpath(*name.split(".")[1:]) / "__init__.py").exists()]
    for package in packages:
        module = importlib.import_module(package)
        missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
        assert not missing, f"{package}.__all__ lists {missing}"


def test_test_files_have_names_of_their_own() -> None:
    # pytest imports them by base name: two of one name would hide each other.
    names = [path.name for path in (REPOSITORY / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)


def test_the_installed_package_is_this_clone() -> None:
    if os.environ.get("CI"):
        theirs = {path.relative_to(SOURCE): path.read_bytes() for path in SOURCE.rglob("*.py")}
        ours = {path.relative_to(REPOSITORY / "mmdist"): path for path in (REPOSITORY / "mmdist").rglob("*.py")}
        assert theirs == {name: path.read_bytes() for name, path in ours.items()}


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return list(ast.literal_eval(node.value))
    return None


def _defines(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")} | ({"__version__"} & names)


def _imported(tree: ast.Module) -> set[str]:
    aliases = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {alias.asname or alias.name for alias in aliases}
