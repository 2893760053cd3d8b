"""What a search, an evaluation or a study will cost, from three real steps of it: time, memory and disk.

Nothing is kept, and no folder is made. Times hold for this machine while nothing else runs on it.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from bnao import backends
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset, LabelledImages, load_dataset
from bnao.evaluation.fused import Fuser
from bnao.evaluation.short import short_config
from bnao.evaluation.sizing import ONE_SPACE, Spaces, counts, sized
from bnao.events import Event
from bnao.memory import peak_memory
from bnao.network.mobile import Trainable
from bnao.network.size import count_multiply_adds
from bnao.network.state import without_momenta
from bnao.protocols import Backend, Controller, Scorer, State
from bnao.sampler import proportional_probabilities
from bnao.searches import PreparedStepSearch, prepare_search
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.plan import scored_in_round
from bnao.streams import stream
from bnao.studies.supernets import supernet_config
from bnao.studies.truth import alone_config

#: steps that are measured, after one that is not, in which memory is laid out and code is compiled
MEASURED = 3
# genotypes of which one of the usual size is taken
_POOL = 64
# bytes of a line of the log
_LINE = 150


@frozen
class Work:
    """One kind of work.

    Attributes:
        name: what it is.
        units: how many there are at most.
        unit: what one is called.
        seconds_each: what one takes.
    """

    name: str
    units: int
    unit: str
    seconds_each: float

    @property
    def seconds(self) -> float:
        """Seconds of all of it."""
        return self.units * self.seconds_each


@frozen
class Costs:
    """What work will cost.

    Attributes:
        work: its kinds.
        memory: most bytes this process held so far, in measuring; None where the system does not say.
        device_memory: most bytes that the device of the backend held; None on the CPU.
        disk: bytes that its folder will take, at most.
        notes: what the figures leave out.
    """

    work: tuple[Work, ...]
    memory: int | None
    device_memory: int | None
    disk: int
    notes: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Seconds of all work."""
        return sum(each.seconds for each in self.work)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "work": [
                {"name": w.name, "units": w.units, "unit": w.unit, "seconds_each": w.seconds_each, "seconds": w.seconds}
                for w in self.work
            ],
            "seconds": self.seconds,
            "peak_memory_bytes": self.memory,
            "device_memory_bytes": self.device_memory,
            "disk_bytes": self.disk,
            "notes": list(self.notes),
        }


def estimate_search(config: SearchConfig) -> Costs:
    """Measure what a search with these settings costs.

    Raises:
        BnaoError: as ``bnao.prepare_search``.
    """
    prepared = prepare_search(config)
    backend = backends.load(config.machine.backend)
    if backend.name == "table":
        return _costs((), backend, 0, ("a table is looked up: nothing is trained",))
    dataset = load_dataset(config.data)
    if isinstance(prepared, PreparedStepSearch):
        return _step_search(prepared, backend, dataset)
    network = dataset.network(config.network)
    pool = space_named(network.space, network.nodes).random_genotypes(_POOL, stream(config.seed, "estimate"))
    sizes = count_multiply_adds(pool, network).astype(np.float64)
    usual = _nearest(pool, sizes, float(proportional_probabilities(sizes) @ sizes))
    works, notes = [], []
    new = config.pool + (config.rounds - 1) * config.new
    if config.sharing == "none":
        alone = short_config(config, config.alone_epochs)
        works += [_alone("trainings of the pool", usual, alone, backend, dataset, new)]
    else:
        works += _supernet(config, prepared.supernet, usual)
    state = prepared.supernet.state()
    controller = _controller(config, prepared.controller, pool, sizes)
    works += [] if controller is None else [controller]
    if config.rank_by == "fused" and config.proxies:
        fuse = Fuser(evolve(config, landmarks=0), backend, dataset)
        seconds = _seconds(lambda: fuse(pool[:MEASURED], [0.0, 0.5, 1.0]))
        works.append(Work("zero-cost scores", new, "genotype", seconds / MEASURED))
    for name, number, epochs in (
        ("trainings of landmarks", config.landmarks, config.landmark_epochs),
        ("trainings to rank again", config.top, config.rerank_epochs),
    ):
        if number and epochs:
            works.append(_alone(name, usual, short_config(config, epochs), backend, dataset, number))
    steps = next((work.units for work in works if work.unit == "step"), 0)
    disk = 2 * _bytes(without_momenta(state)) + _bytes(without_momenta(state)) + _LINE * steps
    if config.controller.patience:
        notes.append("the controller may stop earlier")
    return _costs(works, backend, disk, notes)


class _EnoughError(Exception):
    """So many updates have been made as are measured."""


