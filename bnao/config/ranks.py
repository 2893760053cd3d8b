"""Settings of updates of several paths, and of several processes that make them; as in ``bnao.config.settings``."""

from attrs import frozen

from bnao.config.fields import setting
from bnao.errors import ConfigError

#: what the processes of one training divide among themselves
ACROSS = ("none", "batch", "paths")


@frozen
class RanksConfig:
    """Paths of an update, and the processes (ranks) that share it, each on a device of its own.

    >>> RanksConfig(across="paths", sync_norm=True)
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: sync_norm is for across batch, where a rank has a part of the batch; across is paths
    """

    across: str = setting(
        "none",
        "Train one supernet by all processes that torchrun starts: each step's path on a part of the batch (batch), "
        "or several paths a step, each on a batch of its own (paths).",
        choices=ACROSS,
    )
    paths: int | None = setting(
        None,
        "Paths drawn and trained at each step, each on a batch of its own; their gradients are averaged. By default "
        "1, and with across paths one a process.",
        least=1,
        most=4096,
    )
    sync_norm: bool = setting(
        False,
        "With across batch: batch norms use mean and variance of the whole batch, not of each process's part.",
    )

    def __attrs_post_init__(self) -> None:
        if self.sync_norm and self.across != "batch":
            raise ConfigError(
                f"sync_norm is for across batch, where a rank has a part of the batch; across is {self.across}"
            )

    @property
    def paths_a_step(self) -> int:
        """Paths of a step.

        >>> RanksConfig().paths_a_step, RanksConfig(paths=4).paths_a_step
        (1, 4)
        """
        return self.paths or 1
