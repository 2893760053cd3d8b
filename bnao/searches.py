"""A whole search from its settings: backend, images, supernet, controller, and the run's folder.

``bnao.strategies.rounds.search`` is Algorithm 1 itself, for a supernet and a controller of any origin; here they are
made as the settings say, and the folder is that of ``bnao search``.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from bnao import backends
from bnao.config.fields import listed
from bnao.config.settings import OF_A_BACKEND, ROUND_LEVEL, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset, load_dataset
from bnao.errors import BackendError, ConfigError
from bnao.evaluation.candidates import StandAloneScores
from bnao.evaluation.fused import Fuser
from bnao.evaluation.short import short_training
from bnao.parallel.ranks import Ranked, Ranks, is_first, run_of
from bnao.protocols import Backend, Controller, Listener, Scorer
from bnao.provenance import ABOUT, About, about_images, about_table, check_same_data, origin
from bnao.run import Run, check_is_free
from bnao.strategies.costs import search_latency
from bnao.strategies.ending import Rerank
from bnao.strategies.journal import add_rounds
from bnao.strategies.methods import METHODS
from bnao.strategies.registry import make_controller
from bnao.strategies.result import SearchResult
from bnao.strategies.rounds import check_start, search
from bnao.strategies.steps import StepSearch
from bnao.training.shared_weights import SharedWeights


@frozen
class PreparedSearch:
    """All that a search works with; what can be wrong with it is found before its folder is made.

    Attributes:
        config: all settings.
        supernet: trains and scores; of a table looks up.
        controller: proposes.
        rerank: a genotype's accuracy after a short training, where the settings ask for it.
        fuse: joins the scores with what else is known, where the settings ask for it.
        about: the data, machine and versions, as in run.json.
        ranks: the processes that make this search together; None: this one.
    """

    config: SearchConfig
    supernet: Scorer
    controller: Controller
    rerank: Rerank | None
    fuse: Fuser | None
    about: About
    ranks: Ranks | None = None

    @property
    def scored_images(self) -> int | None:
        """Images a score is the accuracy on; None where scores are no shares of images."""
        return self.supernet.scored_images

    def search(self, run: Run | None = None, listen: Listener = lambda event: None) -> SearchResult:
        """Run the search, in a run's folder if there is one. See ``bnao.search`` for what it raises."""
        if isinstance(self.supernet, StandAloneScores):
            self.supernet.folder = run
        if self.fuse is not None:
            self.fuse.folder = run
        return search(
            self.config, self.supernet, self.controller,
            run=run, about=self.about, rerank=self.rerank, fuse=self.fuse, ranks=self.ranks, listen=listen,
        )  # fmt: skip


@frozen
class PreparedStepSearch:
    """The same of a search by a strategy that decides at each update.

    Attributes:
        config, rerank, fuse, about, ranks: as of ``PreparedSearch``.
        begun: the search, which can be made once.
    """

    config: SearchConfig
    begun: StepSearch
    rerank: Rerank | None
    fuse: Fuser | None
    about: About
    ranks: Ranks | None = None

    @property
    def scored_images(self) -> int | None:
        """Images a score is the accuracy on."""
        return self.begun.supernet.scored_images

    def search(self, run: Run | None = None, listen: Listener = lambda event: None) -> SearchResult:
        """Run the search, in a run's folder if there is one. See ``bnao.search_by_steps`` for what it raises."""
        if self.fuse is not None:
            self.fuse.folder = run
        return self.begun.result(run, about=self.about, rerank=self.rerank, fuse=self.fuse, listen=listen)


def prepare_search(config: SearchConfig, controller_backend: str | None = None) -> PreparedSearch | PreparedStepSearch:
    """Make all that a new search works with, as its settings say.

    Args:
        config: all settings.
        controller_backend: the backend that provides the NAO controller; None: that of ``config.machine``.

    Raises:
        ConfigError: a controller without a backend is given one, or a table shall train.
        BackendError: a backend is not installed, or cannot do what is asked.
        BnaoError: as ``bnao.strategies.rounds.check_start``, and what reading the data raises.
    """
    prepared = _prepared(config, controller_backend)
    if isinstance(prepared, PreparedSearch):
        check_start(config, prepared.supernet, prepared.controller)
    else:
        prepared.begun.load_weights()
    return prepared


