"""ENAS: a policy draws the paths that the weights are trained on, and learns from the accuracy of others by REINFORCE.

Source: Pham et al. 2018, arXiv 1802.03268. Differences: the learning rate of the weights is one cosine, without
restarts, and all genotypes of a policy update are scored on one dev batch, where the authors take one each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnao.errors import ConfigError
from bnao.protocols import Mixture, Outcome
from bnao.space.genotype import Genotype
from bnao.strategies.candidates import budgets_text
from bnao.strategies.costs import best_first
from bnao.strategies.logits import Adam, Array
from bnao.strategies.policies import Choices, Sampled, choices_of, genotypes_of, make_policy
from bnao.strategies.step_level import Request, Score, SearchContext, StrategyState
from bnao.streams import stream

# draws from the policy for each genotype wanted, before fewer are taken
_TRIES = 50


class Enas:
    """REINFORCE with a moving baseline, in turns with updates of the shared weights.

    In the last update of each epoch the policy is trained before the weights are. A draw that the search may not
    choose is left out, and the next of the same stream comes in its place.

    Args:
        context: the search; its settings are those of the section ``enas``.
    """

    halves = False

    def __init__(self, context: SearchContext) -> None:
        self._context, self._settings = context, context.config.enas
        self._policy = make_policy(context.space, self._settings, context.seed)
        size = sum(value.size for value in self._policy.parameters.values())
        self._adam = Adam(self._settings.learning_rate, (0.0, 0.999), 0.0, np.zeros(size), np.zeros(size), eps=1e-3)
        self._baseline, self._reward, self._entropy = 0.0, 0.0, float(self._policy.sample(1, None).entropy[0])
        self._paths: tuple[int, list[Genotype]] | None = None
        self._drawn: Sampled | None = None

    # --- proposals

    def propose(self, step: int, turn: int) -> Sequence[Request]:
        """Return genotypes to learn the policy from, at the end of an epoch, and else a path that learns."""
        path = self._path(step)
        if not self._ends_epoch(step) or turn == self._settings.policy_steps:
            return [Request(path)]
        rng = stream(self._context.seed, "policy samples", step, turn)
        self._drawn = self._accepted(self._settings.policy_samples, rng)
        return [
            Request(each, split="dev", learn=False) for each in genotypes_of(self._drawn.choices, self._context.space)
        ]

    def _ends_epoch(self, step: int) -> bool:
        return (step + 1) % self._context.epoch_steps == 0 or step + 1 == self._context.steps

    def _path(self, step: int) -> Genotype:
        """Return the path of an update; those of an epoch are drawn at once, from the policy at its start."""
        epoch, place = divmod(step, self._context.epoch_steps)
        if self._paths is None or self._paths[0] != epoch:
            rng = stream(self._context.seed, "policy paths", epoch)
            drawn = self._accepted(self._context.epoch_steps, rng)
            self._paths = epoch, genotypes_of(drawn.choices, self._context.space)
        return self._paths[1][place]

    def _accepted(self, n: int, rng: np.random.Generator) -> Sampled:
        """Draw n genotypes that the search may choose."""
        choices, entropies = list[Choices](), list[Array]()
        found = 0
        for _ in range(_TRIES):
            drawn = self._policy.sample(n, rng)
            wanted = self._context.accept(genotypes_of(drawn.choices, self._context.space))
            choices.append(drawn.choices[wanted])
            entropies.append(drawn.entropy[wanted])
            found += int(wanted.sum())
            if found >= n:
                return Sampled(np.concatenate(choices)[:n], np.concatenate(entropies)[:n])
        raise ConfigError(
            f"only {found} of {_TRIES * n:,} genotypes that the policy drew keep the budget "
            f"({budgets_text(self._context.config) or 'and pass anything on'}), and {n} are wanted; allow more"
        )

    # --- learning

    def observe(self, step: int, turn: int, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Move the policy along the gradient of the expected reward, by the genotypes it drew."""
        if requests[0].learn or self._drawn is None:
            return
        accuracies = np.array([outcome.accuracy for outcome in outcomes])
        rewards = accuracies + self._settings.entropy_weight * self._drawn.entropy
        advantages = rewards - self._baselines(rewards)
        gradients = self._policy.gradient(self._drawn.choices, advantages)
        self._move(gradients)
        self._reward, self._entropy = float(rewards.mean()), float(self._drawn.entropy.mean())

    def _baselines(self, rewards: Array) -> Array:
        """Return the baseline before each reward, which then moves it: it depends on no reward it is taken from."""
        before = np.empty(len(rewards))
        for index, reward in enumerate(rewards.tolist()):
            before[index] = self._baseline
            self._baseline += (1 - self._settings.baseline_decay) * (reward - self._baseline)
        return before

    def _move(self, gradients: Mapping[str, Array]) -> None:
        parameters = self._policy.parameters
        flat = np.concatenate([parameters[name].ravel() for name in parameters])
        slope = -np.concatenate([gradients[name].ravel() for name in parameters])  # Adam descends, rewards ascend
        moved, start = self._adam.moved(flat, slope), 0
        for name, value in list(parameters.items()):
            parameters[name] = moved[start : start + value.size].reshape(value.shape)
            start += value.size

    # --- what it shows, and chooses

    def leading(self) -> Genotype | None:
        """Return the genotype of the most likely option at every decision."""
        return genotypes_of(self._policy.sample(1, None).choices, self._context.space)[0]

    def mixture(self) -> Mixture | None:
        """Return None: it trains paths."""
        return None

    def figures(self) -> Mapping[str, float]:
        """Return the entropy of a decision, the baseline and the last reward."""
        decisions = len(choices_of(self._context.space))
        return {"entropy": self._entropy / decisions, "baseline": self._baseline, "reward": self._reward}

    def best(self, n: int, score: Score) -> list[Genotype]:
        """Return the best by all dev images of genotypes that are drawn from the policy."""
        wanted = max(n, self._settings.candidates)
        rng = stream(self._context.seed, "policy candidates")
        found: dict[Genotype, None] = {}
        for _ in range(_TRIES):
            drawn = genotypes_of(self._policy.sample(wanted, rng).choices, self._context.space)
            accepted = self._context.accept(drawn)
            found |= dict.fromkeys(each for each, good in zip(drawn, accepted, strict=True) if good)
            if len(found) >= wanted:
                break
        candidates = list(found)[:wanted]
        scores = score(candidates) if candidates else np.empty(0)
        return [candidates[at] for at in best_first(scores, candidates, self._context.weighed)[:n]]

    # --- resume

    def state(self) -> StrategyState:
        """Return the policy, Adam's moments and the baseline; the paths of an epoch follow from the policy."""
        figures = np.array([self._baseline, self._reward, self._entropy])
        adam = {f"adam.{name}": value for name, value in self._adam.state().items()}
        policy = {f"policy.{name}": value.copy() for name, value in self._policy.parameters.items()}
        return {"figures": figures, **adam, **policy}

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        self._baseline, self._reward, self._entropy = np.array(state["figures"], np.float64).tolist()
        self._adam.load_state(
            {name.removeprefix("adam."): value for name, value in state.items() if name.startswith("adam.")}
        )
        for name in self._policy.parameters:
            self._policy.parameters[name] = np.array(state[f"policy.{name}"], np.float64)
        self._paths = self._drawn = None
