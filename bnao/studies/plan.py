"""Plan of a ranking study: what it will do, phase by phase, for whoever follows its progress."""

from __future__ import annotations

from typing import Any

from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset, epoch_batches
from bnao.events import Event, phase
from bnao.strategies.plan import SCORED_AT_ONCE, score_weight


def study_plan(config: StudyConfig, genotypes: int, dataset: Dataset, whole: Dataset | None, **where: Any) -> Event:
    """Return the event that says what a ranking study will do.

    Args:
        config: all settings.
        genotypes: how many are ranked.
        dataset: with a dev part, on which supernets are scored.
        whole: trained on alone for the truth; None: the truth is known.
        where: what else stands in each of the study's events.
    """
    phases: list[dict[str, Any]] = []
    each = {"genotype": (1, genotypes)}
    if whole is not None:
        loops = {"repeat": (1, config.repeats), **each, "epoch": (1, config.alone_epochs)}
        steps = epoch_batches(len(whole.y_train), config.alone.batch_size)
        phases.append(phase("epoch", "trained", loops=loops, weight=steps, where=where))
    steps = epoch_batches(len(dataset.y_train), config.training.batch_size)
    weight = score_weight(len(dataset.y_dev), config.training.batch_size)
    for planned in config.supernets:
        place = {**where, "sampler": str(planned.arm), "seed": planned.seed, "length": planned.epochs[-1]}
        before = 0
        for epochs in planned.epochs:
            marks = {"step": (before * steps + 1, (epochs - before) * steps)}
            phases.append(phase("step", loops=marks, weight=1.0, where=place))
            scored, at = {"scored": (1, genotypes)}, {**place, "epochs": epochs}
            phases.append(phase("score", loops=scored, weight=weight, at_once=SCORED_AT_ONCE, where=at))
            before = epochs
    steps = epoch_batches(len(dataset.y_train), config.alone.batch_size)
    for seed in range(config.seed, config.seed + config.seeds):
        for epochs in config.short:
            loops, place = {**each, "epoch": (1, epochs)}, {**where, "seed": seed, "epochs": epochs}
            phases.append(phase("short_epoch", "short", loops=loops, weight=steps, where=place))
    if config.proxies:
        phases.append(phase("probed", loops=each, where=where))
    return {"event": "plan", "supernets": len(config.supernets), "phases": phases}
