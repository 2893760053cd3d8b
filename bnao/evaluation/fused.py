"""One-shot scores joined with what else is known of genotypes: live size, zero-cost scores, a few trainings alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike

from bnao.config.settings import ProxiesConfig, SearchConfig
from bnao.data.dataset import Dataset
from bnao.errors import ConfigError, DataError
from bnao.evaluation.proxies import live_sizes, zero_cost_scores
from bnao.evaluation.trainings import Training, genotype_digest, short_config
from bnao.protocols import Backend, Listener
from bnao.run import Folder
from bnao.space.genotype import Genotype
from bnao.strategies.fusion import Fusion, fuse, landmark_places
from bnao.strategies.result import round_off


def fused_scores(
    genotypes: Sequence[Genotype],
    scores: ArrayLike,
    config: SearchConfig,
    backend: Backend,
    dataset: Dataset | None,
    *,
    truth: Mapping[Genotype, float] | None = None,
    folder: Folder | None = None,
    listen: Listener = lambda event: None,
) -> Fusion:
    """Join one-shot scores with live size, the scores of ``config.proxies``, and ``config.landmarks`` trainings.

    Args:
        genotypes: n of them.
        scores: one-shot scores, shape (n,).
        config: of the search: proxies and landmarks, network, images, seed.
        backend: probes untrained networks and trains landmarks.
        dataset: with a dev part, on which landmarks are scored. None: size alone is joined, as of a table.
        truth: accuracies of genotypes, which are the landmarks' in place of training.
        folder: keeps the landmarks' trainings, so that none is made twice.
        listen: is called with every event of ``bnao.zero_cost_scores``, and ``landmark`` after each training.

    Raises:
        ConfigError: proxies or landmarks are asked for and there are no images.
        DataError: the truth lacks a landmark.
        RankingError: see ``bnao.strategies.fusion.fuse``.
    """
    network = config.network if dataset is None else dataset.network(config.network)
    parts = {
        "score": np.asarray(scores, dtype=np.float64),
        "size": live_sizes(genotypes, network),
    }
    names = config.proxy_names
    if dataset is None and names:
        raise ConfigError(f"proxies is {config.proxies!r}, and there are no images to score networks on; give none")
    if dataset is None and config.landmarks and truth is None:
        raise ConfigError(f"landmarks is {config.landmarks}, and there is nothing to train them on; give 0, or a truth")
    if dataset is not None and names:
        asked = ProxiesConfig(
            seed=config.seed, proxies=config.proxies, network=config.network, data=config.data, machine=config.machine
        )
        found = zero_cost_scores(genotypes, asked, backend, dataset, listen=listen)
        parts |= {name: np.array([entry.mean(name) for entry in found]) for name in names}
    alike = fuse(parts)
    if not config.landmarks:
        return alike
    landmarks: dict[int, float] = {}
    for place in landmark_places(alike.values, config.landmarks):
        genotype = genotypes[place]
        if truth is not None:
            if genotype not in truth:
                raise DataError(f"the truth has no accuracy of the landmark {genotype}")
            landmarks[place] = truth[genotype]
        else:
            assert dataset is not None
            landmarks[place] = _trained(genotype, config, backend, dataset, folder)
        listen({"event": "landmark", "trained": len(landmarks), "of": config.landmarks, "accuracy": landmarks[place]})
    return fuse(parts, landmarks)


def _trained(
    genotype: Genotype, config: SearchConfig, backend: Backend, dataset: Dataset, folder: Folder | None
) -> float:
    """The dev accuracy of a network trained alone for a few epochs by ``short_config``."""
    on_dev = evolve(dataset, x_test=dataset.x_dev, y_test=dataset.y_dev)
    training = Training(
        genotype, short_config(config, config.landmark_epochs), backend, on_dev,
        seed=config.seed, folder=folder, name=f"landmarks/{genotype_digest(genotype)}-{config.landmark_epochs}-epochs",
        about={"tested_on": "dev part"}, keep_weights=False,
    )  # fmt: skip
    return round_off(1 - training.tested(lambda kind, **values: None).error)
