"""The stability of search methods: many searches by each, the best of each trained from scratch (Tables 1 and 7)."""

from __future__ import annotations

import contextlib
import itertools
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, frozen

from bnao import backends
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import Settings, build
from bnao.config.presets import NAO_WS, preset
from bnao.config.settings import ROUND_LEVEL, SearchConfig
from bnao.config.stability import NAO_WS_METHOD, UNIFORM, StabilityConfig
from bnao.data.dataset import load_dataset
from bnao.data.tables import read_truth
from bnao.errors import DataError, RunError
from bnao.evaluation.trainings import Evaluation, evaluate
from bnao.events import EndsOnce, Event
from bnao.footprint import Footprint, measure_footprint
from bnao.intervals import t_interval
from bnao.parallel.engines import Workers
from bnao.parallel.jobs import Job, Unit, run_jobs
from bnao.parallel.workers import work_ahead
from bnao.protocols import Listener
from bnao.provenance import STUDY, about_images, keep_about, keep_study, origin
from bnao.run import CONFIG, Folder, Run, made_of, round_off
from bnao.searches import prepare_search, resumed_search
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.journal import RESULT
from bnao.strategies.result import SearchResult, read_result
from bnao.strategies.watch import parameter_free_edges

log = logging.getLogger("bnao")

# of a method, of which the fastest says how many updates it makes in given seconds
_EPOCHS_MEASURED = 3

#: accuracies in percent
Truth = Mapping[Genotype, float]


@frozen
class StabilityEntry:
    """One search, and what became of its best genotype.

    Attributes:
        method: that searched.
        seed: of the search, and of its split where that varies.
        genotype: the best, as text.
        score: its one-shot score.
        test_error: of its own network after training from scratch, the mean over repeats, in [0, 1].
        parameters: of that network.
        multiply_adds: of that network, for one image.
        parameter_free_edges: edges of the genotype without parameters.
        alarm: the last one of the search; None where there was none.
        search_seconds: that the search took, in the process that finished it.
        evaluation_seconds: likewise the training.
    """

    method: str
    seed: int
    genotype: str
    score: float
    test_error: float
    parameters: int
    multiply_adds: int
    parameter_free_edges: int
    alarm: str | None
    search_seconds: float
    evaluation_seconds: float

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> StabilityEntry:
        """Read the object of which ``attrs.asdict`` made the content, or a file that holds it.

        Raises:
            KeyError, TypeError: a value is missing, or is of another type.
        """
        return made_of(cls, {each.name: content[each.name] for each in attrs.fields(cls)})


@frozen
class MethodStability:
    """The searches of one method.

    Attributes:
        method: its name.
        entries: one a search, in the order of their seeds.
        footprint: memory of its updates, in a process of its own; None where it was not measured.
    """

    method: str
    entries: tuple[StabilityEntry, ...]
    footprint: Footprint | None = None

    @property
    def errors(self) -> list[float]:
        """Test error of each search's best."""
        return [entry.test_error for entry in self.entries]

    @property
    def mean(self) -> float:
        """Mean test error."""
        return statistics.fmean(self.errors)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the test errors; None of a single search."""
        return statistics.stdev(self.errors) if len(self.entries) > 1 else None

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean test error, by Student's t; None of a single search."""
        return t_interval(self.errors)

    def difference(self, other: MethodStability) -> tuple[float, tuple[float, float] | None]:
        """Return the mean of this method's errors less another's of the same seeds, and its 95 % interval."""
        pairs = [mine - theirs for mine, theirs in zip(self.errors, other.errors, strict=True)]
        return statistics.fmean(pairs), t_interval(pairs)


