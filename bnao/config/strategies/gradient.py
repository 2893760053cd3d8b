"""Settings of the strategies that learn a mixture's weights by their gradient; the defaults are their authors'."""

from collections.abc import Mapping

from attrs import frozen

from bnao.config.fields import Settings, setting, several


@frozen
class LogitsConfig:
    """Adam on the architecture logits, as DARTS has it; others change its numbers."""

    logit_rate: float = setting(3e-4, "Learning rate of Adam on the architecture logits.", least=0)
    logit_beta1: float = setting(0.5, "First decay of Adam on the architecture logits.", least=0, most=0.9999)
    logit_beta2: float = setting(0.999, "Second decay of Adam on the architecture logits.", least=0, most=0.999999)
    logit_decay: float = setting(1e-3, "Weight decay (coupled, L2) of the architecture logits.", least=0)


@frozen
class DartsConfig(LogitsConfig):
    """Differentiable architecture search.

    Source: Liu et al. 2019, arXiv 1806.09055; ``cnn/architect.py``.
    """

    order: str = setting(
        "first",
        "Gradient of the logits by the weights as they are (first), or by the weights one step ahead, which takes five "
        "passes an update in place of two (second).",
        choices=("first", "second"),
    )


@frozen
class SnasConfig(LogitsConfig):
    """Stochastic neural architecture search.

    Source: Xie et al. 2019, arXiv 1812.09926; ``SNAS-Series``.
    """

    temperature: float = setting(1.0, "Temperature of the softmax at the beginning.", least=1e-6)
    temperature_end: float = setting(0.03, "Temperature at the end; it falls linearly.", least=1e-6)


@frozen
class GdasConfig(LogitsConfig):
    """Search by a differentiable architecture sampler.

    Source: Dong & Yang 2019, arXiv 1910.04465; ``AutoDL-Projects``.
    """

    temperature: float = setting(10.0, "Temperature of the softmax in the first epoch.", least=1e-6)
    temperature_end: float = setting(0.1, "Temperature in the last epoch; it falls linearly by epochs.", least=1e-6)


@frozen
class PcDartsConfig(LogitsConfig):
    """DARTS with partial channels and edge normalisation.

    Source: Xu et al. 2020, arXiv 1907.05737; ``PC-DARTS``.
    """

    logit_rate: float = setting(6e-4, "Learning rate of Adam on the architecture logits.", least=0)
    warm_up: float = setting(
        0.3, "Fraction of the search before the logits begin to move: 15 of 50 epochs.", least=0, most=1
    )


@frozen
class PDartsConfig(LogitsConfig):
    """Progressive DARTS.

    Source: Chen et al. 2019, arXiv 1904.12760; ``pdarts``.
    """

    logit_rate: float = setting(6e-4, "Learning rate of Adam on the architecture logits.", least=0)
    depths: tuple[int, ...] = several(
        (1, 3, 5),
        "Normal cells per stack (N) in each of the three stages, by commas: 5, 11 and 17 cells in all.",
        read=int,
        check=lambda values: len(values) == 3 and values[0] >= 1 and list(values) == sorted(values),
        wanted="three numbers >= 1, none below the one before it",
    )
    kept: tuple[int, ...] = several(
        (5, 3),
        "Operations left at each place in the second and in the third stage, the strongest, by commas.",
        read=int,
        check=lambda values: len(values) == 2 and values[0] >= values[1] >= 1,
        wanted="two numbers >= 1, the second not above the first",
    )
    warm_up: float = setting(
        0.4, "Fraction of each stage before the logits begin to move: 10 of 25 epochs.", least=0, most=1
    )
    skip_dropout: tuple[float, ...] = several(
        (0.1, 0.4, 0.7),
        "Probability of dropping an image's identity (skip_connect) at the beginning of each of the three stages, by "
        "commas.",
        read=float,
        check=lambda values: len(values) == 3 and all(0 <= value <= 0.99 for value in values),
        wanted="three numbers from 0 to 0.99",
    )
    most_skips: int = setting(2, "Identities (skip_connect) in the derived normal cell at most.", least=0)


