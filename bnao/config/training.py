"""Settings of the training of a supernet's weights; as in ``bnao.config.settings``."""

import math
from collections.abc import Sequence

from attrs import frozen

from bnao.config.fields import setting, several
from bnao.config.proxies import PROXIES
from bnao.errors import ConfigError

#: which edges of a supernet's cell share an operation's weights (``bnao.network.sharing``)
SHARE_OVER = ("edge", "source", "node", "cell")
#: which paths an update trains beside the drawn one (``bnao.training.companions``)
COMPANIONS = ("none", "fair", "sandwich")
#: what a supernet's parameters off the path do at a step
IDLE_MOMENTA = ("path", "dense")
#: what size means, of a genotype's own network: all its parameters or multiply-adds, or those that are alive
SIZE_NAMES = ("live-parameters", "parameters", "live-multiply-adds", "multiply-adds")
#: how the learning rate goes on after a split
SPLIT_RATES = ("restart", "continue")


@frozen
class Split:
    """A change of sharing in the course of a supernet's training.

    Attributes:
        share: of the training's steps that are made before it, in (0, 1).
        share_over: which edges share weights from then on, one of ``SHARE_OVER``.

    >>> str(Split(0.5, "edge"))
    '0.5:edge'
    """

    share: float
    share_over: str

    @classmethod
    def parse(cls, text: str) -> "Split":
        """Read ``0.5:edge``.

        Raises:
            ConfigError: the text is something else.
        """
        first, _, share_over = text.strip().partition(":")
        try:
            share = float(first)
        except ValueError:
            share = math.nan
        if not 0 < share < 1 or share_over not in SHARE_OVER[:-1]:
            raise ConfigError(
                f"split_at has {text.strip()!r}; each is a fraction of the training, between 0 and 1, and what shares "
                f"weights from then on ({', '.join(SHARE_OVER[:-1])}), such as 0.5:edge"
            )
        return cls(share, share_over)

    def __str__(self) -> str:
        return f"{self.share:g}:{self.share_over}"


def check_splits(share_over: str, splits: Sequence[Split]) -> None:
    """Check that each split comes after the one before and that fewer edges share weights after it.

    Args:
        share_over: which edges share weights at the beginning.
        splits: in order.

    Raises:
        ConfigError: they do not; the first wrong one is named.

    >>> check_splits("cell", [Split(0.3, "node"), Split(0.6, "edge")])
    >>> check_splits("cell", [Split(0.6, "node"), Split(0.3, "edge")])
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: split_at has 0.3:edge after 0.6:node; the fractions must rise
    """
    before = Split(0.0, share_over)
    for split in splits:
        if SHARE_OVER.index(split.share_over) >= SHARE_OVER.index(before.share_over):
            raise ConfigError(
                f"split_at has {split}, and the edges already share over {before.share_over}; weights are split in "
                f"the order {', '.join(reversed(SHARE_OVER))}"
            )
        if split.share <= before.share:
            raise ConfigError(f"split_at has {split} after {before}; the fractions must rise")
        before = split


@frozen
class TrainingConfig:
    """Training of the supernet's weights."""

    batch_size: int = setting(64, "Batch size.", least=2)
    learning_rate: float = setting(0.025, "Initial learning rate.", least=0)
    learning_rate_end: float = setting(0.001, "Final learning rate of the cosine schedule.", least=0)
    momentum: float = setting(0.9, "Momentum of SGD.", least=0, most=1)
    weight_decay: float = setting(3e-4, "Weight decay (coupled, L2) of the parameters on the path.", least=0)
    gradient_norm: float = setting(5.0, "Clip gradients to this global norm; 0 = no clipping.", least=0)
    idle_momentum: str = setting(
        "path",
        "Parameters off the path of a step keep their value and momentum (path), or are updated with momentum and "
        "weight decay as if their gradient were 0 (dense).",
        choices=IDLE_MOMENTA,
    )
    drop_path_keep: float = setting(
        0.9, "Drop path: probability of keeping an edge, in the last cell at the end of training.", least=0.01, most=1
    )
    span: str = setting(
        "round",
        "What the learning rate's cosine and the growth of drop path span: each round (round), or the whole search in "
        "one piece (search).",
        choices=("round", "search"),
    )
    companions: str = setting(
        "none",
        "Paths trained in each step besides the sampled one: none; as many as use every operation once at every edge "
        "(fair); or the pool's largest genotype, which also teaches the sampled one (sandwich).",
        choices=COMPANIONS,
    )
    split_at: tuple[Split, ...] = several(
        (),
        "Split weights that edges share, at fractions of the training (all rounds of a search), such as 0.5:edge or "
        "0.3:node,0.6:edge: from then on fewer edges share, each beginning with a copy of the weights and momenta.",
        read=Split.parse,
        wanted="splits, such as 0.5:edge",
    )
    split_rate: str = setting(
        "restart",
        "Learning rate after a split: a cosine of its own between splits (restart), or one over the whole round "
        "(continue).",
        choices=SPLIT_RATES,
    )
    rank_loss: str = setting(
        "none",
        "Ranking loss: train a second path in each step, and the one of the two that should be the better also until "
        "its loss is below the other's. What should be the better: the larger, by a kind of size, or the one of the "
        "higher zero-cost score; or none.",
        choices=("none", *SIZE_NAMES, *PROXIES),
    )
    rank_weight: float = setting(1.0, "Weight of the ranking loss at the end of its growth.", least=0)
    rank_growth: float = setting(
        0.5, "Fraction of the training over which the weight of the ranking loss grows from 0.", least=0, most=1
    )
    norm_affine: bool = setting(
        True,
        "Norms of the cells' operations train a scale and a shift; otherwise these stay 1 and 0.",
    )

    def __attrs_post_init__(self) -> None:
        if self.span == "search" and self.split_at and self.split_rate == "restart":
            raise ConfigError(
                "span is search and split_rate is restart; one cosine over the whole search does not restart, so "
                "split_rate must be continue"
            )
        if self.rank_loss != "none" and self.companions != "none":
            raise ConfigError(
                f"rank_loss is {self.rank_loss}, and companions is {self.companions}; a step that ranks trains a pair "
                "of its own, so one of them must be none"
            )

    @property
    def counts_rounds(self) -> str:
        """The setting that is counted in fractions of all rounds of a search; empty if none is.

        >>> TrainingConfig().counts_rounds, TrainingConfig(rank_loss="parameters").counts_rounds
        ('', 'rank_growth')
        """
        if self.split_at:
            return "split_at"
        if self.span == "search":
            return "span"
        return "rank_growth" if self.rank_loss != "none" and self.rank_growth else ""
