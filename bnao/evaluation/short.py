"""Short stand-alone trainings within a search, which re-rank its best or score candidates."""

from __future__ import annotations

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.classification import label_ranks
from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import SearchConfig
from bnao.data.dataset import Dataset
from bnao.protocols import Backend, StandAlone
from bnao.space.genotype import Genotype


def short_training(genotype: Genotype, config: SearchConfig, backend: Backend, dataset: Dataset, epochs: int) -> float:
    """Return the dev accuracy after a short training on the train part alone, to re-rank a search's best.

    Network and recipe are those of ``short_config``.
    """
    short = short_config(config, epochs)
    network = backend.stand_alone(genotype, short, dataset, seed=config.seed)
    for _ in network.train(0):
        pass
    return accuracy(network, dataset.x_dev, dataset.y_dev)


def short_config(config: SearchConfig, epochs: int) -> EvaluateConfig:
    """Return the settings of a genotype's own training within a search.

    The authors' recipe: network, images, batches and SGD (rates, momentum, weight decay, gradient norm) are the
    search's; auxiliary head, dropout and drop path are those of the paper's stand-alone training, but drop path
    progresses as in the first of ``config.rerank_drop_path_epochs`` epochs.
    """
    base, supernet = EvaluateConfig(), config.training
    return evolve(
        base,
        epochs=epochs,
        seed=config.seed,
        network=config.network,
        data=config.data,
        training=evolve(
            base.training,
            batch_size=supernet.batch_size,
            learning_rate=supernet.learning_rate,
            learning_rate_end=supernet.learning_rate_end,
            momentum=supernet.momentum,
            weight_decay=supernet.weight_decay,
            gradient_norm=supernet.gradient_norm,
            drop_path_epochs=config.rerank_drop_path_epochs,
        ),
        checkpoint_seconds=config.checkpoint_seconds,
        machine=config.machine,
    )


def accuracy(network: StandAlone, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Return the share of images whose largest logit is their label's, in [0, 1]."""
    return float((label_ranks(network.logits(images), labels) == 0).mean())
