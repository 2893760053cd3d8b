"""Stand-alone trainings of an evaluation, done ahead by several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from bnao import backends
from bnao.config.evaluation import EvaluateConfig
from bnao.data.dataset import LabelledImages
from bnao.evaluation.sizing import ONE_SPACE, Spaces, sized
from bnao.evaluation.trainings import training_of
from bnao.events import Event, Listener
from bnao.network.mobile import Trainable
from bnao.processes import Unit, work_ahead
from bnao.run import Folder, Run
from bnao.space.genotype import Genotype
from bnao.strategies.inheritance import SupernetWeights


@frozen
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
        config, folder = self.config, Folder(self.folder)
        backend, whole = backends.load(self.backend), self.dataset.joined()
        supernet = None if config.from_supernet is None else SupernetWeights.of(config.from_supernet, config.network)
        units = []
        for index, (genotype, own) in enumerate(
            zip(self.genotypes, sized(config, self.genotypes, self.dataset, self.spaces), strict=True)
        ):
            start = None
            if supernet is not None and isinstance(genotype, Genotype):
                start = supernet.inherited(genotype, self.dataset.network(own.network))
            for repeat in range(config.repeats):
                place = {"genotype": index + 1, "of": len(self.genotypes), "repeat": repeat + 1}
                training = training_of(genotype, config, own, backend, whole, repeat=repeat, folder=folder, start=start)

                def tell_place(kind: str, place: dict[str, int] = place, **values: object) -> None:
                    tell({"event": kind, **place, **values})

                job = training.job(tell_place)
                units.append(_unit(training.name, job.is_done, job.result, folder))
        return units


def _unit(name: str, is_done: Callable[[Folder], bool], compute: Callable[[Folder], object], folder: Folder) -> Unit:
    return Unit(name, folder, lambda: is_done(folder), lambda: compute(folder))


def train_ahead(
    genotypes: Sequence[Trainable],
    config: EvaluateConfig,
    backend: str,
    dataset: LabelledImages,
    run: Run,
    *,
    processes: int,
    spaces: Spaces = ONE_SPACE,
    listen: Listener = lambda event: None,
) -> None:
    """Train genotypes in several processes, so that ``bnao.evaluate`` with the same arguments finds them trained.

    Args:
        genotypes, config, dataset, run, spaces: as for ``bnao.evaluate``.
        backend: its name.
        processes: how many at once.
        listen: is called with an event an epoch, of any training; they are in the run's log too.

    Raises:
        BnaoError: as ``bnao.evaluate``.
    """

    def tell(event: Event) -> None:
        run.log(event)
        listen(event)

    work = EvaluationWork(tuple(genotypes), config, backend, dataset, run.folder, dict(spaces))
    work_ahead(work, processes, tell, threads=config.machine.threads)
