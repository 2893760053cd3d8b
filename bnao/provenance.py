"""Origin of a run's folder: the data, machine and versions it began with; and the file of a study.

A folder that was begun with other data is not resumed; other versions or CPUs are worth a warning.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnao.config.fields import to_settings
from bnao.config.settings import MachineConfig
from bnao.data.dataset import LabelledImages
from bnao.errors import DataError, RunError
from bnao.files import MOST_TABLE, read_regular
from bnao.protocols import Backend
from bnao.run import Run, understanding
from bnao.version import VERSION

log = logging.getLogger("bnao")

#: the file that says with what data, machine and versions a folder was begun
ABOUT = "run.json"

#: the file of a finished study
STUDY = "study.json"

#: the file of an evaluation
EVALUATION = "evaluation.json"

About = Mapping[str, Any]


def about_images(dataset: LabelledImages) -> About:
    """Return what identifies these images, and the names of their classes."""
    return {
        "fingerprint": dataset.fingerprint,
        "description": dataset.describe(),
        "class_names": list(dataset.class_names),
    }


def about_table(path: Path) -> About:
    """Return what identifies this table.

    Raises:
        DataError: it cannot be read.
    """
    try:
        content = read_regular(path, MOST_TABLE)
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {error.strerror}") from None
    return {"fingerprint": hashlib.blake2b(content, digest_size=16).hexdigest(), "description": f"table {path}"}


def origin(data: About | None, machine: MachineConfig, used: Sequence[Backend] = ()) -> About:
    """Return what a folder says of its origin: the data, the machine, and the versions of all that computes.

    Args:
        data: of ``about_images`` or ``about_table``; None where it is not known.
        machine: the settings of the machine.
        used: the backends that compute.

    >>> found = origin(None, MachineConfig())
    >>> sorted(found), sorted(found["versions"])
    (['cpus', 'data', 'threads', 'versions'], ['bnao', 'numpy', 'python'])
    """
    versions = {"bnao": VERSION, "python": platform.python_version(), "numpy": np.__version__}
    for backend in used:
        versions |= backend.versions()
    return {"data": data, "versions": versions, "threads": machine.threads, "cpus": os.cpu_count()}


def check_same_data(folder: Path, before: About, new: About) -> None:
    """Raise RunError if the data are not those that a folder was begun with.

    Args:
        folder: the folder.
        before: its run.json; one without data matches any.
        new: what identifies the present data.
    """
    with understanding(folder / ABOUT):
        old = before["data"]
        if old is not None and old["fingerprint"] != new["fingerprint"]:
            raise RunError(
                f"{folder} was started with other data: {old['description']}, fingerprint {old['fingerprint']}; "
                f"now it is {new['description']}, fingerprint {new['fingerprint']}. Bring back the first data, or "
                f"start in another folder"
            )


def keep_about(run: Run, now: About) -> None:
    """Write run.json, or compare with the one that is there.

    Warns of other versions and, where their number decides the threads, of other CPUs.

    Raises:
        RunError: the data are not those that the folder was begun with.
    """
    if not run.has(ABOUT):
        run.write_json(ABOUT, now)
        return
    before = run.read_json(ABOUT)
    if now["data"] is not None:
        check_same_data(run.folder, before, now["data"])
    with understanding(run.folder / ABOUT):
        changed = [
            f"{name} was {before['versions'].get(name, 'absent')} and is {version}"
            for name, version in now["versions"].items()
            if before["versions"].get(name) != version
        ]
        if now["threads"] is None and before["cpus"] != now["cpus"]:
            changed.append(f"there were {before['cpus']} CPUs and are {now['cpus']}")
        if before.get("ranks", 1) != now.get("ranks", 1):
            changed.append(f"there were {before.get('ranks', 1)} ranks and are {now.get('ranks', 1)}")
    if changed:
        log.warning("warning: %s; results may differ in their last bits", ", ".join(changed))


# settings that name files: study.json, which is made to be published, has their names without folders
_FILES = ("truth", "table", "tables", "among", "data", "data_dir")


def keep_study(run: Run, content: Mapping[str, Any], config: object, *, data: str) -> None:
    """Write study.json.

    Args:
        run: the study's folder; the versions are those that its run.json tells.
        content: what was found, of the study's ``to_json``.
        config: the study's settings.
        data: describes what it was made on.
    """
    versions = run.read_json(ABOUT)["versions"] if run.has(ABOUT) else {"bnao": VERSION}
    settings = _without_folders(to_settings(config))
    run.write_json(STUDY, {**content, "data": data, "config": settings, "versions": versions})


def _without_folders(settings: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            value = _without_folders(value)
        elif name in _FILES and isinstance(value, list):
            value = [Path(each).name for each in value]
        elif name in _FILES and isinstance(value, str):
            value = Path(value).name
        named[name] = value
    return named
