"""Settings that are some of the zero-cost scores."""

from typing import Any

from bnao.config.fields import several
from bnao.errors import ConfigError

#: zero-cost scores (``bnao.proxies``)
PROXIES = ("jacob_cov", "naswot", "synflow", "snip", "grad-norm")


def _proxy(name: str) -> str:
    if name not in PROXIES:
        raise ConfigError(f"proxies: no zero-cost score {name!r}; there is {', '.join(PROXIES)}")
    return name


def _each_once(names: tuple[str, ...]) -> bool:
    if len(set(names)) < len(names):
        raise ConfigError(f"proxies is {','.join(names)!r}; it names one twice")
    return set(names) <= set(PROXIES)


def zero_cost_scores(default: tuple[str, ...], text: str) -> Any:
    """Declare a setting that is some of the zero-cost scores, or none of them.

    Args:
        default: their names in the paper's own setting.
        text: one line of help for people; the names are added.
    """
    names = ", ".join(PROXIES)
    return several(
        default, f"{text}: {names}.", read=_proxy, check=_each_once, wanted=f"some of {names}, or none", none="none"
    )
