"""What a strategy's requests lack: images, masks and learning rates, functions of the settings and of their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import Batch, Dataset, batch_places, epoch_batches, train_batch
from bnao.errors import ProtocolError
from bnao.network.stack import stack
from bnao.protocols import Pass
from bnao.space.genotype import Genotype
from bnao.strategies.step_level import Request
from bnao.streams import stream
from bnao.training.schedules import cosine, path_masks


class Supply:
    """Makes passes of requests.

    Args:
        config: batches, augmentation, masks and learning rates follow from it.
        dataset: its train part is learned from, its dev part gives rewards.
        halves: whether the train part is halved (``Strategy.halves``); the halves are decided by the split's seed.

    Attributes:
        epoch_steps: updates of an epoch over the images that weights are trained on.
        steps: updates of the whole search: all rounds' epochs or steps.
    """

    def __init__(self, config: SearchConfig, dataset: Dataset, *, halves: bool) -> None:
        self._config, self._dataset = config, dataset
        self._train: Dataset = dataset
        self._architecture: Dataset | None = None
        if halves:
            self._train, self._architecture = dataset.halved(config.data.split_seed)
        batch = config.training.batch_size
        self.epoch_steps = epoch_batches(self._train.n_train, batch)
        self.steps = config.rounds * (config.steps or config.epochs * self.epoch_steps)
        self._batch = min(batch, self._train.n_train)
        # orders and augmentations of their own
        self._seeds = {
            split: int(stream(config.seed, f"{split} images").integers(2**31)) for split in ("architecture", "dev")
        }
        self._used = dict.fromkeys(self._seeds, 0)

    def rate(self, step: int) -> float:
        """Return the learning rate of an update: one cosine over the whole search."""
        training = self._config.training
        return cosine(step, self.steps, training.learning_rate, training.learning_rate_end)

    def passes(self, requests: Sequence[Request], step: int, network: NetworkConfig) -> list[Pass]:
        """Return the passes of a proposal.

        Args:
            requests: of one turn; those of one split see one batch.
            step: of the update; it decides the batch of ``train``. Those of the others follow one after the other.
            network: of the supernet, for the masks.

        Raises:
            ProtocolError: no request, one of another split than the strategy announced, or weights that shall learn
                from dev images.
        """
        self._check(requests)
        batches = {
            split: self._batch_of(split, step, again=again)
            for split, again in dict.fromkeys((each.split, each.again) for each in requests)
        }
        masks = self._masks(requests, step, network)
        return [
            Pass(
                each.architecture, *batches[each.split],
                self._dropped(each, masks, step, network),
                learn=each.learn, slope=each.slope, weight=each.weight, teacher=each.teacher, above=each.above,
            )
            for each in requests
        ]  # fmt: skip

    def _check(self, requests: Sequence[Request]) -> None:
        if not requests:
            raise ProtocolError("a strategy proposed no pass; each turn needs at least one")
        for index, each in enumerate(requests):
            if each.split == "architecture" and self._architecture is None:
                raise ProtocolError(
                    f"request {index} asks for architecture images, and the train images are not halved; "
                    "let the strategy's halves be True"
                )
            if each.learn and each.split == "dev":
                raise ProtocolError(f"request {index} would train weights on dev images; let learn be False")

    def _masks(self, requests: Sequence[Request], step: int, network: NetworkConfig) -> NDArray[np.float32] | None:
        if not any(each.learn and isinstance(each.architecture, Genotype) for each in requests):
            return None
        keep = self._config.training.drop_path_keep
        return path_masks(network, self._config.seed, step, keep, self._batch, place=step, places=self.steps)

    def _dropped(
        self, request: Request, masks: NDArray[np.float32] | None, step: int, network: NetworkConfig
    ) -> NDArray[np.float32] | None:
        """Return the masks of a pass: those of drop path, or of a mixture's identities."""
        if isinstance(request.architecture, Genotype):
            return masks if request.learn else None
        keep = 1 - request.drop_identities
        if keep == 1:
            return None
        rng = stream(self._config.seed, f"{request.split} identities", step)
        shape = (len(stack(network)), request.architecture.weights.shape[1], self._batch)
        return ((rng.random(shape) < keep) / keep).astype(np.float32)

    def _batch_of(self, split: str, step: int, *, again: bool) -> Batch:
        config = self._config
        if split == "train":
            return train_batch(self._train, step, self._batch, config.seed, config.data)
        self._used[split] += not again
        place = max(0, self._used[split] - 1)
        if split == "architecture":
            assert self._architecture is not None
            return train_batch(self._architecture, place, self._batch, self._seeds[split], config.data)
        chosen = batch_places(len(self._dataset.y_dev), place, config.training.batch_size, self._seeds[split])
        return self._dataset.normalised(self._dataset.x_dev[chosen]), self._dataset.y_dev[chosen]

    def state(self) -> Mapping[str, int]:
        """Return how many batches of each split that counts on its own were used."""
        return dict(self._used)

    def load_state(self, state: Mapping[str, int]) -> None:
        """Restore ``state``."""
        self._used = {split: int(state[split]) for split in self._used}