def resumed_search(run: Run, rounds: int | None = None) -> PreparedSearch | PreparedStepSearch:
    """Make all that the search of a run needs to resume, with the run's settings.

    Args:
        run: the folder.
        rounds: how many there shall be in the end; None: as many as the run's settings say.

    Raises:
        BnaoError: as ``prepare_search``.
        ConfigError: more rounds were begun already, or another number is given for a strategy without rounds.
        RunError: the run was begun with other data.
    """
    before = run.read_json(ABOUT) if run.has(ABOUT) else {}
    config = run.config(SearchConfig)
    if rounds is not None and rounds != config.rounds:
        if config.strategy not in ROUND_LEVEL:
            raise ConfigError(
                f"{run.folder} is a search by strategy {config.strategy}, whose one learning rate schedule has no "
                "further rounds; start a new run"
            )
        config = evolve(config, rounds=rounds)
    prepared = _prepared(config, before.get("controller_backend"), run.folder)
    if before:
        check_same_data(run.folder, before, prepared.about["data"])
    if config.strategy in ROUND_LEVEL:
        add_rounds(run, config.rounds)
    return prepared


def run_search(
    config: SearchConfig,
    folder: str | Path,
    *,
    controller_backend: str | None = None,
    listen: Listener = lambda event: None,
) -> SearchResult:
    """Search as the settings say, from nothing to the ranking, in a new folder like that of ``bnao search``.

    A search that was stopped is resumed with ``bnao search --resume`` or ``resumed_search``.

    Args:
        config: all settings.
        folder: new or empty.
        controller_backend: as for ``prepare_search``.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        RunError: the folder holds a run or anything else, or cannot be written.
        BnaoError: as ``prepare_search`` and ``bnao.search``.
    """
    if is_first(join(config)):
        check_is_free(Path(folder))
    prepared = prepare_search(config, controller_backend)
    with run_of(prepared.ranks, lambda: Run.create(folder, prepared.config)) as run:
        return prepared.search(run, listen)


def join(config: SearchConfig) -> Ranks | None:
    """Join the processes that make this search together, once or again; None where there is one alone.

    Raises:
        ConfigError: the backend works in one process, or this one was not started as one of several, or is and the
            settings say nothing of it.
        BackendError, RankError: as ``bnao.parallel.ranks.Ranked``.
    """
    backend, across = backends.load(config.machine.backend), config.ranks.across
    if isinstance(backend, Ranked) and (across == "none" or config.sharing == "weights"):
        return backend.ranks(config)
    if across != "none":
        what = f"backend is {backend.name}" if config.sharing == "weights" else "sharing is none"
        raise ConfigError(f"across is {across}, and {what}; the shared weights of backend torch are trained so")
    return None


def _prepared(
    config: SearchConfig, controller_backend: str | None, folder: Path | None = None
) -> PreparedSearch | PreparedStepSearch:
    """Make all that a search works with in this process: the last steps are the first process's alone."""
    ranks = join(config)
    if config.ranks.across == "paths" and config.ranks.paths is None and config.strategy in ROUND_LEVEL:
        assert ranks is not None
        config = evolve(config, ranks=evolve(config.ranks, paths=ranks.count))
    prepared = _made(config, controller_backend, folder)
    if ranks is None:
        return prepared
    if not is_first(ranks):
        alone = evolve(config, rank_by="score", landmarks=0, rerank_epochs=0)
        return evolve(prepared, config=alone, rerank=None, fuse=None, ranks=ranks)
    return evolve(prepared, about={**prepared.about, "ranks": ranks.count}, ranks=ranks)


