"""One-shot scores of a ranking study joined with live size and zero-cost scores, without labels and with a few.

With landmarks some of the ranked genotypes lend their truth to learn the parts' weights from; what that is worth is
judged on the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.metrics import Comparison, Estimate, compare_rankings, defined, rank_agreement
from bnao.run import round_off
from bnao.strategies.fusion import fuse, landmark_places

#: what tables call scores that are joined with live size and zero-cost scores, before the sampler's name
FUSED = "fused"
#: what tables call them where landmarks give the weights
LANDMARKS = "landmarks"
#: genotypes that are no landmarks, at least
LEAST_JUDGED = 3


@frozen(eq=False, slots=False)
class JoinedRankings:
    """Rankings of several parts.

    Attributes:
        scores: one-shot scores, shape (seeds, n), by epochs and by sampler.
        size: live parameters, shape (n,).
        proxies: zero-cost scores by name, each of shape (n,); NaN where one is not defined.
        truth: shape (n,).
        landmarks: how many genotypes' truths give the weights; 0: there are no rankings by landmarks.
        top: the k of precision at the top.
        resamples: behind each interval.
    """

    scores: Mapping[int, Mapping[str, NDArray[np.float64]]]
    size: NDArray[np.float64]
    proxies: Mapping[str, NDArray[np.float64]]
    truth: NDArray[np.float64]
    landmarks: int
    top: int
    resamples: int

    @cached_property
    def _others(self) -> dict[str, NDArray[np.float64]]:
        """The parts beside the one-shot score."""
        return {"size": self.size, **self.proxies}

    @cached_property
    def untrained(self) -> dict[str, dict[str, Estimate]]:
        """All figures of each zero-cost score, and of these and live size joined (``FUSED``), by name."""
        # those that are not defined are the lowest
        ways = {name: np.where(np.isnan(scores), -np.inf, scores) for name, scores in self.proxies.items()}
        return {
            name: rank_agreement(scores, self.truth, size=self.size, k=self.top, resamples=self.resamples)
            for name, scores in {**ways, FUSED: fuse(self._others).values}.items()
        }

    def fused(self, arm: str, epochs: int) -> NDArray[np.float64]:
        """Return a sampler's one-shot scores, each joined with live size and zero-cost scores: (seeds, n)."""
        return np.array([fuse({"score": scores, **self._others}).values for scores in self.scores[epochs][arm]])

    @cached_property
    def comparisons(self) -> dict[int, Comparison]:
        """The agreement of joined scores with the truth, by the epochs after which supernets were scored."""
        return {
            epochs: compare_rankings(
                {f"{FUSED} {arm}": list(self.fused(arm, epochs)) for arm in arms},
                self.truth,
                size=self.size,
                k=self.top,
                resamples=self.resamples,
            )
            for epochs, arms in self.scores.items()
        }

    @cached_property
    def landmark_places(self) -> list[int]:
        """Which genotypes are landmarks: evenly spaced in the order that live size and zero-cost scores give.

        They are the same for all supernets, so that all are judged on the same genotypes.
        """
        return landmark_places(fuse(self._others).values, self.landmarks)

    def weighed(self, arm: str, epochs: int) -> NDArray[np.float64]:
        """Return the scores of ``fused`` with weights learned from the landmarks, which must not all be alike."""
        labels = {place: float(self.truth[place]) for place in self.landmark_places}
        if len(set(labels.values())) == 1:
            return self.fused(arm, epochs)
        return np.array([fuse({"score": scores, **self._others}, labels).values for scores in self.scores[epochs][arm]])

    @cached_property
    def landmark_comparisons(self) -> dict[int, Comparison]:
        """The agreement on the genotypes that are no landmarks, with equal weights and with learned ones."""
        if not self.landmarks:
            return {}
        rest = np.delete(np.arange(len(self.truth)), self.landmark_places)
        return {
            epochs: compare_rankings(
                {
                    f"{name} {arm}": list(of(arm, epochs)[:, rest])
                    for arm in arms
                    for name, of in ((FUSED, self.fused), (LANDMARKS, self.weighed))
                },
                self.truth[rest],
                size=self.size[rest],
                k=min(self.top, len(rest)),
                resamples=self.resamples,
            )
            for epochs, arms in self.scores.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        untrained = [
            {"by": name, "figure": figure, **estimate.to_entry()}
            for name, figures in self.untrained.items()
            for figure, estimate in figures.items()
        ]
        scores = {name: [defined(value) for value in row.tolist()] for name, row in self.proxies.items()}
        content = {"proxies": scores, "untrained": untrained, "fused": _entries(self.comparisons)}
        if self.landmarks:
            content["landmarks"] = {
                "genotypes": self.landmark_places,
                "agreement_on_the_others": _entries(self.landmark_comparisons),
            }
        return content


def _entries(comparisons: Mapping[int, Comparison]) -> list[dict[str, Any]]:
    return [
        {"by": way, "epochs": epochs, **entry}
        for epochs, found in comparisons.items()
        for way in found.estimates
        for entry in figure_entries(found, way)
    ]


def figure_entries(found: Comparison, way: str) -> list[dict[str, Any]]:
    """Return each figure of a way of scoring, as study.json has it."""
    return [
        {
            "figure": figure,
            **estimate.to_entry(),
            "each_seed": [defined(round_off(value)) for value in found.each[way][figure]],
        }
        for figure, estimate in found.estimates[way].items()
    ]
