"""Figures of a ranking study as its file tells them, since to count them again takes minutes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from bnao.metrics import Estimate
from bnao.studies.ranking import ALONE, SIZE_COUNTS

Figures = Mapping[str, Estimate]


@frozen
class RankingFigures:
    """Figures of a ranking study.

    Attributes:
        agreement: with the truth, by sampler and epochs.
        differences: to the first sampler, likewise.
        gained: Spearman's rho of size and ranks gained, likewise.
        others: the agreement of rankings without a supernet, or joined with one, by what tables call them, at the
            last epochs.
        short: the agreement of short stand-alone trainings, by epochs.
        reliability: the agreement of two repeats of the truth; empty if there is one.
        size_alone: Kendall's tau of size and truth.
    """

    agreement: Mapping[tuple[str, int], Figures]
    differences: Mapping[tuple[str, int], Figures]
    gained: Mapping[tuple[str, int], Estimate]
    others: Mapping[str, Figures]
    short: Mapping[int, Figures]
    reliability: Figures
    size_alone: Estimate

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RankingFigures:
        """Read them from the content of study.json, or of one of its sets."""
        last = max(int(entry["epochs"]) for entry in content["agreement"])
        others = _grouped(content.get("by_size", []), "by")
        named = {SIZE_COUNTS.get(name, name): figures for (name,), figures in others.items()}
        named |= {name: figures for (name,), figures in _grouped(content.get("untrained", []), "by").items()}
        fused = _grouped(content.get("fused", []), "by", "epochs")
        named |= {name: figures for (name, epochs), figures in fused.items() if epochs == last}
        labelled = _grouped(content.get("landmarks", {}).get("agreement_on_the_others", []), "by", "epochs")
        named |= {f"{name}, no landmarks": figures for (name, epochs), figures in labelled.items() if epochs == last}
        short = {epochs: own for (epochs,), own in _grouped(content.get("short_agreement", []), "epochs").items()}
        named |= {f"{ALONE}, {epochs} epochs": own for epochs, own in short.items()}
        reliability = {entry["figure"]: Estimate.from_entry(entry) for entry in content["reliability"]}
        return cls(
            _grouped(content["agreement"], "sampler", "epochs"),
            _grouped(content["differences"], "sampler", "epochs"),
            {(entry["sampler"], entry["epochs"]): Estimate.from_entry(entry) for entry in content["gained_by_size"]},
            named | ({"two repeats of the truth": reliability} if reliability else {}),
            short,
            reliability,
            Estimate.from_entry(content["size_alone"]),
        )


def _grouped(entries: Sequence[Mapping[str, Any]], *keys: str) -> dict[Any, dict[str, Estimate]]:
    """Return the figures of entries by the values of these keys."""
    found: dict[Any, dict[str, Estimate]] = defaultdict(dict)
    for entry in entries:
        found[tuple(entry[key] for key in keys)][str(entry["figure"])] = Estimate.from_entry(entry)
    return dict(found)
