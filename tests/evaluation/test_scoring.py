"""One-shot scores of any genotypes, and stored networks tested again."""

import numpy as np
import pytest
from attrs import evolve
from pretend_backend import BACKEND
from trained_networks import trained_network

from bnao.backends.table import TableSupernet
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import DataError, GenotypeError
from bnao.evaluation.scoring import check_fits, classify_test_images, score_genotypes
from bnao.space.spaces import SPACES
from bnao.streams import stream
from bnao.testing import small_dataset

POOL = SPACES["nao"].random_genotypes(12, stream(0, "scoring"))
CONFIG = SearchConfig(network=NetworkConfig(channels=4, cells=1))


class WithoutLogits:
    """A supernet that scores and says no more."""

    def __init__(self, supernet):
        self.network, self.scored_images, self.score = supernet.network, supernet.scored_images, supernet.score


def test_scores_are_the_supernets_own_with_and_without_logits():
    supernet = BACKEND.supernet(CONFIG, small_dataset())

    with_logits, without = score_genotypes(POOL, supernet), score_genotypes(POOL, WithoutLogits(supernet))

    assert [entry.genotype for entry in with_logits] == POOL
    assert [entry.score for entry in with_logits] == supernet.score(POOL).tolist()
    assert [entry.score for entry in without] == supernet.score(POOL).tolist()
    assert [entry.standard_error for entry in without] == [entry.standard_error for entry in with_logits]
    assert all(entry.log_likelihood < 0 < entry.log_likelihood_error for entry in with_logits)
    assert all(entry.log_likelihood is None for entry in without)


def test_a_table_has_scores_alone():
    table = TableSupernet(POOL, np.linspace(70, 80, 12), NetworkConfig())

    scored = score_genotypes(POOL[:2], table)

    assert [entry.score for entry in scored] == [70, 70 + 10 / 11]
    assert {(entry.standard_error, entry.log_likelihood) for entry in scored} == {(None, None)}


def test_none_are_scored_as_none():
    assert score_genotypes([], BACKEND.supernet(CONFIG, small_dataset())) == []


def test_a_genotype_of_another_space_is_refused_by_its_place():
    supernet = BACKEND.supernet(CONFIG, small_dataset())
    other = SPACES["darts"].random_genotypes(1, stream(0, "other"))

    with pytest.raises(GenotypeError, match=r"^genotype 1: the normal cell has 4 nodes"):
        score_genotypes([POOL[0], *other], supernet)


# --- a network that is tested again


class Bright:
    """A backend whose networks tell class 1 where the mean of the normalised image is above 0."""

    def __init__(self):
        self.asked = None

    def stand_alone(self, genotype, config, dataset, *, seed):
        self.asked, self.images = config, dataset
        return self

    def state(self):
        return {"what the file lacks": np.zeros(1)}

    def load_state(self, state):
        self.loaded = set(state)

    def logits(self, images):
        mean = self.images.normalised(images).mean((1, 2, 3))
        return np.stack([np.zeros_like(mean), mean, mean - 9, mean - 9], 1)


def network_for(dataset):
    return trained_network(POOL[0], dataset.network(CONFIG.network))


def test_a_network_is_tested_on_the_test_part_normalised_as_its_training_images():
    dataset, backend = small_dataset(), Bright()
    trained = network_for(dataset)

    found = classify_test_images(trained, backend, dataset)

    own = ((dataset.x_test / 255 - trained.mean) / trained.std).mean((1, 2, 3)) > 0
    assert found.accuracy == (own == dataset.y_test).mean()
    assert found.images == len(dataset.y_test)
    assert backend.loaded == {"what the file lacks", *trained.weights}
    assert (backend.asked.network, backend.asked.training.auxiliary) == (trained.network, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"image": (16, 16, 3)},
            r"the images are \d+ x \d+ pixels; the network was trained on 16 x 16; .* --image-size 16",
        ),
        ({"image": (16, 24, 3)}, r"the network was trained on 16 x 24$"),
        ({"image": (12, 12, 1)}, r"the images have 3 channels; the network was trained on images of 1"),
        ({"classes": 7}, r"the images are of 4 classes; the network was trained on 7"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_a_line(change, told):
    dataset = small_dataset()
    network = evolve(dataset.network(CONFIG.network), **change)

    with pytest.raises(DataError, match=told):
        check_fits(trained_network(POOL[0], network), dataset)
