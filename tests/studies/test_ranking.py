"""The ranking study: which genotypes, whose truth, which supernets, and what goes on after a stop."""

import json
import re

import numpy as np
import pytest
from attrs import evolve
from pretend_backend import _Backend as PretendBackend

from bnao.cli.study_reports import ranking_report
from bnao.config.arms import PlannedSupernet, SamplerSpec
from bnao.config.fields import build
from bnao.config.presets import preset
from bnao.config.settings import NetworkConfig
from bnao.config.studies import StudyConfig
from bnao.data.dataset import load_dataset
from bnao.errors import ConfigError, DataError
from bnao.metrics import FIGURES, kendall_tau, mean_ranks, pairwise_accuracy
from bnao.network.size import count_parameters
from bnao.run import Folder, Run
from bnao.space.canonical import computed_form
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from bnao.studies import plots
from bnao.studies.genotypes import chosen_genotypes, trained_genotypes
from bnao.studies.joined import JoinedRankings
from bnao.studies.ranking import RankingStudy, study_ranking
from bnao.studies.sets import study_ranking_sets
from bnao.studies.supernets import supernet_config
from bnao.studies.truth import alone_config, known_truth, training_name
from bnao.testing import small_dataset

NETWORK = NetworkConfig(channels=4, cells=1, nodes=2, image=(8, 8, 1))
SMALL = build(
    StudyConfig,
    {
        "genotypes": 6, "epochs": "1,2", "seeds": 2, "repeats": 2, "alone_epochs": 2, "top": 2, "resamples": 100,
        "network": {"channels": 4, "cells": 1, "nodes": 2}, "training": {"batch_size": 8},
        "alone": {"channels": "supernet", "cells": "supernet", "cutout": "supernet"},
    },
)  # fmt: skip


