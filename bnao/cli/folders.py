"""The folders that commands work in: their names, and what they say of the data and versions they began with."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import bnao
from bnao.config.settings import MachineConfig
from bnao.data.dataset import LabelledImages
from bnao.errors import DataError, RunError
from bnao.protocols import Backend
from bnao.run import Run, understanding

log = logging.getLogger("bnao.cli")

#: what a folder says of the machine and the data it was started with
ABOUT = "run.json"

About = Mapping[str, Any]


def dated_folder(name: str) -> Path:
    """Return a folder under runs/ that does not exist yet; <when> in its name becomes the time."""
    first = Path("runs") / name.replace("<when>", f"{datetime.now():%Y%m%d-%H%M%S}")
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


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
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {error.strerror}") from None
    return {"fingerprint": hashlib.blake2b(content, digest_size=16).hexdigest(), "description": f"table {path}"}


def about(data: About, machine: MachineConfig, used: Sequence[Backend]) -> About:
    """Return the data, the machine, and the versions of all that computes."""
    versions = {"bnao": bnao.__version__, "python": platform.python_version(), "numpy": np.__version__}
    for backend in used:
        versions |= backend.versions()
    return {"data": data, "versions": versions, "threads": machine.threads, "cpus": os.cpu_count()}


def check_same_data(folder: Path, before: About, new: About) -> None:
    """Raise RunError if the data are not those that a folder was started with."""
    with understanding(folder / ABOUT):
        old = before["data"]
        if old["fingerprint"] != new["fingerprint"]:
            raise RunError(
                f"{folder} was started with other data: {old['description']}, fingerprint {old['fingerprint']}; "
                f"now it is {new['description']}, fingerprint {new['fingerprint']}. Bring back the first data, or "
                f"start in another folder"
            )


def keep_about(run: Run, now: About) -> None:
    """Write down what a folder begins with; where that was done before, compare.

    Other versions or CPUs are worth a warning.

    Raises:
        RunError: the data are not those that the folder was started with.
    """
    if not run.has(ABOUT):
        run.write_json(ABOUT, now)
        return
    before = run.read_json(ABOUT)
    check_same_data(run.folder, before, now["data"])
    with understanding(run.folder / ABOUT):
        changed = [
            f"{name} was {before['versions'].get(name, 'absent')} and is {version}"
            for name, version in now["versions"].items()
            if before["versions"].get(name) != version
        ]
        if now["threads"] is None and before["cpus"] != now["cpus"]:
            changed.append(f"there were {before['cpus']} CPUs and are {now['cpus']}")
    if changed:
        log.warning("warning: %s; results may differ in their last bits", ", ".join(changed))
