"""Controllers by the name settings give them: those of the core, and those whose arithmetic is a backend's."""

from __future__ import annotations

from collections.abc import Callable

from bnao.config.settings import OF_A_BACKEND, ControllerConfig, SearchConfig
from bnao.errors import ConfigError
from bnao.protocols import Backend, Controller
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.ageing_evolution import AgeingEvolutionController
from bnao.strategies.evolution import EvolutionController
from bnao.strategies.local_search import LocalSearchController
from bnao.strategies.random_search import RandomController
from bnao.strategies.ridge import RidgeController
from bnao.strategies.seminas import semi_supervised
from bnao.strategies.trees import TreesController

#: the controllers that need no framework, by the name settings give them
CONTROLLERS: dict[str, Callable[[SearchSpace, ControllerConfig, int], Controller]] = {
    "random": RandomController,
    "evolution": EvolutionController,
    "ageing-evolution": AgeingEvolutionController,
    "local-search": LocalSearchController,
    "ridge": RidgeController,
    "trees": TreesController,
}


def make_controller(config: SearchConfig, backend: Backend | None = None) -> Controller:
    """Make the controller of a search's settings.

    Args:
        config: names the controller, its space, settings and seed.
        backend: computes it, where it is one of ``OF_A_BACKEND``; else ignored.

    Raises:
        ConfigError: it needs a backend, and none is given.
        BackendError: that backend has no NAO controller, or what the controller needs is not installed.

    >>> from attrs import evolve
    >>> config = SearchConfig()
    >>> type(make_controller(evolve(config, controller=ControllerConfig(controller="ridge")))).__name__
    'RidgeController'
    """
    name = config.controller.controller
    if name not in OF_A_BACKEND:
        space = space_named(config.network.space, config.network.nodes)
        return CONTROLLERS[name](space, config.controller, config.seed)
    if backend is None:
        raise ConfigError(f"controller {name!r} needs gradients; give it a backend, such as torch")
    controller = backend.controller(config)
    return semi_supervised(controller, config) if name == "seminas" else controller
