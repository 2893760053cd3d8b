"""Commands run in this process, in a working folder of their own; import the fixture where that is wanted."""

import os
import pathlib

import pretend_backend
import pytest
from click.testing import CliRunner

from bnao.cli import main

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty working folder, and somebody's distribution with two more backends beside bnao."""
    site = tmp_path / "site"
    (site / "pretend-1.0.dist-info").mkdir(parents=True)
    (site / "pretend-1.0.dist-info" / "entry_points.txt").write_text(pretend_backend.ENTRY_POINTS)
    (site / "pretend-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pretend\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    paths = [str(site), str(HERE), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def bnao(*arguments, **settings):
    """Run a command in this process; the result has exit_code, stdout and stderr."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], **settings)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
