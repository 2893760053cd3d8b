"""Shared parts of the studies' commands: their folder, options, file and pictures."""

from __future__ import annotations

import contextlib
import functools
import logging
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from bnao.cli.folders import dated_folder
from bnao.cli.options import Decorator, all_of
from bnao.cli.progress import following, telling
from bnao.cli.reports import Spent
from bnao.cli.stopping import going_on
from bnao.errors import BnaoError
from bnao.provenance import ABOUT
from bnao.run import CONFIG, LOCK, Run, check_takes
from bnao.studies import plots
from bnao.studies.ranking import POOL, RESULT
from bnao.studies.tables import PreparedStudy, TableStudyConfig, prepare_study

log = logging.getLogger("bnao.cli")

S = TypeVar("S")


def study_options(kind: str = "study", *, pictures: bool = True) -> Decorator:
    """Return the options ``--out``, ``--pictures``, ``--json`` and ``--quiet``; the command gets one ``Output``.

    Args:
        kind: what a folder is named after where none is given.
        pictures: whether the study has any; without, there is no option for them.
    """
    formats = click.option(
        "--pictures", type=click.Choice(plots.FORMATS), default="svg", show_default=True, help="Format of the pictures."
    )

    def with_output(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(
            *args: Any, out: Path | None, as_json: bool, quiet: bool, pictures: str | None = None, **others: Any
        ) -> Any:
            folder = dated_folder(f"{kind}-<when>") if out is None else out
            return function(*args, output=Output(folder, pictures, as_json, quiet), **others)

        return wrapped

    return all_of(
        click.option(
            "--out", type=click.Path(path_type=Path),
            help="Folder of the study; a study with the same settings is resumed.  "
            f"[default: runs/{kind}-<date>-<time>]",
        ),
        *([formats] if pictures else []),
        click.option("--json", "as_json", is_flag=True, help="Print study.json."),
        click.option("--quiet", is_flag=True, help="Hide the progress; show only warnings and the result."),
        with_output,
    )  # fmt: skip


@frozen
class Output:
    """Output of a study: its folder, pictures and report.

    Attributes:
        folder: of the study.
        pictures: their format; None: a study that has none.
        as_json: whether study.json is printed in place of the report.
        quiet: whether progress is left out.
    """

    folder: Path
    pictures: str | None
    as_json: bool
    quiet: bool

    def told(self, study: Callable[[], S], report: Callable[[S], list[str]]) -> None:
        """Make a study, draw its pictures and print what it found.

        Args:
            study: makes it, and its file in the folder.
            report: its lines for people.
        """
        start = time.monotonic()
        with telling(self.quiet):
            found = study()
            spent = Spent.since(start)
            drawn = [] if self.pictures is None else _drawn(found, self.folder, self.pictures)
        if self.as_json:
            click.echo((self.folder / RESULT).read_text(encoding="utf-8"), nl=False)
            return
        files = ", ".join([RESULT, *(path.name for path in drawn)])
        lines = ["", *report(found), "", spent.line(), f"folder: {self.folder}  ({files})"]
        click.echo("\n".join(lines))


@contextmanager
def study_folder(folder: Path, config: object) -> Iterator[Run]:
    """Yield the folder of a study, made or resumed; an interruption within prints how to resume.

    Raises:
        RunError: it holds something else, or a study of other settings or data.
    """
    known = check_takes(folder, config)
    try:
        with Run.join(folder, config) as run:
            known = known or not run.holds_lock  # another process works there
            log.info("folder: %s", folder)
            with going_on(f"the same command with --out {shlex.quote(str(folder))}"):
                yield run
    except BnaoError:
        if not known:
            _remove_if_nothing_was_done(folder)
        raise


def _remove_if_nothing_was_done(folder: Path) -> None:
    """Free a new folder for other settings, if what was refused was refused at once."""
    begun = {CONFIG, ABOUT, LOCK, POOL}
    with contextlib.suppress(OSError):
        entries = list(folder.iterdir())
        for within in (entry for entry in entries if entry.is_dir()):  # the folders of sets
            _remove_if_nothing_was_done(within)
        if all(entry.name in begun or not entry.exists() for entry in entries):
            for name in begun:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def _drawn(study: Any, folder: Path, kind: str) -> list[Path]:
    """Draw a study's pictures in its folder; without matplotlib log how to install it, and draw none."""
    if not plots.can_draw():
        log.warning("no pictures: %s, then: bnao study draw %s", plots.HINT, shlex.quote(str(folder)))
        return []
    return plots.save(plots.figures_of(study), folder, kind)


def table_study(config: TableStudyConfig, folder: Path) -> Any:
    """Make a study of tables in its folder, and show where it stands."""
    prepared: PreparedStudy[Any] = prepare_study(config)
    with study_folder(folder, config) as run, following("study") as listen:
        return prepared.study(run, listen)


def required(path: str | None, option: str) -> None:
    """Refuse a command without the file of an option that must be given.

    Raises:
        click.UsageError: it was not.
    """
    if path is None:
        raise click.UsageError(f"name a CSV file with {option}")
