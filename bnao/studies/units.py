"""The trainings of a ranking study as units of work, which processes share."""

from __future__ import annotations

from collections.abc import Sequence

from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.parallel.jobs import Unit
from bnao.protocols import Backend
from bnao.run import Folder
from bnao.space.genotype import Genotype
from bnao.studies.supernets import SupernetTraining
from bnao.studies.truth import Tell, short_jobs, truth_jobs


def study_units(
    supernets: Sequence[SupernetTraining],
    config: StudyConfig,
    ranked: Sequence[Genotype],
    backend: Backend,
    dataset: Dataset,
    whole: Dataset | None,
    folder: Folder | None,
    store: Folder | None,
    tell: Tell,
) -> list[Unit]:
    """Return a unit a training whose result is kept, in the order in which a study makes them.

    Args:
        supernets: their trainings.
        config, backend, dataset, tell: as for these.
        ranked: the genotypes that are trained alone.
        whole: what they are trained on; None: their truth is known.
        folder: of the supernets; None: they are not kept.
        store: of stand-alone trainings; None: these are not kept.
    """
    units: list[Unit] = []
    if store is not None and whole is not None:
        units += [job.unit(store) for job in truth_jobs(config, ranked, backend, whole, store, tell)]
    if folder is not None:
        units += [training.job().unit(folder) for training in supernets]
    if store is not None:
        units += [job.unit(store) for job in short_jobs(config, ranked, backend, dataset, store, tell)]
    return units
