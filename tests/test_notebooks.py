"""The notebooks run from top to bottom, each in a process of its own, on settings that are small."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "notebooks"

#: what stands in for the values of the cell tagged "parameters"; a notebook's framework is what it needs
SMALL = {
    "first_search": "rounds, pool, new, epochs, controller_epochs, train_images, alone_epochs = 2, 4, 2, 1, 2, 256, 1",
    "keras_sampler": "epochs, alone_epochs, judged, train_images = 1, 1, 2, 256",
    "ranking_study": "genotypes, repeats, seeds, alone_epochs, train_images = 3, 1, 1, 1, 256",
}
FRAMEWORK = {"first_search": "torch", "keras_sampler": "keras", "ranking_study": "torch"}


def cells_of(name):
    """The cells of a notebook: kind, tags, source."""
    content = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [(each["cell_type"], each["metadata"].get("tags", []), "".join(each["source"])) for each in content["cells"]]


def program_of(name, small):
    """The code of a notebook with its parameters replaced; only names that it sets itself can be replaced."""
    parts = []
    for kind, tags, source in cells_of(name):
        if kind == "code":
            parts.append(source)
            if "parameters" in tags:
                set_there, replaced = {}, {}
                exec(source, set_there)
                exec(small, replaced)
                assert set(replaced) == set(set_there)
                parts.append(small)
    return "\n".join(parts)


def test_each_notebook_is_run_here():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_is_stored_without_outputs_and_begins_with_a_title(name):
    content = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))

    assert cells_of(name)[0][2].startswith("# ")
    assert [tags for _, tags, _ in cells_of(name)].count(["parameters"]) == 1
    for cell in content["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
    needed = FRAMEWORK[name]
    if os.environ.get("BNAO_FRAMEWORK", needed) != needed or importlib.util.find_spec(needed) is None:
        pytest.skip(f"is run where {needed} is tested")

    done = subprocess.run(
        [sys.executable, "-c", program_of(name, SMALL[name])],
        cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = {"first_search": "test error,", "keras_sampler": "best.keras: ", "ranking_study": "Kendall's tau"}
    assert said[name] in done.stdout
    assert not any(tmp_path.iterdir())