def _made(
    config: SearchConfig, controller_backend: str | None, folder: Path | None
) -> PreparedSearch | PreparedStepSearch:
    backend = backends.load(config.machine.backend)
    if config.strategy not in ROUND_LEVEL:
        return _prepared_steps(config, backend, controller_backend, folder)
    if config.ranks.paths_a_step > 1 and (backend.name == "table" or config.sharing == "none"):
        raise ConfigError(f"paths is {config.ranks.paths}, and no supernet is trained here; leave it out")
    kind = config.controller.controller
    controller: Controller
    if kind in OF_A_BACKEND:
        teacher = backend if controller_backend is None else backends.load(controller_backend)
        used = [backend, teacher]
        controller = make_controller(config, teacher)
    elif controller_backend is None:
        used = [backend]
        controller = make_controller(config)
    else:
        raise ConfigError(f"controller_backend is for {', '.join(OF_A_BACKEND)}; controller {kind} needs no backend")
    dataset = None if backend.name == "table" else load_dataset(config.data)
    supernet = _supernet(config, backend, dataset)
    rerank = _rerank(config, backend, dataset) if config.rerank_epochs else None
    fuse = Fuser(config, backend, dataset) if config.rank_by == "fused" else None
    data = about_table(Path(config.table.table or "")) if dataset is None else about_images(dataset)
    facts = {**origin(data, config.machine, used), "controller_backend": controller_backend}
    return PreparedSearch(config, supernet, controller, rerank, fuse, facts)


def _prepared_steps(
    config: SearchConfig, backend: Backend, controller_backend: str | None, folder: Path | None
) -> PreparedStepSearch:
    """Make a search by a strategy that decides at each update; it trains weights that are shared."""
    if controller_backend is not None:
        raise ConfigError(
            f"controller_backend is {controller_backend}, and strategy {config.strategy} has no controller"
        )
    if backend.name == "table" or config.sharing == "none":
        setting = "backend is table" if backend.name == "table" else "sharing is none"
        raise ConfigError(f"strategy {config.strategy} decides how shared weights are trained, and {setting}")
    for name, off in (("companions", "none"), ("rank_loss", "none"), ("split_at", ())):
        value = getattr(config.training, name)
        if value != off:
            raise ConfigError(
                f"{name} is {listed(value)}, and strategy {config.strategy} decides itself what an update trains; "
                "leave it out"
            )
    if config.ranks.paths is not None:
        raise ConfigError(
            f"paths is {config.ranks.paths}, and strategy {config.strategy} decides itself what an update trains; "
            "leave it out"
        )
    if config.pool_file is not None:
        raise ConfigError(f"pool_file is {config.pool_file}, and strategy {config.strategy} has no pool")
    dataset, method = load_dataset(config.data), METHODS[config.strategy]
    assert method.make is not None

    def make_supernet(network: NetworkConfig) -> SharedWeights:
        made = backend.supernet(evolve(config, network=network), dataset)
        if not isinstance(made, SharedWeights):
            raise BackendError(
                f"backend {backend.name!r} trains in its own way, and strategy {config.strategy} decides every update; "
                "its supernet() must return a bnao.training.shared_weights.SharedWeights"
            )
        return made

    return PreparedStepSearch(
        config,
        StepSearch(
            config, method.make, make_supernet, dataset, halves=method.halves, latency=search_latency(config, folder)
        ),
        _rerank(config, backend, dataset) if config.rerank_epochs else None,
        Fuser(config, backend, dataset) if config.rank_by == "fused" else None,
        {**origin(about_images(dataset), config.machine, [backend]), "controller_backend": None},
    )


def _supernet(config: SearchConfig, backend: Backend, dataset: Dataset | None) -> Scorer:
    """Return the supernet, or what trains each genotype alone in its place."""
    if config.sharing == "weights":
        return backend.supernet(config, dataset)
    if dataset is None:
        raise ConfigError(f"backend {backend.name!r} trains nothing; sharing must be weights")
    return StandAloneScores(config, backend, dataset)


def _rerank(config: SearchConfig, backend: Backend, dataset: Dataset | None) -> Rerank:
    """Return the short training of one of the best."""
    if dataset is None:
        raise ConfigError(f"backend {backend.name!r} trains nothing; rerank_epochs must be 0")
    return lambda genotype: short_training(genotype, config, backend, dataset, config.rerank_epochs)
