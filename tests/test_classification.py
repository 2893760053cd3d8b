"""What logits say of labelled images, against sums by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnao.classification import Classification, binomial_error, log_likelihoods
from bnao.errors import RankingError
from bnao.streams import stream


def test_a_log_likelihood_is_that_of_the_softmax():
    # softmax of (0, log 3) is (1/4, 3/4)
    found = log_likelihoods([[0, math.log(3)], [0, math.log(3)], [5, 5]], [0, 1, 0])

    assert found == pytest.approx([math.log(1 / 4), math.log(3 / 4), math.log(1 / 2)])


@pytest.mark.parametrize("shift", [0, 1e6, -1e6, 3e38])
def test_logits_of_any_height_neither_overflow_nor_vanish(shift):
    logits = np.array([[1, 0], [0, 1]], np.float64) + shift

    found = log_likelihoods(logits, [0, 0])

    assert np.isfinite(found).all()
    if abs(shift) < 1e9:
        assert found == pytest.approx([-math.log(1 + math.exp(-1)), -math.log(1 + math.exp(1))], rel=1e-6)


def test_float32_logits_are_summed_in_float64():
    logits = np.zeros((1, 100_000), np.float32)

    assert log_likelihoods(logits, [7])[0] == pytest.approx(-math.log(100_000), rel=1e-12)


def test_figures_of_four_images_by_hand():
    logits = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3]])

    found = Classification.of([(logits[:3], [0, 1, 2]), (logits[3:], [0])])

    assert (found.images, found.classes, found.accuracy, found.error) == (4, 3, 0.5, 0.5)
    assert found.standard_error == 0.25  # sqrt(0.5 x 0.5 / 4)
    assert (found.top_error(1), found.top_error(2), found.top_error(3)) == (0.5, 0.25, 0)
    each = [math.log(p) for p in (0.7, 0.3, 0.8, 0.2)]
    mean = sum(each) / 4
    assert found.log_likelihood == pytest.approx(mean)
    assert found.log_likelihood_error == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in each) / 3 / 4))
    assert found.class_images() == (2, 1, 1)
    assert found.class_accuracies() == (0.5, 0.0, 1.0)


def test_a_class_without_images_has_no_accuracy_and_one_image_no_error_of_its_likelihood():
    found = Classification.of([([[1, 0]], [0])])

    assert math.isnan(found.class_accuracies()[1])
    assert math.isnan(found.log_likelihood_error)


def test_no_images_are_refused():
    with pytest.raises(RankingError, match="no image was classified"):
        Classification.of([])


@given(st.integers(1, 40), st.integers(2, 12), st.integers(0, 1000))
def test_the_accuracy_is_the_share_of_largest_logits_and_batches_change_nothing(n, classes, seed):
    rng = stream(seed, "classification")
    logits, labels = rng.normal(size=(n, classes)).astype(np.float32), rng.integers(classes, size=n)

    whole, parts = (
        Classification.of([(logits, labels)]),
        Classification.of([(logits[: n // 2], labels[: n // 2]), (logits[n // 2 :], labels[n // 2 :])]),
    )

    assert whole.accuracy == (logits.argmax(1) == labels).sum() / n
    assert whole.accuracy == parts.accuracy
    assert whole.log_likelihood == parts.log_likelihood


def test_the_error_of_a_share_is_greatest_at_one_half():
    assert binomial_error(0.5, 10_000) == 0.005
    assert binomial_error(1.0, 10) == binomial_error(0.0, 10) == 0