@frozen
class FairDartsConfig(LogitsConfig):
    """DARTS whose operations do not compete.

    Source: Chu et al. 2020, arXiv 1911.12126; ``FairDARTS``.
    """

    logit_rate: float = setting(3e-3, "Learning rate of Adam on the architecture logits.", least=0)
    logit_beta1: float = setting(0.9, "First decay of Adam on the architecture logits.", least=0, most=0.9999)
    zero_one: float = setting(10.0, "Weight of the zero-one loss, which draws sigmoids from 1/2.", least=0)
    threshold: float = setting(
        0.85,
        "Sigmoid from which an operation is chosen; below it an edge is none, where the space has it.",
        least=0,
        most=1,
    )


@frozen
class DartsMinusConfig(LogitsConfig):
    """DARTS with an auxiliary skip connection.

    Source: Chu et al. 2021, arXiv 2009.01027; ``DARTS-``.
    """

    auxiliary_skip: float = setting(
        1.0, "Weight of the auxiliary skip connection (beta) at the beginning; it falls linearly to 0.", least=0
    )


@frozen
class ProxylessConfig(LogitsConfig):
    """Search along binarised paths.

    Source: Cai et al. 2019, arXiv 1812.00332; ``proxylessnas``.
    """

    logit_rate: float = setting(1e-3, "Learning rate of Adam on the architecture logits.", least=0)
    logit_beta1: float = setting(0.0, "First decay of Adam on the architecture logits.", least=0, most=0.9999)
    logit_decay: float = setting(0.0, "Weight decay (coupled, L2) of the architecture logits.", least=0)
    gates: str = setting(
        "two",
        "Operations whose logits an architecture step moves at each place: two, drawn without replacement, or all.",
        choices=("two", "all"),
    )
    every: int = setting(5, "Updates of the weights for each of the logits.", least=1)
    warm_up: float = setting(
        0.25, "Fraction of the search before the logits begin to move: 40 of 160 epochs.", least=0, most=1
    )


#: a mixture needs one set of weights for each operation of a place
_NETWORK: Settings = {"share_over": "source"}
_SMALL: Settings = {"network": _NETWORK}
#: logits of a search of some hundred updates must move faster than of one of 20,000
_FAST: Settings = {"logit_rate": 0.03}


def _paper(*, epochs: int = 50, training: Settings, **network: str | int) -> Settings:
    """Return the authors' search: DARTS' supernet of 8 cells and 16 channels, but for what is given."""
    whole = {**_NETWORK, "space": "darts", "channels": 16, "cells": 2, **network}
    return {"rounds": 1, "epochs": epochs, "network": whole, "training": training}


#: what a preset changes besides for a search by this strategy; small is for all presets but paper
PRESETS: Mapping[str, Mapping[str, Settings]] = {
    "darts": {
        "small": {**_SMALL, "darts": _FAST},
        "quick": {"epochs": 2},
        "paper": _paper(training={}),
    },
    "snas": {
        "small": {**_SMALL, "snas": _FAST},
        "quick": {"epochs": 2},
        "paper": _paper(epochs=150, training={"batch_size": 96}, space="snas"),
    },
    "gdas": {
        # its slope, at first divided by a temperature of 10, would be less than the decay
        "small": {**_SMALL, "gdas": {**_FAST, "logit_decay": 0.0}},
        "paper": _paper(epochs=250, training={"weight_decay": 5e-4}),
    },
    "pc-darts": {
        "small": {"network": {**_NETWORK, "partial_channels": 4}, "pc_darts": _FAST},
        "quick": {"epochs": 3},
        "paper": _paper(
            training={"batch_size": 256, "learning_rate": 0.1, "learning_rate_end": 0.0}, partial_channels=4
        ),
    },
    "p-darts": {
        "small": {**_SMALL, "p_darts": {**_FAST, "depths": (1, 1, 2)}},
        "quick": {"epochs": 3},
        "paper": _paper(epochs=75, training={"batch_size": 96, "learning_rate_end": 0.0}),
    },
    "fair-darts": {
        "small": {**_SMALL, "fair_darts": _FAST},
        "quick": {"epochs": 2},
        "paper": _paper(training={"batch_size": 128, "learning_rate": 0.005}),
    },
    "darts-minus": {
        "small": {**_SMALL, "darts_minus": _FAST},
        "quick": {"epochs": 2},
        "paper": _paper(training={}),
    },
    "proxyless": {
        "small": {**_SMALL, "proxyless": _FAST},
        # else logits would be moved 65 times, and be as good as uniform in the end
        "quick": {"epochs": 5, "proxyless": {"every": 1}},
        "paper": _paper(epochs=160, training={"batch_size": 256, "weight_decay": 4e-5}),
    },
}
