"""Names of folders that are made where none is given."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


def dated_folder(name: str) -> Path:
    """Return a folder under runs/ that does not exist yet; <when> in its name becomes the time."""
    first = Path("runs") / name.replace("<when>", f"{datetime.now():%Y%m%d-%H%M%S}")
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder
