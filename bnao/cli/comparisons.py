"""A comparison of search methods in its folder: the work of ``bnao stability`` and ``bnao study strategies``."""

from __future__ import annotations

from pathlib import Path

from bnao.cli.progress import following
from bnao.cli.studies import study_folder
from bnao.config.stability import StabilityConfig
from bnao.events import EndsOnce
from bnao.provenance import STUDY
from bnao.stability import StabilityStudy, check_stability, read_stability, stability_ahead, study_stability


def compared(config: StabilityConfig, folder: Path, workers: str) -> StabilityStudy:
    """Search by all methods and judge what they found, and show where it stands; what is finished is read.

    Args:
        config: all settings.
        folder: new, or of a comparison with these settings.
        workers: trainings at once.
    """
    if not (folder / STUDY).is_file():
        check_stability(config)
    with study_folder(folder, config) as run:
        found = read_stability(run)
        if found is None:
            with following("stability") as listen:
                once = EndsOnce(listen)
                stability_ahead(config, run, workers=workers, listen=once)
                found = study_stability(config, run, once)
    return found
