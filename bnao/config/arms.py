"""Supernets that a ranking study trains: their samplers, seeds and lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from attrs import frozen

from bnao.errors import ConfigError
from bnao.sampler import SAMPLERS

MOST_ALPHA = 10


@frozen
class SamplerSpec:
    """Sampler of a study's supernet: its name and the power of the size.

    >>> str(SamplerSpec("proportional", 0.5)), str(SamplerSpec("uniform", 0.0))
    ('proportional:0.5', 'uniform')
    """

    sampler: str
    alpha: float

    @classmethod
    def parse(cls, text: str) -> SamplerSpec:
        """Read ``uniform``, ``proportional``, ``budget`` or one of the latter with an alpha, ``proportional:0.5``.

        Raises:
            ConfigError: the text is something else.
        """
        name, _, alpha = text.strip().partition(":")
        try:
            power = float(alpha) if alpha else 1.0
        except ValueError:
            power = math.nan
        if name not in SAMPLERS or not abs(power) <= MOST_ALPHA or (name == "uniform" and alpha):
            raise ConfigError(
                f"samplers has {text.strip()!r}; each is uniform, proportional, budget, or one of the latter two "
                f"with a power of the size from {-MOST_ALPHA} to {MOST_ALPHA}, such as proportional:0.5"
            )
        return cls(name, 0.0 if name == "uniform" else power)

    def __str__(self) -> str:
        return self.sampler if self.alpha == (self.sampler != "uniform") else f"{self.sampler}:{self.alpha:g}"


class PlannedSupernet(NamedTuple):
    """A supernet that a study trains.

    Attributes:
        arm: its sampler.
        seed: its seed.
        epochs: after which it is scored; it is trained to the last of them.
    """

    arm: SamplerSpec
    seed: int
    epochs: tuple[int, ...]


def planned_supernets(
    arms: Sequence[SamplerSpec], seeds: Sequence[int], lengths: Sequence[tuple[int, ...]]
) -> tuple[PlannedSupernet, ...]:
    """Return a study's supernets in the order of their training.

    Every sampler's first seed goes before any second one and short trainings go before long ones, so that what is there
    early can be compared.
    """
    return tuple(PlannedSupernet(arm, seed, epochs) for seed in seeds for epochs in lengths for arm in arms)
