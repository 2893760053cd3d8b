"""What test_torch_ranks.py lets ranks compute, and one process: updates of a supernet, and scores."""

import sys

import numpy as np

import bnao
from bnao.config.ranks import RanksConfig
from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.protocols import Pass
from bnao.space.mixture import mixture_of
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.schedules import path_masks

_UNBOUNDED = 1e9
SPACE = space_named("nao", 3)
POOL = SPACE.random_genotypes(5, stream(0, "ranks"))
DATA = small_dataset()


def weights(share_over="edge", paths=None, training=(), **ranks):
    """A supernet with its images; one step of it leaves the gradients as momenta."""
    settings = {"batch_size": 25, "drop_path_keep": 0.6, "weight_decay": 0.0, "gradient_norm": _UNBOUNDED}
    config = SearchConfig(
        rounds=1,
        network=NetworkConfig(channels=8, cells=1, nodes=3, share_over=share_over),
        training=TrainingConfig(**settings, **dict(training)),
        ranks=RanksConfig(paths=paths, **ranks),
    )
    return bnao.load_backend("torch").supernet(config, DATA)


def given(architecture, b=25, **options):
    # with other images, and more so with mixtures of more operations, rounding alone may take a value over a ReLU's
    # kink and change gradients by a thousandth, as another order of the images does in one process
    rng = stream(0, "images of ranks")
    labels = rng.integers(4, size=b)
    images = rng.standard_normal((b, 12, 12, 3), np.float32)
    masks = path_masks(NetworkConfig(cells=1, nodes=3), 0, 0, 0.6, b, place=0, places=1)
    return Pass(architecture, images, labels, None if "slope" in options else masks, **options)


def passes(what):
    """Passes over one batch of an odd number of images."""
    if what == "path":
        return [given(POOL[0])]
    if what == "taught":
        return [given(POOL[0]), given(POOL[1], teacher=0, weight=0.5), given(POOL[2], learn=False)]
    if what == "ranked":
        return [given(POOL[0]), given(POOL[1]), given(POOL[0], above=1), given(POOL[1], above=0)]
    return [given(mixture_of(POOL[0], SPACE), slope="used")]


PASSES = ("path", "taught", "ranked", "mixture")


def made(shared, what):
    """Outcomes and state after an update."""
    outcomes = shared.supernet.step(passes(what), 0.1)
    figures = np.array([[each.loss, each.accuracy] for each in outcomes])
    slopes = {f"slope {at}": each.slope for at, each in enumerate(outcomes) if each.slope is not None}
    return {**shared.state(), "outcomes": figures, **slopes}


def trained(shared, steps=4):
    """Losses and state after some steps, and scores by the weights."""
    drawn = stream(0, "drawn by ranks").integers(len(POOL), size=steps)
    losses = [step.loss for step in shared.train(POOL, drawn, round_index=0)]
    return {**shared.state(), "losses": np.array(losses), "scores": shared.score(POOL)}


def each_step(shared, per_step, before=None):
    """State and loss after each of some steps, and scores at the end; each from the state before it, where given."""
    drawn = stream(0, "drawn by ranks").integers(len(POOL), size=4 * per_step)
    kept = {}
    for at in range(4):
        if before is not None and at:
            start = f"{at - 1}."
            shared.load_state(
                {name.removeprefix(start): each for name, each in before.items() if name.startswith(start)}
            )
        loss = next(shared.train(POOL, drawn, round_index=0, start=at)).loss
        kept |= {f"{at}.{name}": value for name, value in shared.state().items()} | {f"loss {at}": np.array(loss)}
    return {**kept, "scores": shared.score(POOL)}


def main(out):
    from bnao.backends.torch.ranks import join

    kept = {}
    for what in PASSES:
        share_over = "source" if what == "mixture" else "edge"
        kept[what] = made(weights(share_over, across="batch", sync_norm=True), what)
    kept["owned"] = made(weights(across="paths", paths=2), "taught")
    kept["batch"] = trained(weights(across="batch"))
    kept["paths"] = each_step(weights(across="paths", paths=3), per_step=3)
    kept["fair"] = trained(weights(across="paths", training={"companions": "fair"}), steps=1)
    arrays = {f"{name}/{part}": value for name, parts in kept.items() for part, value in parts.items()}
    rank = join(SearchConfig(ranks=RanksConfig(across="batch"))).rank
    np.savez(f"{out}/rank{rank}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
