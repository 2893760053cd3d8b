"""One-shot scores joined with what else is known of genotypes: live size, zero-cost scores, a few trainings alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import ArrayLike

from bnao.config.fields import listed
from bnao.config.settings import SearchConfig
from bnao.config.studies import ProxiesConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError, ConfigError, DataError
from bnao.evaluation.short import short_config
from bnao.evaluation.trainings import Training
from bnao.events import without_plan
from bnao.network.size import count_parameters
from bnao.protocols import Backend, Listener, Probing
from bnao.proxies import zero_cost_scores
from bnao.run import Folder, round_off
from bnao.space.genotype import Genotype
from bnao.strategies.fusion import Fusion, fuse, landmark_places


class Fuser:
    """Joins scores with live size, the zero-cost scores of ``config.proxies`` and ``config.landmarks`` trainings.

    ``bnao.search`` takes one as ``fuse``.

    Args:
        config: of the search: proxies and landmarks, network, images, seed and machine.
        backend: probes untrained networks and trains landmarks.
        dataset: with a dev part, on which landmarks are scored; None: there are no images, as with a table, and
            ``config.proxies`` is none.
        truth: accuracies of genotypes, which are the landmarks' in place of training.
        folder: keeps the landmarks' trainings, so that none is made twice; None: nothing is kept.

    Raises:
        ConfigError: proxies or landmarks are asked for and there are no images.
        BackendError: the backend cannot probe untrained networks.

    >>> from bnao.backends import load
    >>> Fuser(SearchConfig(rank_by="fused"), load("table"), None)
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: proxies is 'jacob_cov,naswot', and there are no images to score networks on; give none
    >>> fuser = Fuser(SearchConfig(rank_by="fused", proxies="none"), load("table"), None)
    >>> from bnao.space.spaces import SPACES
    >>> skips, convolutions = (";".join([f"0:{each}+1:skip_connect"] * 5) for each in ("skip_connect", "sep_conv_3x3"))
    >>> small, large = (SPACES["nao"].parse(f"{each}|{skips}") for each in (skips, convolutions))
    >>> fuser([small, large], [0.5, 0.5]).values.tolist()
    [0.25, 0.75]
    """

    def __init__(
        self,
        config: SearchConfig,
        backend: Backend,
        dataset: Dataset | None,
        *,
        truth: Mapping[Genotype, float] | None = None,
        folder: Folder | None = None,
    ) -> None:
        self._config, self._backend, self._dataset = config, backend, dataset
        self._truth, self.folder = truth, folder
        if dataset is None and config.proxies:
            raise ConfigError(
                f"proxies is {listed(config.proxies)!r}, and there are no images to score networks on; give none"
            )
        if dataset is None and config.landmarks and truth is None:
            raise ConfigError(
                f"landmarks is {config.landmarks}, and there is nothing to train them on; give 0, or a truth"
            )
        if config.proxies and not isinstance(backend, Probing):
            raise BackendError(f"backend {backend.name!r} cannot probe untrained networks; give proxies none")

    def __call__(
        self, genotypes: Sequence[Genotype], scores: ArrayLike, listen: Listener = lambda event: None
    ) -> Fusion:
        """Join the scores of n genotypes.

        Args:
            genotypes: each once.
            scores: shape (n,), the larger the better.
            listen: is called with an event ``probed`` for each genotype, and ``landmark`` for each training.

        Raises:
            RankingError: see ``bnao.strategies.fusion.fuse``.
            DataError: the truth lacks a landmark.
        """
        config, dataset = self._config, self._dataset
        network = config.network if dataset is None else dataset.network(config.network)
        parts = {
            "score": np.asarray(scores, dtype=np.float64),
            "size": count_parameters(genotypes, network, live=True).astype(np.float64),
        }
        if dataset is not None and config.proxies:
            asked = ProxiesConfig(
                seed=config.seed,
                proxies=config.proxies,
                batch=min(ProxiesConfig().batch, dataset.n_train),
                network=config.network,
                data=config.data,
                machine=config.machine,
            )
            found = zero_cost_scores(genotypes, asked, self._backend, dataset, listen=without_plan(listen))
            parts |= {name: np.array([entry.mean(name) for entry in found]) for name in config.proxies}
        alike = fuse(parts)
        if not config.landmarks:
            return alike
        landmarks: dict[int, float] = {}
        for place in landmark_places(alike.values, config.landmarks):
            landmarks[place] = accuracy = self._accuracy(genotypes[place])
            listen({"event": "landmark", "trained": len(landmarks), "of": config.landmarks, "accuracy": accuracy})
        return fuse(parts, landmarks)

    def _accuracy(self, genotype: Genotype) -> float:
        """The truth, or the dev accuracy of a network trained alone for a few epochs (``short_config``)."""
        if self._truth is not None:
            if genotype not in self._truth:
                raise DataError(f"the truth has no accuracy of the landmark {genotype}")
            return self._truth[genotype]
        config, dataset = self._config, self._dataset
        assert dataset is not None  # checked when it was made
        on_dev = evolve(dataset, x_test=dataset.x_dev, y_test=dataset.y_dev)
        name = f"landmarks/{genotype.digest}-{config.landmark_epochs}-epochs"
        training = Training(
            genotype, short_config(config, config.landmark_epochs), self._backend, on_dev,
            seed=config.seed, folder=self.folder, name=name, about={"tested_on": "dev part"}, keep_weights=False,
        )  # fmt: skip
        return round_off(1 - training.tested(lambda kind, **values: None).error)
