"""The predictor alone: held-out genotypes, the same steps for every part, and what goes on after a stop."""

import numpy as np
import pytest
from attrs import evolve

from bnao.config.fields import build
from bnao.config.table_studies import PredictorConfig
from bnao.errors import ConfigError, DataError
from bnao.run import Folder
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.studies.predictor import Predicting, PredictorStudy, study_predictor

SPACE = SPACES["nas-bench-201"]
POOL = SPACE.random_genotypes(100, stream(0, "predictor"))
SCORES = np.linspace(0, 1, 100)
CONFIG = build(PredictorConfig, {"space": "nas-bench-201", "sizes": "10,50", "seeds": 2, "steps": 40})


MADE = []


class Knowing:
    """Knows the scores of all, and remembers what it was taught."""

    def __init__(self, config, seed):
        self.config, self.seed, self.known = config, seed, {}
        MADE.append(self)

    def fit(self, genotypes, scores, *, round_index):
        self.known = dict(zip(genotypes, scores, strict=True))
        yield from ()

    def propose(self, seeds, n, accept, *, round_index):
        return []

    def predict(self, genotypes):
        assert not set(genotypes) & set(self.known)  # what it was taught is not held out
        return np.array([SCORES[POOL.index(genotype)] for genotype in genotypes])


def test_what_is_learned_from_is_not_predicted_and_each_training_has_about_the_same_steps():
    MADE.clear()

    study = study_predictor(CONFIG, POOL, SCORES, Knowing)

    assert study.tau.tolist() == [[1, 1], [1, 1]]
    assert study.held_out == (90, 50)
    # 10 copies in batches of 100: 1 and 5 steps an epoch
    assert [(len(one.known), one.config.epochs) for one in MADE] == [(10, 40), (50, 8)] * 2
    assert isinstance(MADE[0], Predicting)
    assert PredictorStudy.from_json(study.to_json()).to_json() == study.to_json()


def test_finished_trainings_are_not_made_again(tmp_path):
    MADE.clear()
    folder = Folder(tmp_path)
    whole = study_predictor(CONFIG, POOL, SCORES, Knowing, folder=folder)
    made = len(MADE)

    again = study_predictor(CONFIG, POOL, SCORES, Knowing, folder=folder)

    assert (made, len(MADE)) == (4, 4)
    assert again.to_json() == whole.to_json()


def test_a_part_that_leaves_nothing_to_predict_is_refused():
    with pytest.raises(ConfigError, match="sizes has 98, and the table has 100 genotypes; at least 3 must be left"):
        study_predictor(evolve(CONFIG, sizes="98"), POOL, SCORES, Knowing)


@pytest.mark.parametrize("sizes", ["", "5,x", "1,5"])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ConfigError, match="sizes is"):
        build(PredictorConfig, {"sizes": sizes})


def test_scores_that_are_all_equal_have_no_order_to_predict():
    with pytest.raises(DataError, match="all 100 scores are 0; they have no order to predict"):
        study_predictor(CONFIG, POOL, np.zeros(100), Knowing)


def test_the_seconds_of_each_training_are_kept_and_older_studies_are_read_without():
    study = study_predictor(CONFIG, POOL, SCORES, Knowing)
    content = study.to_json()
    older = {
        **content,
        "predictor": [{k: v for k, v in row.items() if k != "each_seconds"} for row in content["predictor"]],
    }
    del older["controller"]

    assert study.seconds.shape == (2, 2)
    assert (study.seconds >= 0).all()
    assert np.isnan(PredictorStudy.from_json(older).seconds).all()
    assert PredictorStudy.from_json(older).controller == "nao"