def _step_search(prepared: PreparedStepSearch, backend: Backend, dataset: Dataset) -> Costs:
    """Measure what a search that decides at each update costs: its updates, and trainings at its end."""
    config, seconds, planned = prepared.config, list[float](), list[int]()

    def listen(event: Event) -> None:
        if event["event"] == "plan":
            planned.extend(phase["units"] for phase in event["phases"] if "update" in phase["events"])
        elif event["event"] == "update":
            seconds.append(event["seconds"])
            if len(seconds) > MEASURED:
                raise _EnoughError

    with contextlib.suppress(_EnoughError):
        prepared.search(listen=listen)
    each = statistics.median(seconds[1:] or seconds)
    works = _updates(config, sum(planned), each)
    supernet = prepared.begun.supernet
    space = space_named(config.network.space, config.network.nodes)
    (some,) = space.random_genotypes(1, stream(config.seed, "estimate"))
    works.append(Work("scores", _scored_at_end(config), "genotype", _score(supernet, some)))
    if config.strategy == "enas":
        works.append(_rewards(config, works[-1], supernet, sum(planned)))
    if config.rerank_epochs:
        alone = short_config(config, config.rerank_epochs)
        works.append(_alone("trainings to rank again", some, alone, backend, dataset, config.top))
    disk = 3 * _bytes(without_momenta(supernet.state())) + _LINE * sum(planned)
    notes = (
        ("memory is that of the first stage; later ones are scaled from it",) if config.strategy == "p-darts" else ()
    )
    return _costs(works, backend, disk, notes)