@frozen
class StabilityStudy:
    """A comparison of methods; the first is what the others are compared with.

    Attributes:
        space: that was searched.
        methods: and their searches.
        table_best: the highest accuracy of the table that judged, in [0, 1]; None where a training did.
    """

    space: str
    methods: tuple[MethodStability, ...]
    table_best: float | None = None

    def regret(self, method: MethodStability) -> float | None:
        """Return how far a method's mean accuracy is below the table's best, in [0, 1]; None where no table judged."""
        return None if self.table_best is None else self.table_best - (1 - method.mean)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        return {
            "space": self.space,
            **({} if self.table_best is None else {"table_best": self.table_best}),
            "methods": [_summary(method, self) for method in self.methods],
            "searches": [attrs.asdict(entry) for method in self.methods for entry in method.entries],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> StabilityStudy:
        """Return the object that ``to_json`` wrote."""
        entries = [StabilityEntry.from_json(entry) for entry in content["searches"]]
        methods = []
        for method in content["methods"]:
            own = tuple(entry for entry in entries if entry.method == method["method"])
            memory = method.get("memory")
            footprint = None if memory is None else Footprint.from_json(memory)
            methods.append(MethodStability(method["method"], own, footprint))
        return cls(content["space"], tuple(methods), content.get("table_best"))


def search_config(config: StabilityConfig, method: str, seed: int) -> SearchConfig:
    """Return the settings of a method's search with this seed.

    >>> search_config(StabilityConfig(methods=("spos",)), "spos", 3).data.split_seed
    3
    """
    strategy = "nao" if method in (UNIFORM, NAO_WS_METHOD) else method
    changes: dict[str, Any] = {
        "seed": seed,
        "network": _given(config, "space", "channels"),
        "data": _given(config, "dataset", "data", "data_dir", "image_size", "train_images")
        | {"split_seed": seed if config.vary_split else config.seed},
        **_given(config, "epochs", "steps", "max_parameters", "max_multiply_adds"),
    }
    base = preset(SearchConfig, config.preset, strategy)
    if method == UNIFORM:
        changes["sampler"] = "uniform"
    if method == NAO_WS_METHOD:
        base = preset(SearchConfig, "nao-ws") if config.preset == "paper" else build(SearchConfig, NAO_WS, base)
    return evolve(build(SearchConfig, changes, base), machine=config.machine)


def evaluate_config(config: StabilityConfig, searched: SearchConfig) -> EvaluateConfig:
    """Return the settings of the training from scratch of a search's best."""
    network: dict[str, Any] = {"space": searched.network.space}
    if searched.network.nodes is not None:
        network["nodes"] = searched.network.nodes
    data = _given(config, "dataset", "data", "data_dir", "image_size", "train_images")
    epochs = {} if config.evaluate_epochs is None else {"epochs": config.evaluate_epochs}
    changes: Settings = {
        "seed": searched.seed, "repeats": config.repeats, "network": network, "data": data, **epochs
    }  # fmt: skip
    named = "nao-ws" if searched.preset == "nao-ws" else config.preset
    return evolve(build(EvaluateConfig, changes, preset(EvaluateConfig, named)), machine=config.machine)


def _given(config: StabilityConfig, *names: str) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names if getattr(config, name) is not None}


def check_stability(config: StabilityConfig) -> None:
    """Find out before anything is trained whether every method can search.

    Raises:
        BnaoError: as ``bnao.prepare_search``, and what a backend says of an evaluation.
    """
    for method in config.methods:
        prepare_search(search_config(config, method, config.seed))
    read_truth_table(config)


def study_stability(config: StabilityConfig, run: Run, listen: Listener = lambda event: None) -> StabilityStudy:
    """Search with each method and each seed, train each best from scratch, and compare.

    Args:
        config: all settings.
        run: the study's folder, in which each search and each evaluation has one of its own; what is finished there is
            not done again, and what was stopped resumes bit for bit.
        listen: is told all events of the searches and evaluations, and after each two what came of them.

    Raises:
        BnaoError: as a search and an evaluation; what was finished is kept.
    """
    dataset = load_dataset(search_config(config, config.methods[0], config.seed).data)
    backend = backends.load(config.machine.backend)
    keep_about(run, origin(about_images(dataset), config.machine, [backend]))
    truth = read_truth_table(config)
    entries: dict[str, list[StabilityEntry]] = {method: [] for method in config.methods}
    listen = EndsOnce(listen)

    def tell(event: Event) -> None:
        run.log(event)
        listen(event)

    for number, finished in enumerate(run_jobs(_jobs(config, truth, run, listen, tell), run), start=1):
        entry = finished.value
        entries[entry.method].append(entry)
        if finished.known:
            listen(_searched_event(config, number, entry, known=True))
    space = search_config(config, config.methods[0], config.seed).network.space
    footprints = _footprints(config, run, tell, listen) if config.memory else {}
    study = StabilityStudy(
        space,
        tuple(MethodStability(name, tuple(each), footprints.get(name)) for name, each in entries.items()),
        None if truth is None else round_off(max(truth.values()) / 100),
    )
    keep_study(run, study.to_json(), config, data=dataset.describe())
    return study


def read_stability(run: Run) -> StabilityStudy | None:
    """Read the study that is finished in a folder; None where it is not."""
    return run.known(STUDY, StabilityStudy.from_json)


