"""What the studies' commands share: their folder, their options, their file and pictures."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import bnao
from bnao import plots
from bnao.cli.folders import ABOUT, About, keep_about
from bnao.cli.stopping import going_on
from bnao.errors import RunError
from bnao.run import CONFIG, Run, check_is_free, check_same_settings, read_json, understanding
from bnao.settings import to_settings
from bnao.study import RESULT

log = logging.getLogger("bnao.cli")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def study_options() -> Decorator:
    """The options ``--out``, ``--pictures``, ``--json`` and ``--quiet``."""
    decorators = (
        click.option(
            "--out", type=click.Path(path_type=Path),
            help="Folder of the study; one of the same settings is gone on with.  [default: runs/study-<date>-<time>]",
        ),
        click.option(
            "--pictures", type=click.Choice(plots.FORMATS), default="svg", show_default=True, help="Their format."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print study.json."),
        click.option("--quiet", is_flag=True, help="No progress, only warnings and the result."),
    )  # fmt: skip

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


@contextmanager
def study_folder(folder: Path, config: object, facts: About | None = None) -> Iterator[Run]:
    """The folder of a study, made or gone on with; being stopped within says how to go on.

    Raises:
        RunError: it holds something else, or a study of other settings or data.
    """
    known = (folder / CONFIG).is_file()
    if known:
        check_same_settings(folder, config)
    else:
        check_is_free(folder)
    with Run.open(folder) if known else Run.create(folder, config) as run:
        if facts is not None:
            keep_about(run, facts)
        log.info("folder: %s", folder)
        with going_on(f"the same command with --out {shlex.quote(str(folder))}"):
            yield run


# settings that name files: study.json, which is made to be shown, tells their names and not where they are
_FILES = ("truth", "table", "tables", "among", "data", "data_dir")


def keep_study(run: Run, content: Mapping[str, Any], config: object, **about: Any) -> None:
    """Write study.json: what was found, the data, the settings and the versions."""
    versions = run.read_json(ABOUT)["versions"] if run.has(ABOUT) else {"bnao": bnao.__version__}
    run.write_json(RESULT, {**content, **about, "config": _without_folders(to_settings(config)), "versions": versions})


def _without_folders(settings: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            value = _without_folders(value)
        elif name in _FILES and isinstance(value, str):
            value = ",".join(Path(part).name for part in value.split(","))
        named[name] = value
    return named


def drawn_study(folder: Path, kind: str) -> list[Path]:
    """The pictures of the study in a folder; none, and a line that says why, where matplotlib is absent."""
    if not plots.can_draw():
        log.warning("no pictures: %s, then: bnao study draw %s", plots.HINT, shlex.quote(str(folder)))
        return []
    content = read_json(folder / RESULT)
    with understanding(folder / RESULT):
        figures = plots.figures_of(content)
    return plots.save(figures, folder, kind)


def folder_line(folder: Path, drawn: list[Path]) -> str:
    """Where everything is."""
    return f"folder: {folder}  ({', '.join([RESULT, *(path.name for path in drawn)])})"


def required(path: str | None, option: str) -> Path:
    """The file of an option that must be given.

    Raises:
        click.UsageError: it was not.
    """
    if path is None:
        raise click.UsageError(f"name a CSV file with {option}")
    return Path(path)


def print_file(folder: Path) -> None:
    """study.json as it is."""
    try:
        click.echo((folder / RESULT).read_text(encoding="utf-8"), nl=False)
    except OSError as error:
        raise RunError(f"cannot read {folder / RESULT}: {error.strerror}") from None
