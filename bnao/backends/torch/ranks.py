"""One supernet on many devices: processes that torchrun starts (ranks), and the gradients they sum.

Each rank makes the whole search; draws, batches and masks are functions of seed and step, so no rank asks another what
to train. An update is one all-reduce of the path's gradients, laid end to end, with losses and accuracies behind them.
"""

from __future__ import annotations

import atexit
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from attrs import evolve
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from bnao.backends.torch.layers import Half, Norm
from bnao.backends.torch.operations import EPS, Operations
from bnao.backends.torch.supernet import TorchSupernet, _Made
from bnao.config.settings import ROUND_LEVEL, NetworkConfig, SearchConfig
from bnao.data.dataset import Dataset
from bnao.errors import BackendError, ConfigError, RankError
from bnao.protocols import Backend, Mixture, Outcome, Pass
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.training.partial import computed_passes
from bnao.training.shared_weights import SharedWeights

# what torchrun sets
_STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# for which the first rank waits in vain where the process that keeps them has ended, seconds
_KEYS_WITHIN = timedelta(seconds=10)


def join(config: SearchConfig) -> TorchRanks | None:
    """Join the ranks that were started with this one, once; None where the settings ask for one process.

    Raises:
        ConfigError: this process was not started as one of several, or is and the settings say nothing of it.
        BackendError: this rank has no device of its own.
        RankError: the others cannot be reached.
    """
    across = config.ranks.across
    if across == "none":
        if os.environ.get("WORLD_SIZE", "1") != "1" and "RANK" in os.environ:
            raise ConfigError(
                f"this process is one of {os.environ['WORLD_SIZE']} (WORLD_SIZE), and across is none; "
                "take --across batch or --across paths, or start bnao without torchrun"
            )
        return None
    missing = [name for name in _STARTED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"across is {across}, and this process was not started as one of several ({missing[0]} is not set); start "
            f"it by torchrun --standalone --nproc-per-node 2 -m bnao search --across {across}"
        )
    return _joined(_device(config.machine.device))


def _device(wanted: str) -> str:
    """Return the kind of device that this rank takes: with CUDA that of its number on its host.

    Raises:
        ConfigError: a device that several ranks would share.
        BackendError: there are fewer devices than ranks.
    """
    if wanted == "cpu" or (wanted == "auto" and not (torch.cuda.is_available() or torch.backends.mps.is_available())):
        return "cpu"
    if wanted not in ("auto", "cuda") or not torch.cuda.is_available():
        raise ConfigError(f"device is {wanted}, which several ranks cannot have; it must be cpu, or cuda for one each")
    local, here = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= here:
        raise BackendError(f"rank {local} of this host has no device; there are {here}, start at most so many ranks")
    torch.cuda.set_device(local)
    return "cuda"


@cache
def _joined(device: str) -> TorchRanks:
    try:
        store, rank, count = next(rendezvous("env://"))
        dist.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            store=dist.PrefixStore("bnao/group", store), rank=rank, world_size=count,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise RankError(f"the other ranks cannot be reached: {str(error).splitlines()[0]}") from None
    store.set_timeout(_KEYS_WITHIN)
    return TorchRanks(store, rank, count, torch.device(device))