@frozen(eq=False)
class StabilityWork:
    """The searches and evaluations of a stability study, in its folder."""

    config: StabilityConfig
    folder: Path

    def units(self, tell: Callable[[Event], None]) -> list[Unit]:
        """Return a unit a search and its evaluation; of what happens within they tell nothing."""
        folder, truth = Folder(self.folder), read_truth_table(self.config)
        return [job.unit(folder) for job in _jobs(self.config, truth, folder, lambda event: None, tell)]


def stability_ahead(
    config: StabilityConfig, run: Run, *, workers: int | str, listen: Listener = lambda event: None
) -> None:
    """Search and train by several workers, so that ``study_stability`` with the same arguments finds all done.

    Args:
        config, run: as for ``study_stability``.
        workers: as for ``bnao stability --workers``: how many processes, or ``ray``, ``ray://HOST:PORT``, ``dask``,
            ``dask://HOST:PORT``.
        listen: is called after each search and evaluation.

    Raises:
        BnaoError: as ``study_stability``; or no workers are where they are said to be.
    """
    work_ahead(StabilityWork(config, run.folder), Workers.parse(workers), listen, config.machine)


def _jobs(
    config: StabilityConfig, truth: Truth | None, run: Folder, listen: Listener, tell: Listener
) -> Iterator[Job[StabilityEntry]]:
    """Yield a job a search: all methods with the first seed, then all with the next.

    Args:
        config, run: as for ``study_stability``.
        truth: judges what is found.
        listen: is called with the events of searches and evaluations.
        tell: is called with what came of each.
    """
    places = itertools.product(range(config.seed, config.seed + config.searches), config.methods)
    for number, (seed, method) in enumerate(places, start=1):

        def report(entry: StabilityEntry, number: int = number) -> None:
            tell(_searched_event(config, number, entry, known=False))

        yield Job(
            f"{method}-{seed}.json", _computation(config, method, seed, truth, run, listen), attrs.asdict,
            StabilityEntry.from_json, report=report,
        )  # fmt: skip


def _searched_event(config: StabilityConfig, number: int, entry: StabilityEntry, *, known: bool) -> Event:
    """Return the event that says what came of a search."""
    return {
        "event": "searched", "search": number, "of": len(config.methods) * config.searches, "method": entry.method,
        "seed": entry.seed, "test_error": entry.test_error, "parameters": entry.parameters, "alarm": entry.alarm,
        "known": known,
    }  # fmt: skip


def _computation(
    config: StabilityConfig, method: str, seed: int, truth: Truth | None, run: Folder, listen: Listener
) -> Callable[[], StabilityEntry]:
    def compute() -> StabilityEntry:
        own = search_config(config, method, seed)
        if config.seconds is not None:
            steps = max(1, round(config.seconds / _update_seconds(config, method, run)))
            own = evolve(own, rounds=1, steps=steps) if own.strategy not in ROUND_LEVEL else _in_rounds(own, steps)
        began = time.monotonic()
        result = _searched(own, run, f"searches/{method}-{seed}", listen)
        searched = time.monotonic()
        done = _judged(config, own, result, truth, run, f"evaluations/{method}-{seed}", listen)
        alarms = [look.get("alarm") for look in (result.strategy or {}).get("epochs", ())]
        return StabilityEntry(
            method,
            seed,
            str(result.best),
            result.ranked[0].score,
            *done,
            parameter_free_edges(result.best),
            next((alarm for alarm in reversed(alarms) if alarm), None),
            round_off(searched - began, 1),
            round_off(time.monotonic() - searched, 1),
        )

    return compute


def _in_rounds(config: SearchConfig, steps: int) -> SearchConfig:
    """Return the same search with so many steps in all its rounds together."""
    return evolve(config, steps=max(1, round(steps / config.rounds)))


def _update_seconds(config: StabilityConfig, method: str, run: Folder) -> float:
    """Return the seconds of an update of a method, measured once a folder.

    They are the mean over an epoch, the first update left out, and of several such epochs the least: other work on the
    machine can only lengthen them.
    """

    def epoch() -> float:
        own = evolve(search_config(config, method, config.seed), rounds=1, steps=None, epochs=1)
        spent: list[float] = []

        def listen(event: Event) -> None:
            if event["event"] in ("step", "update"):
                spent.append(event["seconds"])
            elif spent and event["event"] in ("score", "scored", "rerank", "round"):
                raise _MeasuredError

        with contextlib.suppress(_MeasuredError):
            prepare_search(own).search(listen=listen)
        return max(statistics.fmean(spent[1:] or spent), 1e-6)

    def measure() -> float:
        return min(epoch() for _ in range(_EPOCHS_MEASURED))

    job = Job(
        f"speed-{method}.json", measure, lambda value: {"seconds": value}, lambda content: float(content["seconds"])
    )
    return job.result(run)


