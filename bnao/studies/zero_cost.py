"""Zero-cost scores of the genotypes that a study ranks, beside those of supernets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.studies import ProxiesConfig, StudyConfig
from bnao.data.dataset import Dataset
from bnao.events import without_plan
from bnao.protocols import Backend
from bnao.proxies import zero_cost_scores
from bnao.run import round_off
from bnao.space.genotype import Genotype
from bnao.studies.truth import Tell


def ranked_zero_cost(
    config: StudyConfig, genotypes: Sequence[Genotype], backend: Backend, dataset: Dataset, tell: Tell
) -> dict[str, NDArray[np.float64]]:
    """Return the zero-cost scores that the study compares, of networks of the supernet's size."""
    if not config.proxies:
        return {}
    asked = ProxiesConfig(
        seed=config.seed, proxies=config.proxies, batch=min(ProxiesConfig().batch, dataset.n_train),
        repeats=config.seeds, network=config.network, data=config.data, machine=config.machine,
    )  # fmt: skip
    found = zero_cost_scores(
        genotypes, asked, backend, dataset,
        listen=without_plan(lambda event: tell("probed", genotype=event["genotype"], of=event["of"])),
    )  # fmt: skip
    return {name: np.array([round_off(entry.mean(name)) for entry in found]) for name in config.proxies}
