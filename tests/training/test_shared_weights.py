"""A supernet with its images: what each step hands it, and what is made of its logits."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.ranks import RanksConfig
from bnao.config.settings import NetworkConfig, SearchConfig, TrainingConfig
from bnao.data.dataset import augmented_batch
from bnao.errors import ConfigError, DivergedError
from bnao.network.size import count_parameters
from bnao.protocols import Classifying, Outcome, Scorer, Supernet, check_provides
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset
from bnao.training.shared_weights import SharedWeights
from bnao.training.steps import scored_batches, supernet_steps

POOL = SPACES["nao"].random_genotypes(3, stream(0, "shared weights test"))
CONFIG = SearchConfig(network=NetworkConfig(channels=4, cells=1), training=TrainingConfig(batch_size=32))


class Recorder:
    """A supernet without a framework: its loss is what it was told, its logits tell the genotype and the images."""

    def __init__(self, dataset, losses=()):
        self.network = dataset.network(CONFIG.network)
        self.losses, self.steps, self.batches = list(losses), [], []

    def step(self, passes, rate):
        self.steps.append((passes, rate))
        return [Outcome(self.losses.pop(0) if self.losses else 1.0, 0.5) for _ in passes]

    def logits(self, architecture, images):
        self.batches.append(images)
        brightness = images.mean((1, 2, 3))
        return np.stack([brightness, np.zeros_like(brightness), -brightness, brightness * 0 - 9], 1)

    def state(self):
        return {"steps": np.float32([len(self.steps)])}

    def load_state(self, state):
        self.steps = [None] * int(state["steps"][0])


def shared(**options):
    dataset = small_dataset()
    supernet = Recorder(dataset, **options)
    return SharedWeights(supernet, CONFIG, dataset), supernet, dataset


def test_it_is_all_that_a_search_asks_for_and_more():
    weights, supernet, _ = shared()

    check_provides(weights, Scorer, "supernet")
    check_provides(supernet, Supernet, "supernet")
    assert isinstance(weights, Classifying)


def test_each_step_is_one_pass_over_the_batch_that_seed_round_and_step_decide():
    weights, supernet, dataset = shared()
    drawn = np.array([2, 0, 1, 0])

    steps = list(weights.train(POOL, drawn, round_index=1, start=1))

    wanted = list(supernet_steps(CONFIG, dataset, weights.network, POOL, drawn, 1, 1))
    assert [(step.step, step.index) for step in steps] == [(1, 0), (2, 1), (3, 0)]
    for (passes, rate), expected in zip(supernet.steps, wanted, strict=True):
        (one,) = passes
        assert (one.architecture, one.learn, one.weight, rate) == (expected.genotype, True, 1.0, expected.rate)
        assert (one.images == expected.images).all()
        assert (one.masks == expected.masks).all()


def test_a_loss_that_is_not_finite_is_told_with_its_place():
    weights, _, _ = shared(losses=[1.0, np.nan])

    with pytest.raises(DivergedError, match=r"the loss is nan at round 1, step 2, .*, genotype \d:"):
        list(weights.train(POOL, np.zeros(5, np.int64), round_index=0))


def test_every_architecture_is_classified_by_the_same_normalised_batches():
    weights, supernet, dataset = shared()

    found = weights.classify(POOL[:2])

    batches = [dataset.normalised(part) for part in scored_batches(dataset.x_dev)]
    assert len(supernet.batches) == 2 * len(batches)
    assert all((supernet.batches[2 * index] == batch).all() for index, batch in enumerate(batches))
    logits = np.concatenate([Recorder(dataset).logits(None, batch) for batch in batches]).astype(np.float64)
    assert found[0].accuracy == (logits.argmax(1) == dataset.y_dev).mean()
    likely = logits[np.arange(len(logits)), dataset.y_dev] - np.log(np.exp(logits).sum(1))
    assert found[0].log_likelihood == pytest.approx(likely.mean())
    assert weights.score(POOL).tolist() == [found[0].accuracy] * 3


def test_dev_images_can_be_scored_as_training_images_are_shown():
    _, supernet, dataset = shared()
    config = evolve(CONFIG, data=evolve(CONFIG.data, dev_augment=True, cutout=2, jitter=0.1))
    weights = SharedWeights(supernet, config, dataset)

    first, again = weights.score(POOL), weights.score(POOL[::-1])[::-1]

    assert first.tolist() == again.tolist()
    scored = [batch for batch in supernet.batches]
    parts = scored_batches(dataset.x_dev)
    assert (scored[0] == augmented_batch(dataset, parts[0], 0, config.data.split_seed, config.data)).all()
    assert (scored[0] != dataset.normalised(parts[0])).any()
    other = SharedWeights(supernet, evolve(config, seed=7), dataset)
    supernet.batches.clear()
    other.score(POOL)
    assert all((ours == theirs).all() for ours, theirs in zip(scored, supernet.batches, strict=False))


def test_a_search_can_score_by_the_log_likelihood():
    _, supernet, dataset = shared()
    weights = SharedWeights(supernet, evolve(CONFIG, score="log-likelihood"), dataset)

    assert weights.score(POOL).tolist() == [found.log_likelihood for found in weights.classify(POOL)]


def test_a_supernet_that_nobody_makes_anew_is_not_split():
    _, supernet, dataset = shared()
    network, training = evolve(CONFIG.network, share_over="cell"), evolve(CONFIG.training, split_at="0.5:edge")

    with pytest.raises(ConfigError, match=r"^split_at is 0.5:edge, and the supernet, of class Recorder, is not split"):
        SharedWeights(supernet, evolve(CONFIG, network=network, training=training), dataset)


def test_of_a_pair_the_larger_path_is_also_held_below_the_smaller_ones_loss():
    _, supernet, dataset = shared()
    training = evolve(CONFIG.training, rank_loss="parameters", rank_weight=2.0, rank_growth=0.5)
    weights = SharedWeights(supernet, evolve(CONFIG, rounds=1, training=training), dataset)

    steps = list(weights.train(POOL, np.arange(12) % 3, round_index=0))

    sizes = dict(zip(POOL, count_parameters(POOL, supernet.network).tolist(), strict=True))
    pairs = 0
    for step, (passes, _) in zip(steps, supernet.steps, strict=True):
        assert POOL[step.index] in [one.architecture for one in passes]
        assert all((one.weight, one.above) == (1.0, None) for one in passes[:2])
        if step.step and len(passes) > 1:
            smaller, larger, ranked = passes
            assert sizes[smaller.architecture] < sizes[larger.architecture]
            assert ranked.architecture == larger.architecture
            assert (ranked.above, ranked.weight) == (0, min(2.0, step.step / 3))
            pairs += 1
    assert pairs > 3
    assert len(supernet.steps[0][0]) < 3  # the weight begins at 0


def test_a_data_set_of_one_dev_image_is_scored():
    dataset = small_dataset()
    weights = SharedWeights(
        Recorder(dataset), CONFIG, evolve(dataset, x_dev=dataset.x_dev[:1], y_dev=dataset.y_dev[:1])
    )

    assert weights.score(POOL[:1])[0] in (0, 1)


def test_several_paths_a_step_have_batches_of_their_own_and_are_averaged():
    dataset = small_dataset()
    config = evolve(CONFIG, ranks=RanksConfig(paths=2))
    recorder = Recorder(dataset, losses=[1.0, 2.0, 3.0, 5.0])
    weights = SharedWeights(recorder, config, dataset)

    steps = list(weights.train(POOL, np.array([0, 1, 2, 0]), round_index=0))

    assert weights.epoch_steps == 2  # of 160 images, 64 a step
    assert [(step.step, step.index, step.loss) for step in steps] == [(0, 0, 1.5), (1, 2, 4.0)]
    one_each = list(supernet_steps(CONFIG, dataset, weights.network, POOL, np.array([0, 1, 2, 0]), 0, 0))
    passes = [one for step, _ in recorder.steps for one in step]
    assert [one.weight for one in passes] == [0.5] * 4
    assert [one.architecture for one in passes] == [POOL[0], POOL[1], POOL[2], POOL[0]]
    assert all((one.images == step.images).all() for one, step in zip(passes, one_each, strict=True))


def test_paths_that_teach_or_are_ranked_refer_to_passes_of_their_own_path():
    dataset = small_dataset()
    config = evolve(CONFIG, training=evolve(CONFIG.training, companions="sandwich"), ranks=RanksConfig(paths=2))
    sizes = count_parameters(POOL, dataset.network(CONFIG.network))
    small = int(np.argmin(sizes))
    recorder = Recorder(dataset)

    list(SharedWeights(recorder, config, dataset).train(POOL, np.array([small, small]), round_index=0))

    ((passes, _),) = recorder.steps
    assert [one.teacher for one in passes] == [None, 0, None, 2]