class _MeasuredError(Exception):
    """An epoch has been measured; what comes after it need not be done."""


def _footprints(config: StabilityConfig, run: Run, tell: Listener, listen: Listener) -> dict[str, Footprint]:
    """Return the footprint of each method, measured once a folder; without those that could not be measured.

    Args:
        config, run: as for ``study_stability``.
        tell: is called after each measurement.
        listen: is called after each that is known.
    """
    found = {}
    for number, method in enumerate(config.methods, start=1):
        own = search_config(config, method, config.seed)
        job = Job(f"memory-{method}.json", partial(measure_footprint, own), Footprint.to_json, Footprint.from_json)
        known = run.has(job.name)
        try:
            found[method] = job.result(run)
        except RunError as error:
            log.warning("warning: %s", error)
            continue
        event = {"event": "memory", "number": number, "of": len(config.methods), "method": method}
        (listen if known else tell)({**event, **found[method].to_json(), "known": known})
    return found


def _judged(
    config: StabilityConfig,
    own: SearchConfig,
    result: SearchResult,
    truth: Truth | None,
    run: Folder,
    name: str,
    listen: Listener,
) -> tuple[float, int, int]:
    """Return the test error of a search's best, by a table or by training it, and its sizes."""
    if truth is None:
        (done,) = _evaluated(evaluate_config(config, own), result, run, name, listen)
        return done.mean, done.parameters, done.multiply_adds
    if result.best not in truth:
        raise DataError(f"{config.truth} has no row for {result.best}, which {own.strategy} found")
    first = result.ranked[0]
    return round_off(1 - truth[result.best] / 100), first.parameters, first.multiply_adds


def read_truth_table(config: StabilityConfig) -> Truth | None:
    """Return the accuracies, in percent, that judge what is found; None where that is trained.

    Raises:
        DataError: as ``bnao.data.tables.read_truth``.
    """
    if config.truth is None:
        return None
    searched = search_config(config, config.methods[0], config.seed).network
    return read_truth(Path(config.truth), space_named(searched.space, searched.nodes), config.truth_column)


def _searched(config: SearchConfig, run: Folder, name: str, listen: Listener) -> SearchResult:
    folder = run.folder / name
    if (folder / RESULT).is_file():
        return read_result(folder)
    if (folder / CONFIG).is_file():
        with Run.open(folder) as own:
            return resumed_search(own).search(own, listen)
    prepared = prepare_search(config)
    with Run.create(folder, config) as own:
        return prepared.search(own, listen)


def _evaluated(
    config: EvaluateConfig, result: SearchResult, run: Folder, name: str, listen: Listener
) -> list[Evaluation]:
    backend, dataset = backends.load(config.machine.backend), load_dataset(config.data)
    with Run.join(run.folder / name, config) as own:
        return evaluate([result.best], config, backend, dataset, run=own, listen=listen)


def _summary(method: MethodStability, study: StabilityStudy) -> dict[str, Any]:
    interval, regret, first = method.interval(), study.regret(method), study.methods[0]
    content: dict[str, Any] = {
        "method": method.method,
        "searches": len(method.entries),
        "test_error": round_off(method.mean),
        "standard_deviation": None if method.deviation is None else round_off(method.deviation),
        "interval": None if interval is None else [round_off(end) for end in interval],
        "min": min(method.errors),
        "max": max(method.errors),
        **({} if regret is None else {"regret": round_off(regret)}),
        "parameters": round_off(statistics.fmean(entry.parameters for entry in method.entries), 1),
        "multiply_adds": round_off(statistics.fmean(entry.multiply_adds for entry in method.entries), 1),
        "parameter_free_edges": round_off(statistics.fmean(entry.parameter_free_edges for entry in method.entries)),
        "alarms": sum(entry.alarm is not None for entry in method.entries),
        "search_seconds": round_off(statistics.fmean(entry.search_seconds for entry in method.entries), 1),
        **({} if method.footprint is None else {"memory": method.footprint.to_json()}),
    }
    if method is not first:
        mean, ends = method.difference(first)
        content["difference"] = round_off(mean)
        content["difference_interval"] = None if ends is None else [round_off(end) for end in ends]
    return content