def _updates(config: SearchConfig, steps: int, each: float) -> list[Work]:
    """Return the updates of a search; of P-DARTS those of each stage, by its cells and its operations."""
    if config.strategy != "p-darts":
        return [Work("updates", steps, "step", each)]
    operations = len(space_named(config.network.space, config.network.nodes).operations)
    left = operations, *(min(kept, operations) for kept in config.p_darts.kept)
    work = [(3 * depth + 2) * kept for depth, kept in zip(config.p_darts.depths, left, strict=True)]
    ends = [steps * stage // len(work) for stage in range(len(work) + 1)]
    return [
        Work(f"updates of stage {stage + 1}", ends[stage + 1] - ends[stage], "step", each * here / work[0])
        for stage, here in enumerate(work)
    ]


def _scored_at_end(config: SearchConfig) -> int:
    """Return how many genotypes a search that decides at each update scores at most, when it has trained."""
    if config.strategy in ("spos", "fairnas"):
        evolution = config.spos if config.strategy == "spos" else config.fairnas
        return evolution.population * evolution.generations
    return max(config.top, config.enas.candidates) if config.strategy == "enas" else config.top


def _rewards(config: SearchConfig, score: Work, supernet: Scorer, steps: int) -> Work:
    """Return the rewards of ENAS' policy: each of a genotype drawn, on one dev batch of those of a score."""
    epochs = max(1, round(steps / supernet.epoch_steps))
    images = supernet.scored_images or config.training.batch_size
    share = min(1.0, config.training.batch_size / images)
    number = epochs * config.enas.policy_steps * config.enas.policy_samples
    return Work("rewards of the policy", number, "genotype", score.seconds_each * share)


def estimate_evaluation(
    config: EvaluateConfig, genotypes: Sequence[Trainable], dataset: LabelledImages, spaces: Spaces = ONE_SPACE
) -> Costs:
    """Measure what training these genotypes alone costs: steps of the largest, the others in proportion.

    Raises:
        BnaoError: as ``bnao.evaluate``.
    """
    backend = backends.load(config.machine.backend)
    own = sized(config, genotypes, dataset, spaces)
    networks = [dataset.network(each.network) for each in own]
    counted = [counts(genotype, network) for genotype, network in zip(genotypes, networks, strict=True)]
    work = np.array([products for _, products in counted], dtype=np.float64)
    weights = [4 * parameters for parameters, _ in counted]
    largest = int(work.argmax())
    training = _alone("trainings", genotypes[largest], own[largest], backend, dataset.joined(), 1)
    # a training of each takes the largest's time, less as it has fewer multiply-adds
    shares = float((work / work.max()).sum()) * config.repeats
    units = training.units * len(genotypes) * config.repeats
    works = [evolve(training, units=units, seconds_each=training.seconds * shares / max(1, units))]
    disk = config.repeats * sum(weights) + 2 * max(weights)
    note = f"a step of the largest genotype ({genotypes[largest].id}) takes {training.seconds_each:.3g} s"
    return _costs(works, backend, disk, (note, "tests are left out; finished trainings are not repeated"))


def estimate_study(config: StudyConfig) -> Costs:
    """Measure what a ranking study with these settings costs, its stand-alone trainings included.

    Raises:
        BnaoError: as ``bnao.study_ranking``.
    """
    backend = backends.load(config.machine.backend)
    dataset = load_dataset(config.data)
    network = dataset.network(config.network)
    pool = space_named(network.space, network.nodes).random_genotypes(_POOL, stream(config.seed, "estimate"))
    sizes = count_multiply_adds(pool, network).astype(np.float64)
    middle = _nearest(pool, sizes, float(np.median(sizes)))
    sets, works = len(config.sizes), []
    if config.truth is None:
        whole, number = load_dataset(config.data, dev=False), sets * config.genotypes * config.repeats
        works.append(_alone("stand-alone trainings", middle, alone_config(config), backend, whole, number))
    for epochs in config.short:
        short = evolve(alone_config(config), epochs=epochs)
        number = sets * config.genotypes * config.seeds
        works.append(_alone(f"trainings of {epochs} epochs", middle, short, backend, dataset, number))
    first = supernet_config(config, config.supernets[0])
    supernet = backend.supernet(first, dataset)
    step = _step(supernet, middle)
    steps = sets * supernet.epoch_steps * sum(planned.epochs[-1] for planned in config.supernets)
    works.append(Work("supernets", steps, "step", step))
    scorings = sets * config.genotypes * sum(len(planned.epochs) for planned in config.supernets)
    works.append(Work("scores", scorings, "genotype", _score(supernet, middle)))
    disk = 3 * _bytes(without_momenta(supernet.state())) + 10_000 * sets * config.genotypes
    notes = ("finished trainings in the store are not repeated",) if config.truth is None else ()
    return _costs(works, backend, disk, notes)


# --- pieces


def _nearest(pool: Sequence[Genotype], sizes: Any, wanted: float) -> Genotype:
    """Return the genotype whose size is nearest to the one that is wanted."""
    return pool[int(np.abs(sizes - wanted).argmin())]


def _supernet(config: SearchConfig, supernet: Scorer, usual: Genotype) -> list[Work]:
    """Return a search's steps and scores."""
    steps = config.rounds * (config.steps or config.epochs * supernet.epoch_steps)
    scored = sum(scored_in_round(config, number) for number in range(1, config.rounds + 1))
    step = _step(supernet, usual)
    return [Work("supernet", steps, "step", step), Work("scores", scored, "genotype", _score(supernet, usual))]


def _step(supernet: Scorer, genotype: Genotype) -> float:
    """Return the seconds of a step of the supernet."""
    return _median_seconds(supernet.train([genotype], np.zeros(MEASURED + 1, dtype=np.int64), round_index=0))


def _score(supernet: Scorer, genotype: Genotype) -> float:
    """Return the seconds of a score; the first, in which code may be compiled, is not measured."""
    supernet.score([genotype])
    return _seconds(lambda: supernet.score([genotype] * MEASURED)) / MEASURED


def _alone(
    name: str, genotype: Trainable, config: EvaluateConfig, backend: Backend, dataset: LabelledImages, number: int
) -> Work:
    """Return the steps of so many stand-alone trainings of a genotype."""
    network = backend.stand_alone(genotype, config, dataset, seed=config.seed)
    steps = network.train(0)
    seconds = _median_seconds(itertools.islice(steps, MEASURED + 1))
    steps.close()
    return Work(name, number * config.epochs * network.epoch_steps, "step", seconds)


def _controller(config: SearchConfig, controller: Controller, pool: Sequence[Genotype], sizes: Any) -> Work | None:
    """Return the epochs of the controller, from scores that are made up; None where it has none."""
    if config.rounds < 2 or not config.controller.epochs:
        return None
    some = pool[: min(config.pool, len(pool))]
    scores = sizes[: len(some)] / sizes.max()
    epochs = iter(controller.fit(some, scores, round_index=0))
    measured = list(_timed(itertools.islice(epochs, MEASURED + 1)))
    if len(measured) < 2:  # it learns nothing, or at once
        return None
    known = config.pool + config.new * (config.rounds - 2) / 2
    each = statistics.median(measured[1:]) * known / len(some)
    return Work("controller", (config.rounds - 1) * config.controller.epochs, "epoch", each)


def _timed(steps: Iterable[object]) -> Iterable[float]:
    last = time.monotonic()
    for _ in steps:
        now = time.monotonic()
        yield now - last
        last = time.monotonic()


def _median_seconds(steps: Iterable[object]) -> float:
    """Return the median seconds of some steps but the first."""
    return statistics.median(list(_timed(steps))[1:])


def _seconds(call: Callable[[], object]) -> float:
    before = time.monotonic()
    call()
    return time.monotonic() - before


def _bytes(state: State) -> int:
    return sum(array.nbytes for array in state.values())


def _costs(works: Sequence[Work], backend: Backend, disk: int, notes: Sequence[str]) -> Costs:
    device_memory = getattr(backend, "device_memory", None)
    on_device = None if device_memory is None else device_memory()
    return Costs(tuple(work for work in works if work.units), peak_memory(), on_device, disk, tuple(notes))
