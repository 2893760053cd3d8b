"""``bnao check``: every file of a folder read and verified."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bnao.cli.reports import table
from bnao.verification import Verified, verify


@click.command("check")
@click.argument("folder", metavar="RUN|EVALUATION|STUDY", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def command(context: click.Context, folder: Path, as_json: bool) -> None:
    """Read and verify every file in the folder of a search, an evaluation or a study.

    Files that are damaged, missing or foreign (bnao writes no such file) are named, and the exit code is 1 if there is
    any. Each file that bnao writes holds a checksum of its own bytes, so that a single changed bit is found. Nothing in
    the folder is changed. A store of stand-alone trainings (--store) can be checked too.
    """
    found = verify(folder)
    if as_json:
        click.echo(json.dumps({"format": 1, "folder": str(folder), **found.to_json()}))
    else:
        click.echo("\n".join(_lines(folder, found)))
    context.exit(1 if found.findings else 0)


def _lines(folder: Path, found: Verified) -> list[str]:
    rows = [[each.state, each.file, each.reason] for each in found.findings]
    lines = [*table(["state", "file", "reason"], rows, left=["state", "file", "reason"]), ""] if rows else []
    if found.without_checksum:
        lines.append(
            f"{len(found.without_checksum)} files are of an earlier version, without checksum: a changed digit in them "
            f"is not noticed; the first is {found.without_checksum[0]}"
        )
    wrong = f"{len(rows)} not as bnao left them" if rows else "nothing damaged, missing or foreign"
    kind = found.kind if found.finished else f"{found.kind}, not finished"
    return [*lines, f"{folder} ({kind}): {found.files} files are whole; {wrong}"]
