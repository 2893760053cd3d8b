"""Toy losses of mixtures in the place of a supernet, on which strategies by gradient are tested exactly."""

import numpy as np
from attrs import evolve

from bnao.config.fields import build
from bnao.config.presets import strategy_settings
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.protocols import Outcome
from bnao.space.mixture import mixture_shape
from bnao.space.spaces import space_named
from bnao.strategies.methods import METHODS
from bnao.strategies.step_level import SearchContext
from bnao.strategies.steps import make_update
from bnao.streams import stream


class Linear:
    """The loss is the sum of the weights, each times its cost: of a genotype, the sum of its edges' costs."""

    def __init__(self, costs):
        self.costs = costs

    def __call__(self, weights):
        return float((self.costs * weights).sum())

    def slope(self, weights):
        return self.costs


class Quadratic:
    """The loss is |M p|^2 / 2 - b p, for weights p as one row: every operation's slope depends on all others."""

    def __init__(self, shape, seed=0):
        rng, n = stream(seed, "quadratic"), int(np.prod(shape))
        self._root, self._b = rng.standard_normal((n, n)) / np.sqrt(n), rng.standard_normal(n)

    def __call__(self, weights):
        return float(0.5 * np.square(self._root @ weights.ravel()).sum() - self._b @ weights.ravel())

    def slope(self, weights):
        return (self._root.T @ (self._root @ weights.ravel()) - self._b).reshape(weights.shape)


def computed(loss, requests):
    """Return what comes of requests: the slope of operations that are computed alone, unless it is wanted of all."""
    outcomes = []
    for each in requests:
        weights = each.architecture.weights
        slope = None
        if each.slope != "no":
            slope = np.where((weights != 0) | (each.slope == "all"), loss.slope(weights), 0.0)
        outcomes.append(Outcome(loss(weights), 0.5, slope))
    return outcomes


def context_of(strategy, space="nas-bench-201", steps=400, epoch_steps=20, seed=0, accept=None, **settings):
    section = strategy.replace("-", "_")
    config = build(
        SearchConfig,
        {**strategy_settings(strategy, "paper"), "seed": seed, section: settings, "network": {"space": space}},
    )
    network = NetworkConfig(space=space, channels=4, cells=1, share_over="source")
    every = lambda genotypes: np.ones(len(genotypes), dtype=bool)  # noqa: E731
    return SearchContext(evolve(config, network=network), network, steps, epoch_steps, accept or every)


def made(strategy, **options):
    return METHODS[strategy].make(context_of(strategy, **options))


def run(strategy, loss, steps):
    """Make updates, from the first of ``steps`` to its last."""
    for step in steps:
        make_update(strategy, step, lambda requests: computed(loss, requests))


def shape_of(space):
    return mixture_shape(space_named(space))
