"""Trainings of a ranking study, stand-alone and of supernets, done ahead by several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao import backends
from bnao.config.arms import PlannedSupernet
from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.events import Event, Listener
from bnao.network.size import SIZES
from bnao.processes import Unit, work_ahead
from bnao.protocols import Backend
from bnao.run import Folder
from bnao.space.genotype import Genotype
from bnao.studies.genotypes import ranked_genotypes, trained_genotypes
from bnao.studies.supernets import file_name, is_scored, trained_supernet
from bnao.studies.truth import short_jobs, truth_jobs


@frozen
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
        sizes, folder = sizes_of(trained), Folder(self.folder)
        alone: list[Unit] = []
        short: list[Unit] = []
        if self.store is not None:
            store = Folder(self.store)
            for jobs, units in (
                (truth_jobs(config, ranked, backend, self.whole, store, told) if self.whole is not None else (), alone),
                (short_jobs(config, ranked, backend, self.dataset, store, told), short),
            ):
                for job in jobs:
                    done, make = partial(job.is_done, store), partial(job.result, store)
                    units.append(Unit(job.name.removesuffix(".json"), store, done, make))
        supernets = [
            self._supernet(planned, ranked, trained, sizes, backend, folder, told) for planned in config.supernets
        ]
        return list(chain(alone, supernets, short))

    def _supernet(
        self,
        planned: PlannedSupernet,
        ranked: Sequence[Genotype],
        trained: Sequence[Genotype],
        sizes: NDArray[np.float64],
        backend: Backend,
        folder: Folder,
        told: Callable[..., None],
    ) -> Unit:
        config = self.config
        return Unit(
            file_name(config, planned),
            folder,
            lambda: is_scored(config, planned, folder, len(ranked)),
            lambda: trained_supernet(config, planned, ranked, trained, sizes, backend, self.dataset, folder, told),
        )


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
    processes: int,
    listen: Listener = lambda event: None,
) -> None:
    """Train in several processes what a study needs, so that ``bnao.study_ranking`` with the same arguments finds it.

    Args:
        config, dataset, whole, truth, genotypes, store: as for ``bnao.study_ranking``.
        backend: its name.
        folder: of the study.
        processes: how many at once.
        listen: is called with events of all of them, without steps.

    Raises:
        BnaoError: as ``bnao.study_ranking``.
    """
    known = None if truth is None else tuple(truth)
    given = None if genotypes is None else tuple(genotypes)
    work = StudyWork(
        config, backend, dataset, whole if truth is None else None, known, given, folder,
        None if store is None else store.folder,
    )  # fmt: skip
    work_ahead(work, processes, listen, threads=config.machine.threads)
