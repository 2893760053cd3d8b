"""Plan of a search: what it will do, phase by phase, for whoever follows its progress."""

from __future__ import annotations

from typing import Any

from bnao.config.settings import OF_A_BACKEND, SearchConfig
from bnao.events import Event, phase
from bnao.protocols import Scorer

#: genotypes scored between two events
SCORED_AT_ONCE = 10


def score_weight(images: int, batch_size: int) -> float:
    """Return what the score of a genotype costs, in steps: each batch of a forward pass costs about a third of one."""
    return images / batch_size / 3


def scored_in_round(config: SearchConfig, number: int) -> int:
    """Return how many genotypes a round scores at most; rounds are counted from 1.

    >>> [scored_in_round(SearchConfig(rescore=each), 3) for each in ("all", "new", "trained")]
    [1600, 300, 300]
    >>> scored_in_round(SearchConfig(sample_from="survivors", rescore="trained"), 3)
    1000
    """
    new, everything = config.pool if number == 1 else config.new, config.pool + (number - 1) * config.new
    trained = {"new": new, "all": everything, "survivors": max(config.pool, new)}[config.sample_from]
    return {"all": everything, "new": new, "trained": trained}[config.rescore]


def search_plan(config: SearchConfig, supernet: Scorer, steps: int, *, fuses: bool, reranks: bool) -> Event:
    """Return the event that says what a search will do, if it finds as many genotypes as its settings ask for.

    Args:
        config: all settings.
        supernet: trains and scores.
        steps: of a round; 0 where nothing is trained.
        fuses: whether the scores are joined with what else is known.
        reranks: whether the best are trained alone at the end.

    >>> from bnao.backends.table import TableSupernet
    >>> from bnao.config.settings import NetworkConfig
    >>> from bnao.space.spaces import SPACES
    >>> from bnao.streams import stream
    >>> table = TableSupernet(SPACES["nao"].random_genotypes(2, stream(0, "example")), [0.5, 0.6], NetworkConfig())
    >>> plan = search_plan(SearchConfig(rounds=2, pool=10, new=4), table, steps=0, fuses=False, reranks=False)
    >>> [(each["events"][0], each["units"]) for each in plan["phases"]]
    [('pool', 1), ('score', 10), ('controller', 1000), ('pool', 1), ('score', 14)]
    """
    images, batch = supernet.scored_images, config.training.batch_size
    weight = None if images is None else score_weight(images, batch)
    phases: list[dict[str, Any]] = []
    for number in range(1, config.rounds + 1):
        new = config.pool if number == 1 else config.new
        where = {"round": number}
        phases.append(phase("pool", where=where))
        if steps:
            phases.append(phase("step", loops={"step": (1, steps)}, weight=1.0, where=where))
        if config.sharing == "none":
            loops = {"genotype": (0, new), "epoch": (1, config.alone_epochs)}
            phases.append(phase("alone", loops=loops, where=where))
        else:
            loops = {"scored": (1, scored_in_round(config, number))}
            phases.append(phase("score", loops=loops, weight=weight, at_once=SCORED_AT_ONCE, where=where))
        if number < config.rounds and config.controller.controller in OF_A_BACKEND:
            phases.append(phase("controller", loops={"epoch": (1, config.controller.epochs)}, where=where))
    genotypes = config.pool + (config.rounds - 1) * config.new
    if fuses and config.proxies:
        phases.append(phase("probed", loops={"genotype": (1, genotypes)}))
    if fuses and config.landmarks:
        phases.append(phase("landmark", loops={"trained": (1, config.landmarks)}))
    if reranks:
        phases.append(phase("rerank", loops={"trained": (1, min(config.top, genotypes))}))
    # of a log-likelihood none: it is not a share of them
    shares = images if config.score == "accuracy" else None
    return {"event": "plan", "rounds": config.rounds, "scored_images": shares, "phases": phases}


def steps_plan(config: SearchConfig, steps: int, images: int, *, reranks: bool) -> Event:
    """Return the event that says what a search that decides at each update will do.

    How many genotypes its strategy will score in the end nobody knows before, nor how many it will choose.

    Args:
        config: all settings.
        steps: updates of the whole search.
        images: that a score is the accuracy on.
        reranks: whether the best are trained alone at the end.

    >>> plan = steps_plan(SearchConfig(), 100, 500, reranks=False)
    >>> [(each["events"], each["units"]) for each in plan["phases"]]
    [(['update'], 100), (['scored'], 1)]
    """
    phases = [phase("update", loops={"step": (1, steps)}, weight=1.0), phase("scored")]
    if reranks:
        phases.append(phase("rerank", loops={"trained": (1, config.top)}))
    shares = images if config.score == "accuracy" else None
    return {"event": "plan", "rounds": None, "scored_images": shares, "phases": phases}
