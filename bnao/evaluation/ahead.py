"""Stand-alone trainings of an evaluation, done ahead by several workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from attrs import frozen

from bnao import backends
from bnao.config.evaluation import EvaluateConfig
from bnao.data.dataset import LabelledImages
from bnao.evaluation.sizing import ONE_SPACE, Spaces
from bnao.evaluation.trainings import evaluation_plan, planned_trainings, tell_at
from bnao.events import Event, Listener
from bnao.network.mobile import Trainable
from bnao.parallel.engines import Workers
from bnao.parallel.jobs import Unit
from bnao.parallel.workers import work_ahead
from bnao.run import Folder, Run


@frozen(eq=False)
class EvaluationWork:
    """The trainings of an evaluation; see ``bnao.evaluate`` for what the attributes are."""

    genotypes: tuple[Trainable, ...]
    config: EvaluateConfig
    backend: str
    dataset: LabelledImages
    folder: Path
    spaces: Spaces

    def units(self, tell: Callable[[Event], None]) -> list[Unit]:
        """Return a unit a training, in the order in which an evaluation makes them."""
        folder = Folder(self.folder)
        planned = planned_trainings(
            self.genotypes, self.config, backends.load(self.backend), self.dataset, folder, self.spaces
        )
        return [training.job(partial(tell_at, tell, place)).unit(folder) for place, training in planned]


def train_ahead(
    genotypes: Sequence[Trainable],
    config: EvaluateConfig,
    backend: str,
    dataset: LabelledImages,
    run: Run,
    *,
    workers: int | str,
    spaces: Spaces = ONE_SPACE,
    listen: Listener = lambda event: None,
) -> None:
    """Train genotypes by several workers, so that ``bnao.evaluate`` with the same arguments finds them trained.

    Args:
        genotypes, config, dataset, run, spaces: as for ``bnao.evaluate``.
        backend: its name.
        workers: as for ``bnao evaluate --workers``: how many processes, or ``ray``, ``ray://HOST:PORT``, ``dask``,
            ``dask://HOST:PORT``.
        listen: is called with the events of all trainings, but for steps; they are in the run's log too.
            In ``bnao.events.EndsOnce``, it may be given to ``bnao.evaluate`` besides.

    Raises:
        BnaoError: as ``bnao.evaluate``; or no workers are where they are said to be.
    """
    chosen = Workers.parse(workers)
    if chosen.alone:
        return
    plan = evaluation_plan(len(genotypes), config, dataset)
    run.keep_plan(plan)
    listen(plan)
    work = EvaluationWork(tuple(genotypes), config, backend, dataset, run.folder, dict(spaces))
    work_ahead(work, chosen, listen, config.machine)
