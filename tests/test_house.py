"""What keeps the package light, whole and in order."""

import ast
import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

import bnao

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "bnao").rglob("*.py"))

#: set by tox: the framework its environment is for, or "none"
FRAMEWORK = os.environ.get("BNAO_FRAMEWORK")
FRAMEWORKS = ("torch", "keras", "tensorflow", "jax")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_bnao_and_its_command_line_loads_nothing_heavy():
    # whatever is asked for of it
    code = "import bnao, bnao.cli, sys; [getattr(bnao, name) for name in bnao.__all__]; "
    loaded = python(code + "print(*(name.partition('.')[0] for name in sys.modules))").split()

    assert "numpy" in loaded
    heavy = {*FRAMEWORKS, "matplotlib", "scipy", "PIL", "rich", "pooch", "safetensors", "hypothesis", "pytest"}
    assert heavy.isdisjoint(loaded)


def test_help_is_shown_without_loading_a_framework():
    code = (
        "import sys\n"
        f"for name in {FRAMEWORKS}: sys.modules[name] = None  # an import of it now fails\n"
        "sys.argv = ['bnao', '--help']\n"
        "from bnao.cli import main\n"
        "main()\n"
    )

    shown = python(code)

    for command in ("search", "evaluate", "show", "backends"):
        assert command in shown


@pytest.mark.skipif(FRAMEWORK != "none", reason="for the environment without a framework (tox -e core)")
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_framework_is_installed_where_the_core_is_tested_alone(framework):
    assert importlib.util.find_spec(framework) is None


@pytest.mark.skipif(FRAMEWORK in (None, "none"), reason="for an environment with a framework (tox -e torch)")
def test_the_framework_is_installed_where_its_adapter_is_tested():
    assert importlib.util.find_spec(FRAMEWORK) is not None


@pytest.mark.parametrize("name", bnao.__all__)
def test_each_public_name_is_there(name):
    assert getattr(bnao, name) is not None


def test_public_names_are_sorted_and_no_other_is_public():
    modules = {path.stem for path in MODULES} | {path.parent.name for path in MODULES}
    public = {name for name in vars(bnao) if not name.startswith("_")} - modules

    assert public <= set(bnao.__all__)
    assert len(set(bnao.__all__)) == len(bnao.__all__)


def test_public_names_are_loaded_from_where_type_checkers_are_told():
    told = {}
    for block in ast.parse((ROOT / "bnao" / "__init__.py").read_text()).body:
        if isinstance(block, ast.If):
            for line in block.body:
                told |= {each.asname or each.name: (line.module, each.name) for each in line.names}

    assert set(told) == set(bnao.__all__) - {"__version__"}
    for name, (module, own) in told.items():
        assert getattr(bnao, name) is getattr(importlib.import_module(module), own), name


def test_importing_bnao_loads_nothing_until_it_is_asked_for():
    code = "import sys, bnao; print(*sorted(name for name in sys.modules if name.startswith(('bnao', 'numpy'))))"

    assert python(code).split() == ["bnao", "bnao.version"]
    with pytest.raises(AttributeError, match="module 'bnao' has no attribute 'sarch'"):
        _ = bnao.sarch
    assert bnao.metrics.kendall_tau is bnao.kendall_tau


def test_every_public_object_has_a_docstring():
    for name in set(bnao.__all__) - {"__version__", "SPACES"}:
        assert (getattr(bnao, name).__doc__ or "").strip(), name


def test_the_version_is_the_installed_distributions():
    assert bnao.__version__ == importlib.metadata.version("bnao")


def test_type_hints_are_published():
    assert (ROOT / "bnao" / "py.typed").is_file()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_with_a_sentence_and_is_at_most_500_lines(module):
    text = module.read_text(encoding="utf-8")

    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert docstring.splitlines()[0].rstrip().endswith((".", ":")) or "\n" in docstring
    assert len(text.splitlines()) <= 500


def test_no_pickle_is_read_anywhere():
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None)]
                assert not {"pickle", "cloudpickle", "dill", "joblib", "shelve"} & set(names), module
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), module
                assert node.value.value is False, module