def sizes_of(genotypes):
    return count_parameters(genotypes, NETWORK)


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("uniform", SamplerSpec("uniform", 0.0)),
        ("proportional", SamplerSpec("proportional", 1.0)),
        (" proportional:0.5 ", SamplerSpec("proportional", 0.5)),
        ("budget:2", SamplerSpec("budget", 2.0)),
    ],
)
def test_a_sampler_is_named_with_its_power_of_the_size(text, arm):
    assert SamplerSpec.parse(text) == arm
    assert SamplerSpec.parse(str(arm)) == arm


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samplers": "uniform,best"}, r"samplers has 'best'; each is uniform, proportional, budget"),
        ({"samplers": "uniform:2"}, r"samplers has 'uniform:2'"),
        ({"samplers": "proportional:x"}, r"samplers has 'proportional:x'"),
        (
            {"samplers": "uniform,proportional:50"},
            r"'proportional:50'; .* power of the size from -10 to 10",
        ),
        ({"samplers": "uniform,uniform"}, r"it names one twice"),
        ({"epochs": "5,x"}, r"epochs is '5,x'; it must be whole numbers >= 1 that rise"),
        ({"epochs": "5,3"}, r"epochs is '5,3'"),
        (
            {"sizes": "diverse,tall"},
            r"sizes is 'diverse,tall'; it must be one or several of diverse, similar, spread",
        ),
        ({"sizes": "diverse,diverse"}, r"sizes is 'diverse,diverse'"),
        ({"short": "3,1"}, r"short is '3,1'; it must be whole numbers >= 1 that rise"),
        ({"short": ""}, r"short is ''"),
        ({"marks": "each"}, r"marks is 'each'; it can be own, along"),
        ({"epochs": "0,3"}, r"epochs is '0,3'"),
        ({"genotypes": 2}, r"genotypes is 2; it must be >= 3"),
        ({"genotypes": 9, "trained": 8}, r"trained is 8; the 9 ranked genotypes are among them"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(StudyConfig, settings)


def test_several_sizes_may_have_spaces_between_them():
    assert build(StudyConfig, {"sizes": "diverse, similar"}).sizes == ("diverse", "similar")
    assert build(StudyConfig, {"sizes": " spread"}).sizes == ("spread",)


def test_genotypes_of_similar_sizes_are_near_the_median_and_spread_ones_are_not():
    config = evolve(SMALL, genotypes=20, network=NETWORK)

    similar = sizes_of(chosen_genotypes(evolve(config, sizes="similar", band=0.05), None, sizes_of))
    diverse = sizes_of(chosen_genotypes(config, None, sizes_of))
    spread = sizes_of(chosen_genotypes(evolve(config, sizes="spread"), None, sizes_of))

    assert similar.max() / similar.min() <= 1.05 / 0.95
    assert similar.std() < diverse.std() < spread.std()
    assert all(len(set(sizes.tolist())) > 1 for sizes in (similar, diverse, spread))


def test_a_band_that_is_too_narrow_for_the_known_genotypes_is_refused():
    known = space_named("nao", 2).random_genotypes(30, stream(0, "known"))
    config = evolve(SMALL, genotypes=20, sizes="similar", band=0.0001, network=NETWORK)

    with pytest.raises(ConfigError, match=r"only \d+ genotypes are within 0.0% of the median size"):
        chosen_genotypes(config, known, sizes_of)


def test_the_genotypes_that_are_trained_begin_with_those_that_are_ranked():
    known = space_named("nao", 2).random_genotypes(30, stream(0, "known"))
    config = evolve(SMALL, trained=20, network=NETWORK)

    trained = trained_genotypes(config, known[4:10], known)

    assert trained[:6] == known[4:10]
    assert len(set(trained)) == 20
    more = trained_genotypes(evolve(config, trained=33), known[:6], known)
    assert set(more[:30]) == set(known)
    assert len(set(more)) == 33


@pytest.mark.parametrize(
    "change",
    [
        {"alone_epochs": 3},
        {"network": {"channels": 6}},
        {"data": {"flip": False}},
        {"data": {"pad_with": "mean"}},
        {"data": {"hue": 0.1}},
        {"alone": {"learning_rate": 0.5}},
        {"alone": {"channels": 6}},
        {"alone": {"cells": 2}},
        {"alone": {"cutout": 4}},
        {"machine": {"precision": "bfloat16"}},
    ],
)
def test_a_stored_training_is_another_when_anything_that_matters_changes(change):
    backend, dataset = PretendBackend(), small_dataset()
    (genotype,) = space_named("nao", 2).random_genotypes(1, stream(0, "one"))

    def name(config, seed=0):
        return training_name(genotype, alone_config(config), backend, dataset, seed)[0]

    assert name(build(StudyConfig, change, SMALL)) != name(SMALL)
    assert name(SMALL, seed=1) != name(SMALL)
    same = {
        "machine": {"device": "cpu", "threads": 2},
        "data": {"data_dir": "elsewhere", "split_seed": 3},
        "checkpoint_seconds": 5.0,
    }
    assert name(build(StudyConfig, same, SMALL)) == name(SMALL)
    # the space's own number of nodes, said or not
    assert name(build(StudyConfig, {"network": {"nodes": 5}}, SMALL)) == name(
        build(StudyConfig, {"network": {"nodes": None}}, SMALL)
    )


def test_a_truth_has_a_network_and_cutout_of_its_own_or_the_supernets():
    paper = alone_config(preset(StudyConfig, "paper"))
    quick = preset(StudyConfig, "quick")
    own = build(StudyConfig, {"alone": {"channels": 12, "cutout": 0}, "data": {"cutout": 3}}, quick)

    network = paper.network
    assert (network.channels, network.cells, paper.data.cutout, paper.training.auxiliary) == (36, 6, 16, 0.4)
    assert alone_config(quick).network == quick.network
    assert alone_config(quick).data == quick.data
    assert (alone_config(own).network.channels, alone_config(own).network.cells) == (12, quick.network.cells)
    assert (own.data.cutout, alone_config(own).data.cutout) == (3, 0)
    # the supernet's are the supernet's still
    supernet = supernet_config(own, own.supernets[0])
    assert (supernet.network.channels, supernet.data.cutout) == (quick.network.channels, 3)


def test_a_setting_that_differs_from_the_supernets_is_another_training_and_one_that_says_the_same_is_not():
    (genotype,) = space_named("nao").random_genotypes(1, stream(0, "one"))

    def name(settings):
        config = build(StudyConfig, {"alone": settings}, preset(StudyConfig, "quick"))
        return training_name(genotype, alone_config(config), PretendBackend(), small_dataset(), 0)[0]

    # the preset's channels, cells and cutout said once more
    assert name({"channels": 8, "cells": 1, "cutout": 0}) == name({})
    assert len({name({}), name({"channels": 10}), name({"cells": 2}), name({"cutout": 2})}) == 4


class Counting(PretendBackend):
    """Counts what is trained; stops when it has trained enough."""

    def __init__(self, most=10**9):
        super().__init__()
        self.trained, self.most = 0, most

    def stand_alone(self, *args, **kwargs):
        self.trained += 1
        if self.trained > self.most:
            raise KeyboardInterrupt
        return super().stand_alone(*args, **kwargs)


def studied(config, backend, folder, **more):
    dataset = small_dataset()
    with Run.open(folder / "study") if (folder / "study").exists() else Run.create(folder / "study", config) as run:
        return study_ranking(
            config, backend, dataset, dataset.joined(), run=run, store=Folder(folder / "store"), **more
        )


def test_nothing_is_trained_twice_and_a_stopped_study_ends_with_the_same_figures(tmp_path):
    whole = studied(SMALL, Counting(), tmp_path / "whole")
    stopped = Counting(most=7)
    with pytest.raises(KeyboardInterrupt):
        studied(SMALL, stopped, tmp_path / "cut")
    again = Counting()

    resumed = studied(SMALL, again, tmp_path / "cut")

    assert again.trained == 12 - 7  # of 6 genotypes, 2 repeats
    assert resumed.to_json() == whole.to_json()


def test_a_study_leaves_its_file_in_its_folder_which_pictures_are_drawn_from(tmp_path):
    study = studied(SMALL, PretendBackend(), tmp_path)

    content = json.loads((tmp_path / "study" / "study.json").read_text())

    assert plots.study_of(content).to_json() == study.to_json()


@pytest.mark.filterwarnings("error")
def test_the_accuracy_of_a_single_sampler_is_drawn_without_a_legend_of_differences(tmp_path):
    pytest.importorskip("matplotlib")
    study = studied(evolve(SMALL, samplers="uniform"), PretendBackend(), tmp_path)

    order, differences = plots.accuracy_figure(study).axes

    assert [text.get_text() for text in order.get_legend().get_texts()] == ["uniform"]
    assert differences.get_legend() is None


@pytest.mark.parametrize("marks", ["own", "along"])
@pytest.mark.parametrize("after", [3, 4, 5, 8, 13, 20, 31])
def test_a_study_that_is_stopped_within_a_supernet_ends_with_the_same_figures(tmp_path, after, marks):
    small = evolve(SMALL, marks=marks)
    whole = studied(small, PretendBackend(), tmp_path / "whole")

    class Stopping(PretendBackend):
        left = after

        def supernet(self, config, dataset):
            made = super().supernet(config, dataset)
            train = made.train

            def stopping(*args, **kwargs):
                for step in train(*args, **kwargs):
                    if Stopping.left == 0:
                        raise KeyboardInterrupt
                    Stopping.left -= 1
                    yield step

            made.train = stopping
            return made

    config = evolve(small, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        studied(config, Stopping(), tmp_path / "cut")

    assert studied(config, PretendBackend(), tmp_path / "cut").to_json() == whole.to_json()


def test_every_sampler_and_seed_is_scored_at_every_mark(tmp_path):
    config = evolve(SMALL, samplers="uniform,proportional,proportional:2", marks="along")

    study = studied(config, PretendBackend(), tmp_path)

    assert [str(arm) for arm in study.arms] == ["uniform", "proportional", "proportional:2"]
    assert [(str(s.arm), s.seed) for s in study.supernets] == [
        (arm, seed) for arm in ("uniform", "proportional", "proportional:2") for seed in (0, 1)
    ]
    assert study.scores(study.arms[1], 2).shape == (2, 6)
    assert study.truths.shape == (2, 6)
    steps = 2 * 4  # epochs of the pretended supernet's steps
    for supernet in study.supernets:
        assert supernet.updates.sum() == steps
        assert supernet.expected.sum() == pytest.approx(steps)
    expected = study.supernets[2].expected / study.supernets[2].expected.sum()
    assert expected == pytest.approx(study.sizes / study.sizes.sum())  # Eq. 4


class Recording(PretendBackend):
    """Notes the settings of each supernet."""

    def __init__(self):
        super().__init__()
        self.made = []

    def supernet(self, config, dataset):
        self.made.append(config)
        return super().supernet(config, dataset)


def test_a_mark_of_its_own_is_the_score_of_a_study_of_that_length(tmp_path):
    genotypes = space_named("nao", 2).random_genotypes(6, stream(0, "truth"))
    truth = {genotype: index / 10 for index, genotype in enumerate(genotypes)}
    backend = Recording()

    both = studied(SMALL, backend, tmp_path / "both", truth=truth)
    short = studied(evolve(SMALL, epochs="1"), PretendBackend(), tmp_path / "short", truth=truth)
    along = studied(evolve(SMALL, marks="along"), PretendBackend(), tmp_path / "along", truth=truth)

    # short ones go first, and every sampler's first seed before any second one
    made = [(config.seed, config.epochs, config.sampler) for config in backend.made]
    samplers = ("uniform", "proportional")
    assert made == [(seed, epochs, sampler) for seed in (0, 1) for epochs in (1, 2) for sampler in samplers]
    assert both.scored_epochs == along.scored_epochs == (1, 2)
    assert [s.epochs for s in both.supernets] == 4 * [(1,), (2,)]
    assert [s.epochs for s in along.supernets] == 4 * [(1, 2)]
    for arm in both.arms:
        assert (both.scores(arm, 1) == short.scores(arm, 1)).all()
        assert (both.scores(arm, 2) == along.scores(arm, 2)).all()  # the last mark ends the cosine either way
    assert both.to_json()["marks"] == "own"
    assert along.to_json()["marks"] == "along"


def test_a_study_from_before_there_was_a_choice_was_scored_along_the_way(tmp_path):
    content = studied(evolve(SMALL, marks="along"), PretendBackend(), tmp_path).to_json()
    old = {name: value for name, value in content.items() if name != "marks"}

    assert RankingStudy.from_json(old).to_json() == content


@pytest.mark.parametrize("marks", ["own", "along"])
def test_a_study_is_read_back_from_its_json(tmp_path, marks):
    study = studied(evolve(SMALL, marks=marks), PretendBackend(), tmp_path)
    content = json.loads(json.dumps(study.to_json()))

    again = RankingStudy.from_json(content)

    assert again.to_json() == content
    assert {entry["figure"] for entry in content["agreement"]} == {
        "pairwise_accuracy", "kendall_tau", "spearman", "precision_at_top", "tau_in_better_half", "tau_in_top_tenth",
        "precision_in_top_tenth", "partial_tau_given_size",
    }  # fmt: skip
    assert {entry["less"] for entry in content["differences"]} == {"uniform"}
    assert content["reliability"]


def test_a_given_truth_takes_the_place_of_training(tmp_path):
    genotypes = space_named("nao", 2).random_genotypes(9, stream(0, "truth"))
    truth = {genotype: float(index) for index, genotype in enumerate(genotypes)}
    backend = Counting()

    study = studied(SMALL, backend, tmp_path, truth=truth)

    assert backend.trained == 0
    assert set(study.genotypes) <= set(genotypes)
    assert study.truth.tolist() == [truth[genotype] for genotype in study.genotypes]
    assert study.reliability == {}


def test_a_truth_may_have_repeats_and_each_genotype_equally_many():
    genotypes = space_named("nao", 2).random_genotypes(3, stream(0, "truth"))

    truths = known_truth(genotypes, {genotypes[0]: (0.5, 0.6), genotypes[1]: (0.7, 0.8), genotypes[2]: (0.1, 0.2)})

    assert truths.tolist() == [[0.5, 0.7, 0.1], [0.6, 0.8, 0.2]]
    with pytest.raises(DataError, match=r"the truth has 2 accuracies of the first genotype and 1 of 0:"):
        known_truth(genotypes[:2], {genotypes[0]: (0.5, 0.6), genotypes[1]: 0.7})


def test_others_than_the_ranked_are_of_the_space_where_the_truth_has_none():
    known = space_named("nao", 2).random_genotypes(6, stream(0, "known"))
    config = evolve(SMALL, trained=20, network=NETWORK)

    trained = trained_genotypes(config, known, known)

    assert trained[:6] == known
    assert trained == trained_genotypes(config, known, None)
    with pytest.raises(ConfigError, match=r"trained is 3; the 6 ranked genotypes are among them"):
        trained_genotypes(evolve(config, genotypes=3, trained=3), known, known)


def test_a_truth_that_lacks_a_genotype_says_how_many_and_which():
    genotypes = space_named("nao", 2).random_genotypes(3, stream(0, "truth"))

    with pytest.raises(DataError, match=r"the truth has no row for 2 of the 3 genotypes; the first is 0:"):
        known_truth(genotypes, {genotypes[0]: 0.5})


def test_equal_truths_give_figures_that_are_not_defined_and_say_so(tmp_path):
    genotypes = space_named("nao", 2).random_genotypes(6, stream(0, "truth"))

    study = studied(SMALL, PretendBackend(), tmp_path, truth=dict.fromkeys(genotypes, 0.5))

    content = study.to_json()
    assert all(entry["value"] is None for entry in content["agreement"] if not entry["figure"].startswith("precision"))
    assert np.isnan(study.comparisons[2].estimates["uniform"]["kendall_tau"].value)


def test_too_few_genotypes_are_refused(tmp_path):
    genotypes = space_named("nao", 2).random_genotypes(2, stream(0, "truth"))

    with pytest.raises(ConfigError, match=r"2 genotypes; a ranking needs at least 3 different ones"):
        studied(SMALL, PretendBackend(), tmp_path, genotypes=[*genotypes, genotypes[0]])


def test_a_supernet_of_a_study_has_its_sampler_and_seed():
    config = supernet_config(SMALL, PlannedSupernet(SamplerSpec("proportional", 2.0), 7, (1, 2)))

    assert (config.rounds, config.epochs, config.sampler, config.alpha, config.seed) == (1, 2, "proportional", 2.0, 7)


def test_the_presets_are_settings_that_can_be():
    assert preset(StudyConfig, "paper").epochs == (5, 10, 20, 30, 50)  # Table 6
    assert preset(StudyConfig, "quick").genotypes < 50
    assert set(SPACES) >= {"nao", "nas-bench-201"}
    assert (
        load_dataset(preset(StudyConfig, "quick").data).describe().startswith("fashion-mnist: 1,500 train, 1,000 dev")
    )


# --- short stand-alone trainings


class Scoring(Counting):
    """Notes the settings and images of each stand-alone training."""

    def __init__(self):
        super().__init__()
        self.made = []

    def stand_alone(self, genotype, config, dataset, *, seed):
        self.made.append((config, dataset, seed))
        return super().stand_alone(genotype, config, dataset, seed=seed)


def test_genotypes_are_trained_alone_for_a_few_epochs_on_the_supernets_images_with_their_seeds(tmp_path):
    genotypes = space_named("nao", 2).random_genotypes(6, stream(0, "truth"))
    truth = {genotype: index / 10 for index, genotype in enumerate(genotypes)}
    config, dataset, backend = evolve(SMALL, short="1,3"), small_dataset(), Scoring()

    study = studied(config, backend, tmp_path, truth=truth)

    assert [(made.epochs, seed) for made, _, seed in backend.made] == [
        (epochs, seed) for seed in (0, 1) for epochs in (1, 3) for _ in range(6)
    ]
    for made, images, _ in backend.made:
        assert made.training == alone_config(config).training
        assert (images.x_train == dataset.x_train).all()
        assert (images.x_test == dataset.x_dev).all()
        assert not len(images.x_dev)
    assert study.short_epochs == (1, 3)
    assert study.short_scores(3).shape == (2, 6)
    # the pretended network's logits on the dev images, scored by hand
    (first, images, seed), genotype = backend.made[0], study.genotypes[0]
    logits = PretendBackend().stand_alone(genotype, first, images, seed=seed).logits(images.x_test)
    assert study.short_scores(1)[0, 0] == pytest.approx((logits.argmax(1) == dataset.y_dev).mean())


def test_short_trainings_are_kept_and_their_figures_stand_in_the_file_beside_the_supernets(tmp_path):
    config = evolve(SMALL, short="1")
    first = studied(config, Counting(), tmp_path)
    again = Counting()

    resumed = studied(config, again, tmp_path)

    assert again.trained == 0
    content = json.loads(json.dumps(resumed.to_json()))
    assert content == first.to_json()
    assert RankingStudy.from_json(content).to_json() == content
    assert [entry["seed"] for entry in content["short"]] == [0, 1]
    (accuracy,) = (entry for entry in content["short_agreement"] if entry["figure"] == "pairwise_accuracy")
    by_hand = [pairwise_accuracy(scores, first.truth) for scores in first.short_scores(1)]
    assert accuracy["each_seed"] == pytest.approx(by_hand, abs=1e-6)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    # what is there of the supernets is as without short trainings
    plain = studied(SMALL, Counting(), tmp_path / "plain").to_json()
    assert {name: value for name, value in content.items() if not name.startswith("short")} == plain


def test_a_short_training_is_another_than_one_of_the_truth_of_as_many_epochs(tmp_path):
    backend = Counting()

    studied(evolve(SMALL, alone_epochs=1, short="1"), backend, tmp_path)

    assert backend.trained == 6 * 2 + 6 * 2  # two repeats of the truth, two seeds of the short ones


# --- several sets


def test_several_sets_are_the_studies_of_each_alone(tmp_path):
    dataset = small_dataset()
    config = evolve(SMALL, sizes="diverse,spread")
    with Run.create(tmp_path / "sets", config) as run:
        found = study_ranking_sets(config, PretendBackend(), dataset, dataset.joined(), run=run)

    for name, study in found.studies.items():
        alone = study_ranking(evolve(SMALL, sizes=name), PretendBackend(), dataset, dataset.joined())
        assert study.to_json() == alone.to_json()
        assert json.loads((tmp_path / "sets" / name / "study.json").read_text())["kind"] == "ranking"
    content = json.loads((tmp_path / "sets" / "study.json").read_text())
    assert [entry["sizes"] for entry in content["sets"]] == ["diverse", "spread"]
    assert plots.study_of(content).to_json() == found.to_json()
    with pytest.raises(
        ConfigError, match=r"sizes is 'diverse,spread', 2 sets of genotypes; see bnao.study_ranking_sets"
    ):
        study_ranking(config, PretendBackend(), dataset, dataset.joined())


@pytest.mark.parametrize("after", [5, 20, 30])
def test_several_sets_that_are_stopped_go_on_to_the_same_figures(tmp_path, after):
    dataset = small_dataset()
    config = evolve(SMALL, sizes="diverse,spread", short="1")
    whole = study_ranking_sets(config, Counting(), dataset, dataset.joined())
    store = Folder(tmp_path / "store")
    with Run.create(tmp_path / "cut", config) as run, pytest.raises(KeyboardInterrupt):
        study_ranking_sets(config, Counting(most=after), dataset, dataset.joined(), run=run, store=store)
    again = Counting()

    with Run.open(tmp_path / "cut") as run:
        resumed = study_ranking_sets(config, again, dataset, dataset.joined(), run=run, store=store)

    assert resumed.to_json() == whole.to_json()
    assert again.trained == 2 * (6 * 2 + 6 * 2) - after


# --- zero-cost scores


def test_zero_cost_scores_and_fused_ones_have_rows_of_their_own_and_survive_json(tiny_dataset):
    config = evolve(SMALL, proxies="snip,grad-norm", repeats=1)

    study = study_ranking(config, PretendBackend(), tiny_dataset, tiny_dataset.joined())
    joined = study.joined

    assert set(joined.untrained) == {"snip", "grad-norm", "fused"}
    assert {way for found in joined.comparisons.values() for way in found.estimates} == {
        "fused uniform", "fused proportional",
    }  # fmt: skip
    # a fused score is the mean of the ranks of one-shot score, live size and the two
    ranks = [
        mean_ranks(row) / 5 for row in (study.scores(study.arms[0], 1)[0], study.given_size, *study.proxies.values())
    ]
    assert joined.fused("uniform", 1)[0] == pytest.approx(np.mean(ranks, 0))
    written = json.loads(json.dumps(study.to_json()))
    assert {entry["by"] for entry in written["fused"]} == {"fused uniform", "fused proportional"}
    again = RankingStudy.from_json(written)
    assert str(again.joined.untrained) == str(joined.untrained)
    report = "\n".join(ranking_report(study))
    assert all(row in report for row in ("snip", "grad-norm", "fused proportional"))


def test_landmarks_weigh_the_parts_and_all_is_judged_on_the_others():
    scores, size, misleading = stream(1, "truth").random((3, 40))
    truth = scores  # the one-shot scores are right, size says nothing and the third part is against them
    joined = JoinedRankings(
        {1: {"uniform": np.array([scores, scores])}}, size, {"snip": -scores + 0.1 * misleading}, truth, 12, 5, 200
    )
    rest = np.delete(np.arange(40), joined.landmark_places)

    found = joined.landmark_comparisons[1].estimates

    assert len(joined.landmark_places) == 12
    taus = {way: figures["kendall_tau"] for way, figures in found.items()}
    assert taus["landmarks uniform"].value > 0.9 > 0.5 > taus["fused uniform"].value
    assert taus["fused uniform"].value == pytest.approx(kendall_tau(joined.fused("uniform", 1)[0, rest], truth[rest]))
    written = json.loads(json.dumps(joined.to_json()))["landmarks"]
    assert written["genotypes"] == joined.landmark_places
    assert {entry["by"] for entry in written["agreement_on_the_others"]} == {"fused uniform", "landmarks uniform"}


def test_a_study_with_landmarks_reports_them_and_survives_json(tiny_dataset):
    config = evolve(SMALL, genotypes=9, proxies="snip", landmarks=5, repeats=1)

    study = study_ranking(config, PretendBackend(), tiny_dataset, tiny_dataset.joined())

    again = RankingStudy.from_json(json.loads(json.dumps(study.to_json())))
    assert again.to_json() == study.to_json()
    report = "\n".join(ranking_report(study))
    assert "weights of joined scores from the truths of 5 landmarks; all rows on the others:" in report
    assert "landmarks proportional" in report


def test_landmarks_of_equal_truth_weigh_nothing():
    scores = np.arange(8.0)
    joined = JoinedRankings({1: {"uniform": scores[None]}}, scores, {"snip": scores}, np.full(8, 0.5), 5, 3, 200)

    assert joined.weighed("uniform", 1).tolist() == joined.fused("uniform", 1).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks": 4, "proxies": "snip"}, "landmarks is 4; it must be 0 or >= 5"),
        ({"landmarks": 5}, "there are no zero-cost scores to weigh; give proxies, such as jacob_cov,naswot"),
        ({"landmarks": 5, "proxies": "snip", "genotypes": 7}, "landmarks is 5, and 7 genotypes are ranked"),
    ],
)
def test_landmarks_that_cannot_be_are_refused_before_anything_is_trained(tiny_dataset, changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        study_ranking(evolve(SMALL, **changes), PretendBackend(), tiny_dataset, tiny_dataset.joined())


# --- size alone, and what a score is


def test_size_alone_is_in_every_study_with_all_figures():
    config = evolve(SMALL, network=NetworkConfig(space="nas-bench-201", channels=4, cells=1), genotypes=30, seeds=1)
    space = SPACES["nas-bench-201"]
    cells = space.random_genotypes(30, stream(0, "truth"))
    network = small_dataset().network(config.network)
    live = count_parameters(cells, network, live=True)
    # the truth is live size itself, so live size orders it perfectly and all parameters do not
    study = study_ranking(
        config, PretendBackend(), small_dataset(), truth=dict(zip(cells, live / 1e6, strict=True)), genotypes=cells
    )

    assert set(study.size_alone) == {"parameters", "live-parameters"}
    assert study.size_alone["live-parameters"]["kendall_tau"].value == pytest.approx(1)
    assert study.size_alone["parameters"]["kendall_tau"].value < 1
    rows = study.to_json()["by_size"]
    assert {row["figure"] for row in rows if row["by"] == "parameters"} == set(FIGURES)
    again = RankingStudy.from_json(study.to_json())
    assert again.to_json() == study.to_json()
    lines = "\n".join(ranking_report(study))
    assert "live size alone" in lines and "partial tau given live size" in lines


def test_a_file_without_live_sizes_has_them_counted_anew_from_its_settings(tmp_path):
    study = studied(SMALL, PretendBackend(), tmp_path / "accuracy")
    content = {**study.to_json(), "config": {"network": {"channels": 4, "cells": 1, "nodes": 2}}}
    for entry in content["genotypes"]:
        del entry["parameters"], entry["live_parameters"]

    again = RankingStudy.from_json(content)

    assert again.counts is not None
    assert again.counts["parameters"].tolist() == again.counts["live-parameters"].tolist()  # space nao
    del content["config"]
    assert RankingStudy.from_json(content).counts is None


def test_supernets_can_be_asked_for_log_likelihoods(tmp_path):
    by_accuracy = studied(SMALL, PretendBackend(), tmp_path / "accuracy")
    study = studied(evolve(SMALL, score="log-likelihood"), PretendBackend(), tmp_path / "other")

    scores = np.array([supernet.scores for supernet in study.supernets])

    assert (scores < 0).all()
    # the pretended logits are 1 for the label in a share of the images that is the accuracy: log p goes with it
    for found, other in zip(study.supernets, by_accuracy.supernets, strict=True):
        assert pairwise_accuracy(found.scores[-1], other.scores[-1]) == 1
    assert study.to_json()["score"] == "log-likelihood"
    assert "one-shot log-likelihood against" in ranking_report(study)[0]


def test_a_supernet_that_tells_accuracies_alone_has_no_log_likelihoods(monkeypatch, tmp_path):
    monkeypatch.delattr("pretend_backend._Supernet.classify")

    with pytest.raises(ConfigError, match="score is log-likelihood, and the supernet, of class _Supernet, tells accur"):
        studied(evolve(SMALL, score="log-likelihood"), PretendBackend(), tmp_path / "other")


def test_the_presets_score_on_1000_dev_images_where_the_data_have_them():
    dataset = load_dataset(preset(StudyConfig, "quick").data)

    assert len(dataset.y_dev) >= 1000


def test_genotypes_of_a_truth_that_pass_nothing_on_are_not_ranked():
    config = evolve(SMALL, network=NetworkConfig(space="nas-bench-201", channels=4, cells=1), genotypes=3)
    dead = SPACES["nas-bench-201"].check(
        Genotype.parse("0:none;0:none+1:none;0:none+1:none+2:none", output="last node")
    )
    known = [dead, *SPACES["nas-bench-201"].random_genotypes(3, stream(0, "known"))]

    assert set(chosen_genotypes(config, known, sizes_of)) == set(known[1:])
    with pytest.raises(ConfigError, match="genotypes is 4, and the truth has 3; ask for fewer"):
        chosen_genotypes(evolve(config, genotypes=4), known, sizes_of)


def test_genotypes_that_are_ranked_can_be_distinct_by_what_they_compute():
    config = evolve(
        SMALL, network=NetworkConfig(space="nas-bench-201", channels=4, cells=1), genotypes=2_000, distinct="computed"
    )

    assert len({computed_form(g) for g in chosen_genotypes(config, None, sizes_of)}) == 2_000