class TorchRanks:
    """The ranks of this training; see ``bnao.parallel.ranks.Ranks``.

    Args:
        store: keys and values that all ranks see.
        rank: number of this one.
        count: how many there are.
        device: where arrays are exchanged.
    """

    def __init__(self, store: Any, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count = rank, count
        self._store, self._device = store, device
        atexit.register(self._leave)
        self._is_whole = True

    def _leave(self) -> None:
        if self._is_whole and dist.is_initialized():
            dist.destroy_process_group()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raise RankError where an exchange fails."""
        try:
            yield
        except RuntimeError:
            self._is_whole = False
            raise RankError(
                f"rank {self.rank} of {self.count} cannot reach the others: one of them has ended"
            ) from None

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all ranks' values, which has the same bits in each; the array is overwritten."""
        with self._reaching():
            dist.all_reduce(values)
            return values

    def any(self, flags: Tensor) -> Tensor:
        """Return which flags are set in any rank; uint8, the array is overwritten."""
        with self._reaching():
            dist.all_reduce(flags, dist.ReduceOp.MAX)
            return flags

    def all(self, values: Tensor) -> Tensor:
        """Return all ranks' values, of one shape, with the rank as the first axis."""
        gathered = [torch.empty_like(values) for _ in range(self.count)]
        with self._reaching():
            dist.all_gather(gathered, values)
        return torch.stack(gathered)

    def numbers(self, own: Sequence[float], most: int) -> NDArray[np.float64]:
        """Return at most so many numbers of each rank, shape (ranks, most); what a rank has less is NaN."""
        values = torch.full((most,), torch.nan, dtype=torch.float64, device=self._device)
        values[: len(own)] = torch.tensor(own, dtype=torch.float64)
        gathered: NDArray[np.float64] = self.all(values).cpu().numpy()
        return gathered

    def share(self, content: bytes) -> bytes:
        """Return what the first rank gives."""
        length = torch.tensor([len(content)], device=self._device)
        with self._reaching():
            dist.broadcast(length, 0)
            held = torch.empty(int(length), dtype=torch.uint8, device=self._device)
            if self.rank == 0 and content:
                held.copy_(torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
            dist.broadcast(held, 0)
        return held.cpu().numpy().tobytes()

    def ends_first(self) -> bool:
        """Return whether this rank is the first to end."""
        try:
            return bool(self._store.add("bnao/ended", 1) == 1)
        except RuntimeError:  # the rank that kept the keys has ended
            return True


class RankedWeights(SharedWeights):
    """Shared weights that several ranks train and score with.

    Args:
        ranks: all of them.
        config: the search.
        dataset: its images.
        backend: as for ``SharedWeights``.

    Raises:
        ConfigError: there is less to divide than ranks.
    """

    def __init__(self, ranks: TorchRanks, config: SearchConfig, dataset: Dataset, backend: Backend) -> None:
        make = partial(RankedSupernet, ranks, config)
        super().__init__(make(dataset.network(config.network)), config, dataset, make, backend)
        self._ranks, self._across = ranks, config.ranks.across
        check_divisible(config, len(dataset.y_train), ranks.count)
        # a step's paths are dealt out one by one, unless each has others beside it that do not refer to it
        training = config.training
        alone = training.companions != "fair" and training.rank_loss == "none"
        self._dealt = config.ranks.across == "paths" and alone

    def _rows(self, place: int, batch: int) -> slice:
        """Return which rows of the batch this rank computes, of the path at a place of a step."""
        rank, count = self._ranks.rank, self._ranks.count
        if not self._dealt:
            return slice(0, batch) if self._across == "paths" else rows_of(batch, rank, count)
        return slice(0, batch) if place % count == rank else slice(0, 0)

    def score(self, genotypes: Sequence[Genotype]) -> NDArray[np.float64]:
        """Score a part of the genotypes, and return what all ranks found.

        Raises:
            RankError: another rank would score other genotypes, or has ended.
        """
        digest = hashlib.blake2b("\n".join(map(str, genotypes)).encode(), digest_size=6).digest()
        digests = self._ranks.numbers([int.from_bytes(digest)], 1)[:, 0]
        if (digests != digests[0]).any():
            other = int(np.argmax(digests != digests[0]))
            raise RankError(f"rank {other} would score other genotypes than rank 0; all need the same kind of machine")
        count = self._ranks.count
        own = super().score(genotypes[self._ranks.rank :: count]).tolist()
        found = self._ranks.numbers(own, -(-len(genotypes) // count))
        return found.T.ravel()[: len(genotypes)]


def check_divisible(config: SearchConfig, images: int, count: int) -> None:
    """Check that each of so many ranks has something to do at each step.

    Args:
        config: the search.
        images: of the train part.
        count: number of ranks.

    Raises:
        ConfigError: a step has less to divide.

    >>> from bnao.config.ranks import RanksConfig
    >>> check_divisible(SearchConfig(ranks=RanksConfig(across="paths", paths=2)), 1000, 4)
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: a step has 2 paths, which 4 ranks cannot divide; give --paths 4, or start fewer ranks
    """
    batch = min(config.training.batch_size, images)
    if config.ranks.across == "batch":
        if batch < count:
            raise ConfigError(
                f"a step has a batch of {batch} images, which {count} ranks cannot divide; give a larger --batch-size, "
                "or start fewer ranks"
            )
        return
    fair = config.training.companions == "fair" if config.strategy in ROUND_LEVEL else config.strategy == "fairnas"
    if config.strategy not in ROUND_LEVEL and not fair:
        raise ConfigError(
            f"across is paths, and strategy {config.strategy} trains one path or mixture at a time; take --across batch"
        )
    space = space_named(config.network.space, config.network.nodes)
    paths = config.ranks.paths_a_step * (len(space.operations) if fair else 1)
    if paths < count:
        remedy = "start fewer ranks" if fair else f"give --paths {count}, or start fewer ranks"
        raise ConfigError(f"a step has {paths} paths, which {count} ranks cannot divide; {remedy}")


class RankedSupernet(TorchSupernet):
    """A supernet whose updates several ranks make together; its weights have the same bits in all.

    Across a batch each rank makes every pass on its own rows, neighbours in the batch, and what it computes counts by
    their share. Across paths each makes some of the passes, those that refer to one another together.

    Args:
        ranks: all of them.
        config, network: as for ``TorchSupernet``.
    """

    def __init__(self, ranks: TorchRanks, config: SearchConfig, network: NetworkConfig) -> None:
        super().__init__(config, network)
        self._ranks, self._across = ranks, config.ranks.across
        self._synced = SyncedOperations(ranks) if config.ranks.sync_norm else None
        #: of each pass of the step at hand the share of its images that this rank has
        self._shares: Sequence[float] = ()

    def _all_made(self, passes: Sequence[Pass]) -> tuple[list[Outcome], dict[Tensor, Tensor]]:
        """Make this rank's part of the passes; return the outcomes and the sum of gradients of all ranks."""
        passes = computed_passes(passes, self.network)
        numbers, own = self._own(passes)
        self._shares = [len(mine.labels) / len(passes[at].labels) for at, mine in zip(numbers, own, strict=True)]
        self.net.operations = self._synced
        try:
            made, gradients = super()._all_made(own) if own else ([], {})
        finally:
            self.net.operations = None
        outcomes = dict(zip(numbers, zip(made, self._shares, strict=True), strict=True))
        figures = [_figures(one, *outcomes.get(at, (None, 0.0))) for at, one in enumerate(passes)]
        trained = list(gradients) if self._across == "batch" else self._used_by_any(gradients)
        parts = [gradients[each] if each in gradients else torch.zeros_like(each) for each in trained]
        parts += [torch.from_numpy(each).to(self.net.device) for each in figures]
        flat = self._ranks.sum(torch.cat([part.detach().reshape(-1) for part in parts]))
        summed = flat.split([part.numel() for part in parts])
        sums = (part.cpu().numpy().astype(np.float64) for part in summed[len(trained) :])
        return (
            [_outcome(one, values) for one, values in zip(passes, sums, strict=True)],
            {each: part.view(each.shape) for each, part in zip(trained, summed, strict=False)},
        )

    def _own(self, passes: Sequence[Pass]) -> tuple[list[int], list[Pass]]:
        """Return this rank's part of the passes, and which of them they are."""
        rank, count = self._ranks.rank, self._ranks.count
        if self._across == "batch":
            return list(range(len(passes))), [_rows(one, rank, count) for one in passes]
        numbers = [at for at, owner in enumerate(_owners(passes, count)) if owner == rank]
        places = {at: place for place, at in enumerate(numbers)}
        return numbers, [
            evolve(
                passes[at],
                teacher=places.get(passes[at].teacher),
                above=places.get(passes[at].above),
            )
            for at in numbers
        ]  # fmt: skip

    def _used_by_any(self, gradients: dict[Tensor, Tensor]) -> list[Tensor]:
        """Return the parameters of which any rank has a gradient, in the order of their names."""
        weights = [weight for weight in self.net.layers.weights.values() if weight.requires_grad]
        used = torch.tensor([weight in gradients for weight in weights], dtype=torch.uint8, device=self.net.device)
        return list(itertools.compress(weights, self._ranks.any(used).tolist()))

    def _term(self, one: Pass, loss: Tensor, earlier: Sequence[_Made]) -> Tensor:
        """Return a pass's term of the update's loss: of the whole batch's, what this rank's rows have in it."""
        share = self._shares[len(earlier)]
        if one.above is None or share == 1:
            return super()._term(one, loss, earlier) * share
        # which of the two losses is the larger, the whole batch says
        own, other = self._ranks.sum(torch.stack([loss.detach(), earlier[one.above].loss]) * share).unbind()
        return loss * (share * one.weight * float(own > other))


def rows_of(batch: int, rank: int, count: int) -> slice:
    """Return a rank's rows of a batch, neighbours in it.

    Raises:
        ConfigError: there are fewer rows than ranks.

    >>> [rows_of(7, rank, count=3) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    """
    if batch < count:
        raise ConfigError(f"a batch of {batch} images, which {count} ranks cannot divide; start fewer ranks")
    return slice(rank * batch // count, (rank + 1) * batch // count)


def _rows(one: Pass, rank: int, count: int) -> Pass:
    """Return a pass over a rank's rows of the batch; no rank has two more than another."""
    rows = rows_of(len(one.labels), rank, count)
    masks = None if one.masks is None else np.ascontiguousarray(one.masks[..., rows])
    return evolve(one, images=one.images[rows], labels=one.labels[rows], masks=masks)


def _owners(passes: Sequence[Pass], count: int) -> list[int]:
    """Return which rank makes each pass; those that refer to one another are one rank's.

    >>> images, labels = np.zeros((1, 8, 8, 3), np.float32), np.zeros(1, np.int64)
    >>> path = space_named("nao", None).random_genotypes(1, np.random.default_rng(0))[0]
    >>> _owners([Pass(path, images, labels, teacher=teacher) for teacher in (None, 0, None, 0)], 2)
    [0, 0, 1, 0]
    """
    groups = list(range(len(passes)))
    for at, one in enumerate(passes):
        for other in (one.teacher, one.above):
            if other is not None:
                groups = [groups[other] if group == groups[at] else group for group in groups]
    order = list(dict.fromkeys(groups))
    return [order.index(group) % count for group in groups]


def _figures(one: Pass, outcome: Outcome | None, share: float) -> NDArray[np.float32]:
    """Return what a rank adds to a pass's outcome: loss, accuracy, and the slope if one is wanted."""
    slope = np.zeros(one.architecture.weights.shape) if _has_slope(one) else np.zeros(0)
    if outcome is None:
        return np.concatenate([np.zeros(2), slope.ravel()]).astype(np.float32)
    slope = slope if outcome.slope is None else outcome.slope
    return np.concatenate([[outcome.loss * share, outcome.accuracy * share], slope.ravel()]).astype(np.float32)


def _has_slope(one: Pass) -> bool:
    return isinstance(one.architecture, Mixture) and one.slope != "no"


def _outcome(one: Pass, values: NDArray[np.float64]) -> Outcome:
    """Return a pass's outcome of the sums of all ranks' figures."""
    slope = values[2:].reshape(one.architecture.weights.shape) if _has_slope(one) else None
    return Outcome(float(values[0]), float(values[1]), slope)


class SyncedOperations(Operations):
    """Operations whose batch norms use mean and variance of all ranks' rows together.

    Args:
        ranks: all of which compute the same path at a time.
    """

    def __init__(self, ranks: TorchRanks) -> None:
        super().__init__(training=True)
        self._ranks = ranks

    def norm(self, x: Tensor, norm: Norm) -> Tensor:
        """Batch norm."""
        normed: Tensor = _SyncedNorm.apply(x, norm.scale, norm.shift, self._ranks)
        return normed

    def _half(self, active: Tensor, half: Half, stride: int, dilation: int = 1) -> Tensor:
        """Depthwise and pointwise convolution and norm."""
        channels, _, kernel, _ = half.depthwise.shape
        x = F.conv2d(active, half.depthwise, None, stride, dilation * (kernel // 2), dilation, channels)
        return self.norm(F.conv2d(x, half.pointwise), half.norm)


class _SyncedNorm(torch.autograd.Function):
    """Batch norm over the rows of all ranks.

    With N values a channel in all ranks, x' = (x - mean) / deviation, and sums over all ranks' values,

        dL/dx = scale / deviation (g - sum(g) / N - x' sum(g x') / N),   g = dL/dy.

    The gradients by scale and shift are those of this rank's rows, since all parameters' are summed later.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, ranks: TorchRanks) -> Tensor:
        values = x.float()
        variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
        n = mean.new_tensor([x.numel() / x.shape[1]])
        means, variances, counts = ranks.all(torch.cat([mean, variance, n])).split([len(mean), len(mean), 1], 1)
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean).square()) * counts).sum(0) / total
        inverse = (variance + EPS).rsqrt()
        ctx.ranks = ranks
        ctx.save_for_backward(x, scale, mean, inverse, total)
        return torch.addcmul(_wide(shift), _normed(values, mean, inverse), _wide(scale)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, mean, inverse, total = ctx.saved_tensors
        g, normed = g.float(), _normed(x.float(), mean, inverse)
        by_shift, by_scale = g.sum((0, 2, 3)), (g * normed).sum((0, 2, 3))
        of_g, of_product = (ctx.ranks.sum(torch.cat([by_shift, by_scale])) / total).chunk(2)
        by_x = (g - _wide(of_g) - normed * _wide(of_product)) * _wide(scale * inverse)
        return by_x.to(x.dtype), by_scale, by_shift, None


def _normed(x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    return (x - _wide(mean)) * _wide(inverse)


def _wide(of_channels: Tensor) -> Tensor:
    """Values of channels as a state has them, for all images and pixels."""
    return of_channels[:, None, None]
