"""Trainings of a ranking study, stand-alone and of supernets, done ahead by several workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao import backends
from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.events import Event, Listener
from bnao.network.size import SIZES
from bnao.parallel.engines import Workers
from bnao.parallel.jobs import Unit
from bnao.parallel.workers import work_ahead
from bnao.run import Folder
from bnao.space.genotype import Genotype
from bnao.studies.genotypes import ranked_genotypes, trained_genotypes
from bnao.studies.plan import study_plan
from bnao.studies.supernets import supernet_trainings
from bnao.studies.units import study_units


@frozen(eq=False)
class StudyWork:
    """The trainings of a ranking study; see ``bnao.study_ranking`` for what the attributes are.

    Attributes:
        whole: None: the truth is known.
        known: genotypes of a known truth; None without one.
        given: those that are ranked; None: they are chosen.
        folder: of the study.
        store: of stand-alone trainings; None: none are made.
    """

    config: StudyConfig
    backend: str
    dataset: Dataset
    whole: Dataset | None
    known: tuple[Genotype, ...] | None
    given: tuple[Genotype, ...] | None
    folder: Path
    store: Path | None

    def units(self, tell: Callable[[Event], None]) -> list[Unit]:
        """Return a unit a training, in the order in which a study makes them."""
        config, backend = self.config, backends.load(self.backend)
        network = self.dataset.network(config.network)

        def sizes_of(some: Sequence[Genotype]) -> NDArray[np.float64]:
            return SIZES[config.size](some, network).astype(np.float64)

        def told(kind: str, **values: Any) -> None:
            tell({"event": kind, **values})

        ranked = ranked_genotypes(config, self.given, self.known, sizes_of)
        trained = trained_genotypes(config, ranked, self.known)
        folder, store = Folder(self.folder), None if self.store is None else Folder(self.store)
        supernets = supernet_trainings(
            config, ranked, trained, sizes_of(trained), backend, self.dataset, folder, told
        )  # fmt: skip
        return study_units(supernets, config, ranked, backend, self.dataset, self.whole, folder, store, told)


def study_ahead(
    config: StudyConfig,
    backend: str,
    dataset: Dataset,
    whole: Dataset | None = None,
    *,
    truth: Mapping[Genotype, object] | None = None,
    genotypes: Sequence[Genotype] | None = None,
    folder: Path,
    store: Folder | None = None,
    workers: int | str,
    listen: Listener = lambda event: None,
) -> None:
    """Train by several workers what a study needs, so that ``bnao.study_ranking`` with the same arguments finds it.

    Args:
        config, dataset, whole, truth, genotypes, store: as for ``bnao.study_ranking``.
        backend: its name.
        folder: of the study.
        workers: as for ``bnao study ranking --workers``: how many processes, or ``ray``, ``ray://HOST:PORT``,
            ``dask``, ``dask://HOST:PORT``.
        listen: is called with the events of all of them, but for steps; they are in the study's log too.
            In ``bnao.events.EndsOnce``, it may be given to ``bnao.study_ranking`` besides.

    Raises:
        BnaoError: as ``bnao.study_ranking``; or no workers are where they are said to be.
    """
    chosen = Workers.parse(workers)
    if chosen.alone:
        return
    known = None if truth is None else tuple(truth)
    given = None if genotypes is None else tuple(genotypes)
    work = StudyWork(
        config, backend, dataset, whole if truth is None else None, known, given, folder,
        None if store is None else store.folder,
    )  # fmt: skip
    ranked = config.genotypes if given is None else len(set(given))
    listen(study_plan(config, ranked, dataset, work.whole))
    work_ahead(work, chosen, listen, config.machine)
