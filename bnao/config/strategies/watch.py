"""Settings of the alarms, and of the early stop, of the strategies that decide at each update."""

from attrs import frozen

from bnao.config.fields import setting


@frozen
class WatchConfig:
    """What is watched after each epoch of a search by a strategy that decides at each update."""

    mixture_gap: bool = setting(
        True,
        "After each epoch, compare the dev accuracy of the mixture with that of the genotype it would be discretised "
        "to (gradient strategies).",
    )
    stop_at_skips: int | None = setting(
        None,
        "Stop as soon as the normal cell that would be derived has this many skip connections; DARTS+ stops at 2.",
        least=1,
    )
    stop_when_unchanged: int | None = setting(
        None,
        "Stop when the order of the operations has not changed for this many epochs; DARTS+ takes 10.",
        least=1,
    )
