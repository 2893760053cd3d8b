"""Ridge and trees: they learn from few labels, propose what they predict to be best, and say where they cannot."""

import logging
import sys

import numpy as np
import pytest

from bnao.config.settings import ControllerConfig
from bnao.errors import BackendError, DivergedError
from bnao.metrics import kendall_tau
from bnao.space.spaces import SPACES
from bnao.strategies.registry import CONTROLLERS
from bnao.strategies.ridge import KERNELS, RidgeController, _Fitted, _least_error
from bnao.streams import stream

SPACE = SPACES["nas-bench-201"]
POOL = SPACE.random_genotypes(300, stream(0, "surrogate"))
SCORES = np.array([str(genotype).count("conv_3x3") - str(genotype).count("none") for genotype in POOL], dtype=float)


def fitted(name="ridge", n=60, scores=SCORES, **settings):
    if name == "trees":
        pytest.importorskip("sklearn")
    controller = CONTROLLERS[name](SPACE, ControllerConfig(candidates=300, **settings), 0)
    assert list(controller.fit(POOL[:n], scores[:n], round_index=1)) == []
    return controller


@pytest.mark.parametrize("name", ["ridge", "trees"])
def test_sixty_labels_rank_what_was_not_seen_and_proposals_beat_the_pool(name):
    controller = fitted(name)

    proposed = controller.propose(POOL[:5], 10, lambda genotype: genotype not in POOL[:60], round_index=1)

    assert kendall_tau(controller.predict(POOL[60:]), SCORES[60:]) > 0.6
    assert len(set(proposed)) == 10
    of_proposed = [str(genotype).count("conv_3x3") - str(genotype).count("none") for genotype in proposed]
    assert np.mean(of_proposed) > SCORES.mean() + 2 * SCORES.std()


@pytest.mark.parametrize("name", ["ridge", "trees"])
def test_they_are_measured_on_a_held_out_tenth_and_decode_nothing(name):
    found = fitted(name).held_out()

    # ridge leaves each out in turn
    assert (found.learned_from, found.n) == ((59, 60) if name == "ridge" else (54, 6))
    assert found.reconstruction_distance is None
    assert found.kendall_tau > 0.4
    assert fitted(name, held_out=0.0).held_out() is None


@pytest.mark.parametrize("name", ["ridge", "trees"])
def test_the_same_seed_and_round_learn_and_propose_the_same(name):
    one, other = fitted(name), fitted(name)

    assert one.predict(POOL[60:80]).tolist() == other.predict(POOL[60:80]).tolist()
    proposed = [each.propose(POOL[:3], 5, lambda genotype: True, round_index=1) for each in (one, other)]
    assert proposed[0] == proposed[1]


@pytest.mark.parametrize(
    ("n", "scores", "message"),
    [
        (60, np.ones(300), "all 60 scores are 1: there is no order to learn"),
        (2, SCORES, "2 scored genotypes are too few to learn from"),
    ],
)
def test_where_there_is_no_order_to_learn_one_line_says_so_and_proposals_are_random(n, scores, message, caplog):
    with caplog.at_level(logging.WARNING, logger="bnao"):
        controller = fitted(n=n, scores=scores)

    assert message in caplog.text
    assert len(caplog.records) == 1
    assert controller.predict(POOL[:3]).tolist() == [0, 0, 0]
    assert len(controller.propose(POOL[:3], 5, lambda genotype: True, round_index=1)) == 5


def test_a_score_that_is_no_number_is_refused_with_its_place():
    with pytest.raises(DivergedError, match=r"scores\[7\] is nan"):
        fitted(scores=np.where(np.arange(300) == 7, np.nan, SCORES))


def test_of_a_table_the_most_promising_rows_are_chosen():
    controller = fitted(explore=0.0)

    chosen = controller.choose(POOL[60:], 20, round_index=1)

    predicted = controller.predict(POOL[60:])
    assert sorted(controller.predict(chosen))[0] >= np.sort(predicted)[-20] - 1e-9


def test_leaving_out_one_at_a_time_is_what_the_shortcut_computes():
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((12, 4)), rng.standard_normal(12)
    targets -= targets.mean()

    best = _least_error(features, targets, "gaussian")

    def error(width, penalty):
        total = 0.0
        for left in range(12):
            kept = np.delete(np.arange(12), left)
            matrix = KERNELS["gaussian"](features[kept], features[kept], width) + penalty * np.eye(11)
            cross = KERNELS["gaussian"](features[left : left + 1], features[kept], width)
            total += (targets[left] - (cross @ np.linalg.solve(matrix, targets[kept]))[0]) ** 2
        return total

    from bnao.strategies.ridge import PENALTIES, WIDTHS

    assert best.errors @ best.errors == pytest.approx(error(best.width, best.penalty))
    assert error(best.width, best.penalty) == pytest.approx(min(error(w, p) for w in WIDTHS for p in PENALTIES))


def test_what_was_learned_is_certain_and_what_is_far_from_it_is_not():
    features, targets = np.eye(5), np.array([1.0, -1, 0.5, -0.5, 0])
    fit = _Fitted.of(features, targets, "gaussian", 0.3, 0.01)

    mean, deviation = fit.expected(np.concatenate([features, np.full((1, 5), 9.0)]))

    assert mean[:5] == pytest.approx(targets, abs=0.05)
    assert mean[5] == pytest.approx(0, abs=1e-6)
    assert deviation[5] > 5 * deviation[:5].max()


def test_ridge_regression_proper_is_linear_in_the_features():
    controller = fitted(kernel="linear")
    assert isinstance(controller, RidgeController)

    one, other = np.full((1, 3), 1.0), np.full((1, 3), -1.0)
    fit = _Fitted.of(np.eye(3), np.array([1.0, 0, -1]), "linear", 1.0, 0.1)
    assert fit.expected(one)[0] == pytest.approx(-fit.expected(other)[0])


def test_trees_without_scikit_learn_say_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)

    with pytest.raises(BackendError, match=r"controller 'trees' needs scikit-learn.*pip install 'bnao\[trees\]'"):
        CONTROLLERS["trees"](SPACE, ControllerConfig(), 0)
