import math

import numpy as np
import pytest

from bnao.config.evaluation import StandAloneTrainingConfig
from bnao.config.training import TrainingConfig
from bnao.errors import ConfigError
from bnao.training.schedules import (
    cosine,
    drop_path_masks,
    dropout_mask,
    keep_probabilities,
    stand_alone_rate,
    supernet_rate,
)


def test_the_learning_rate_falls_from_the_top_to_the_end_as_a_half_cosine():
    rates = [cosine(step, 100, top=0.025, end=0.001) for step in range(101)]

    assert rates[0] == 0.025
    assert rates[50] == pytest.approx(0.013)  # halfway between
    assert rates[25] == pytest.approx(0.013 + 0.012 * math.sqrt(0.5))
    assert rates[100] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)


def test_keep_probabilities_are_linear_in_depth_and_in_progress():
    # 1 - (d + 1) / D x (t + 1) / T x (1 - keep)
    assert keep_probabilities(5, step=0, steps=2, keep=0.9).tolist() == pytest.approx([0.99, 0.98, 0.97, 0.96, 0.95])
    assert keep_probabilities(5, step=1, steps=2, keep=0.9).tolist() == pytest.approx([0.98, 0.96, 0.94, 0.92, 0.9])


def test_a_keep_of_one_drops_nothing():
    keep = keep_probabilities(5, step=99, steps=100, keep=1.0)

    assert keep.tolist() == [1] * 5
    assert np.all(drop_path_masks(0, 3, keep, nodes=5, edges=2, batch=8) == 1)
    assert np.all(dropout_mask(0, 3, 1.0, (8, 40)) == 1)


def test_a_drop_path_mask_is_zero_or_one_over_keep_with_mean_one():
    keep = np.array([0.9, 0.5])

    masks = drop_path_masks(0, 0, keep, nodes=10, edges=2, batch=1000)

    assert masks.shape == (2, 10, 2, 1000)
    assert masks.dtype == np.float32
    for mask, probability in zip(masks, keep, strict=True):
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / probability)}
        deviation = math.sqrt((1 - probability) / probability / mask.size)
        assert abs(mask.mean() - 1) < 5 * deviation


def test_each_image_and_edge_is_dropped_by_itself():
    kept = drop_path_masks(0, 0, np.array([0.5, 0.5]), nodes=5, edges=2, batch=2000).reshape(20, 2000) > 0

    correlations = np.corrcoef(kept)[~np.eye(20, dtype=bool)]
    assert np.abs(correlations).max() < 5 / math.sqrt(2000)


def test_masks_are_a_function_of_seed_and_step():
    def mask(seed, step):
        return drop_path_masks(seed, step, np.array([0.5]), nodes=2, edges=2, batch=16).tobytes()

    assert mask(1, 7) == mask(1, 7)
    assert len({mask(seed, step) for seed in (1, 2) for step in (7, 8)}) == 4


def test_a_dropout_mask_is_zero_or_one_over_keep_and_differs_by_step():
    mask = dropout_mask(0, 0, 0.6, (100, 1000))

    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.6)}
    assert abs((mask > 0).mean() - 0.6) < 5 * math.sqrt(0.6 * 0.4 / mask.size)
    assert not np.array_equal(mask, dropout_mask(0, 1, 0.6, (100, 1000)))


def test_the_stand_alone_rate_follows_the_schedule_the_settings_name():
    cosine_config = StandAloneTrainingConfig(learning_rate=0.1)
    exponential_config = StandAloneTrainingConfig(learning_rate=0.1, schedule="exponential", decay=0.5)

    # 4 steps an epoch, 2 epochs: half way down the cosine at step 4; one decay at step 4
    assert stand_alone_rate(cosine_config, 4, 4, 2) == pytest.approx(0.05)
    assert [stand_alone_rate(exponential_config, step, 4, 2) for step in (0, 3, 4, 7)] == [0.1, 0.1, 0.05, 0.05]


def test_a_cosine_restarts_after_periods_that_double():
    config = StandAloneTrainingConfig(schedule="restarts", period=1, learning_rate=0.1, learning_rate_end=0.0)

    # of 2 steps an epoch: periods of 2, 4 and 8 steps
    rates = [stand_alone_rate(config, step, 2, 7) for step in range(14)]
    assert [step for step, rate in enumerate(rates) if rate == 0.1] == [0, 2, 6]
    assert [rates[step] for step in (1, 4, 10)] == pytest.approx([0.05] * 3)


def test_over_the_whole_search_a_supernets_rate_falls_without_a_restart():
    over_all = TrainingConfig(span="search", learning_rate=0.1, learning_rate_end=0.0)
    rates = [supernet_rate(over_all, step, 2, round_index, 3) for round_index in range(3) for step in range(2)]

    assert rates == pytest.approx([cosine(step, 6, 0.1, 0.0) for step in range(6)])
    with pytest.raises(ConfigError, match="split_rate must be continue"):
        TrainingConfig(span="search", split_at="0.5:edge")
