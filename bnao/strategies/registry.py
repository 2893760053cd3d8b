"""Controllers that need no framework, by the name settings give them."""

from __future__ import annotations

from collections.abc import Callable

from bnao.config.settings import ControllerConfig
from bnao.protocols import Controller
from bnao.space.spaces import SearchSpace
from bnao.strategies.evolution import EvolutionController
from bnao.strategies.random_search import RandomController

#: the controllers that need no framework, by the name settings give them
CONTROLLERS: dict[str, Callable[[SearchSpace, ControllerConfig, int], Controller]] = {
    "random": RandomController,
    "evolution": EvolutionController,
}
