"""``bnao backends``: what is installed, and the command that installs what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

from bnao.backends import available, hint, load
from bnao.cli.reports import table
from bnao.errors import BnaoError

# importing a framework for the first time may be slow, but not so slow
_SECONDS = 120

# each backend is asked in a process of its own: frameworks do not always bear one another
_ASK = "import sys; from bnao.cli.commands.backends import answer; answer(sys.argv[1])"


@click.command("backends")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with a list of all backends.")
def command(as_json: bool) -> None:
    """List the backends: installed ones with versions and devices, others with the command that installs them."""
    found = ask(available())
    if as_json:
        click.echo(json.dumps({"format": 1, "backends": found}))
        return
    rows = []
    for entry in found:
        versions = ", ".join(f"{package} {version}" for package, version in entry["versions"].items())
        row = [entry["name"], "yes" if entry["installed"] else "no", versions, ", ".join(entry["devices"])]
        rows.append([*(cell or "-" for cell in row), entry["install"] or ""])
    reasons = [f"{entry['name']}: {entry['error']}" for entry in found if entry["error"]]
    heads = ["backend", "installed", "versions", "devices", "to install"]
    click.echo("\n".join([*table(heads, rows, left=heads), *reasons]))


def ask(names: list[str]) -> list[dict[str, Any]]:
    """Return each backend's own description, in the order given."""
    ask_of = [sys.executable, "-P", "-c", _ASK]
    pipe = subprocess.PIPE
    asked = [subprocess.Popen([*ask_of, name], stdout=pipe, stderr=pipe, text=True) for name in names]
    return [_answered(name, process) for name, process in zip(names, asked, strict=True)]


def _answered(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=_SECONDS)
        said: dict[str, Any] = json.loads(out.splitlines()[-1])
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        said = {"error": f"no answer in {_SECONDS} seconds"}
    except (IndexError, ValueError):
        said = {"error": (err.strip().splitlines() or ["no answer"])[-1]}
    installed = "error" not in said
    return {
        "name": name,
        "installed": installed,
        "versions": said.get("versions", {}),
        "devices": said.get("devices", []),
        "install": None if installed else hint(name),
        "error": said.get("error"),
    }


def answer(name: str) -> None:
    """Print what a backend says of itself as JSON on the last line of stdout."""
    try:
        backend = load(name)
        said: dict[str, Any] = {"versions": backend.versions(), "devices": backend.devices()}
    except BnaoError as error:
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
