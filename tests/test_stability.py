"""Stability of search methods: several searches each, on a backend that pretends to train."""

import json
import pathlib
import statistics
import sys

import numpy as np
import pytest

from bnao import backends
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.config.stability import StabilityConfig
from bnao.errors import ConfigError
from bnao.events import EVENTS
from bnao.intervals import t_interval
from bnao.network.size import count_parameters
from bnao.run import Run, read_config
from bnao.space.spaces import SPACES
from bnao.stability import (
    MethodStability,
    StabilityEntry,
    evaluate_config,
    search_config,
    study_stability,
)
from bnao.strategies.methods import METHODS
from tests.commands import bnao, workplace  # noqa: F401  # the fixture is used by its name

NETWORK = NetworkConfig(space="nas-bench-201", channels=4, cells=1, image=(14, 14, 1))
SHORT = ("--searches", 2, "--space", "nas-bench-201", "--steps", 4, "--channels", 4, "--evaluate-epochs", 1,
         "--backend", "pretend", "--no-memory", "--quiet")  # fmt: skip


def entry(method, seed, error):
    return StabilityEntry(method, seed, "", 0.5, error, 10, 20, 3, None, 1.0, 1.0)


def test_each_search_has_its_own_seed_and_split_and_the_same_for_all_methods():
    config = StabilityConfig(methods=("nao", "spos"), seed=3)

    for method in config.methods:
        searched = search_config(config, method, 4)
        assert (searched.seed, searched.data.split_seed, searched.strategy) == (4, 4, method)
        assert evaluate_config(config, searched).seed == 4
    fixed = StabilityConfig(methods=("spos",), seed=3, vary_split=False)
    assert search_config(fixed, "spos", 4).data.split_seed == 3


def test_nao_uniform_is_nao_with_uniform_sampling_alone():
    config = StabilityConfig()

    balanced, uniform = (search_config(config, method, 0) for method in ("nao", "nao-uniform"))

    assert (balanced.sampler, uniform.sampler) == ("proportional", "uniform")
    assert search_config(config, "nao-uniform", 0).strategy == "nao"


def test_settings_are_those_of_the_preset_but_for_what_is_given():
    config = StabilityConfig(preset="cifar10-small", epochs=7, space="darts", max_parameters=10**6, train_images=500)

    searched = search_config(config, "spos", 0)

    assert (searched.epochs, searched.network.space, searched.network.channels) == (7, "darts", 8)
    assert (searched.max_parameters, searched.data.train_images, searched.data.dataset) == (10**6, 500, "cifar10")
    evaluated = evaluate_config(config, searched)
    assert (evaluated.network.space, evaluated.network.channels, evaluated.data.train_images) == ("darts", 16, 500)


def test_the_interval_is_students_of_so_few():
    # mean 0.2, standard deviation 0.1, t of 2 degrees of freedom 4.303
    low, high = t_interval([0.1, 0.2, 0.3])

    assert (low, high) == pytest.approx((0.2 - 4.303 * 0.1 / 3**0.5, 0.2 + 4.303 * 0.1 / 3**0.5))
    assert t_interval([0.1]) is None


def test_a_difference_is_paired_by_seeds():
    one = MethodStability("nao", (entry("nao", 0, 0.1), entry("nao", 1, 0.3)))
    two = MethodStability("spos", (entry("spos", 0, 0.2), entry("spos", 1, 0.4)))

    mean, (low, high) = two.difference(one)

    assert (mean, low, high) == pytest.approx((0.1, 0.1, 0.1))
    assert one.deviation == pytest.approx(statistics.stdev([0.1, 0.3]))


def test_the_command_prints_the_shape_of_table_1_and_keeps_all_of_it():
    printed = bnao("stability", "nao,spos,enas", *SHORT, "--out", "folder")

    assert printed.exit_code == 0, printed.output
    lines = printed.stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line.split()[:1] in (["nao"], ["spos"], ["enas"])}
    assert set(rows) >= {"nao", "spos", "enas"}
    assert any(line.startswith("spos less nao, same seeds:") for line in lines)
    content = json.loads(pathlib.Path("folder/study.json").read_text())
    assert [method["method"] for method in content["methods"]] == ["nao", "spos", "enas"]
    assert [(each["method"], each["seed"]) for each in content["searches"]] == [
        ("nao", 0), ("nao", 1), ("spos", 0), ("spos", 1), ("enas", 0), ("enas", 1),
    ]  # fmt: skip
    for method in content["methods"]:
        errors = [each["test_error"] for each in content["searches"] if each["method"] == method["method"]]
        assert method["test_error"] == pytest.approx(statistics.fmean(errors), abs=1e-6)
        assert (method["min"], method["max"]) == (min(errors), max(errors))
    assert pathlib.Path("folder/searches/spos-1/result.json").is_file()


def test_a_comparison_that_was_stopped_ends_as_if_it_had_not_been():
    config = StabilityConfig(
        methods=("nao", "spos"), searches=2, space="nas-bench-201", steps=4, channels=4, evaluate_epochs=1,
        memory=False, machine=search_config(StabilityConfig(), "nao", 0).machine.__class__(backend="pretend"),
    )  # fmt: skip
    events = []
    with Run.create("whole", config) as run:
        whole = study_stability(config, run, events.append)
    searched = [set(event) - {"event"} for event in events if event["event"] == "searched"]
    assert searched == [set(EVENTS["study_stability"]["searched"])] * 4
    for stop in (("update", 5), ("searched", 1), ("trained", 1)):
        told = []

        def listen(event, stop=stop, told=told):
            told.append(event["event"])
            if told.count(stop[0]) == stop[1] and event["event"] == stop[0]:
                raise KeyboardInterrupt

        folder = pathlib.Path(f"stopped-{stop[0]}")
        with Run.create(folder, config) as run, pytest.raises(KeyboardInterrupt):
            study_stability(config, run, listen)
        with Run.open(folder) as run:
            again = study_stability(config, run)

        assert without_seconds(again) == without_seconds(whole)


def without_seconds(study):
    content = study.to_json()
    return [
        {name: value for name, value in each.items() if not name.endswith("seconds")}
        for each in [*content["searches"], *content["methods"]]
    ]


def test_a_finished_comparison_is_printed_again_and_nothing_is_made():
    arguments = ("stability", "spos", *SHORT, "--out", "folder")
    first = bnao(*arguments).stdout.splitlines()
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path("folder").rglob("*.json")}

    again = bnao(*arguments).stdout.splitlines()

    assert again[:3] == first[:3]
    assert {path: path.stat().st_mtime_ns for path in pathlib.Path("folder").rglob("*.json")} == before


@pytest.fixture
def truth():
    """Accuracies of all genotypes of a space, in percent, which truth.csv has too."""
    space = SPACES["nas-bench-201"]
    genotypes = space.decode(np.stack(np.meshgrid(*[range(5)] * 6), -1).reshape(-1, 6)[..., None].repeat(2, -1) * [0, 1]
                             + np.array([0, 0, 1, 0, 1, 2])[:, None] * [1, 0])  # fmt: skip
    accuracies = {str(genotype): 60 + number / 1000 for number, genotype in enumerate(genotypes)}
    rows = [f'"{genotype}",{accuracy}' for genotype, accuracy in accuracies.items()]
    pathlib.Path("truth.csv").write_text("\n".join(["genotype,test", *rows]) + "\n")
    return accuracies


def test_a_table_judges_what_is_found_in_place_of_a_training(truth):
    printed = bnao(
        "stability", "spos,darts", *SHORT, "--truth", "truth.csv", "--truth-column", "test", "--out", "folder"
    )

    assert printed.exit_code == 0, printed.output
    study = json.loads(pathlib.Path("folder/study.json").read_text())
    assert study["table_best"] == pytest.approx(max(truth.values()) / 100, abs=1e-6)
    assert len(study["searches"]) == 4
    space = SPACES["nas-bench-201"]
    for each in study["searches"]:
        assert each["test_error"] == pytest.approx(1 - truth[each["genotype"]] / 100, abs=1e-6)
        assert each["parameters"] == count_parameters([space.parse(each["genotype"])], NETWORK)[0]
    assert not pathlib.Path("folder/evaluations").exists()
    best = 100 * study["table_best"]
    for line, method in zip(printed.stdout.splitlines()[2:], study["methods"], strict=False):
        name = method["method"]
        found = [truth[each["genotype"]] for each in study["searches"] if each["method"] == name]
        assert line.split()[0] == name
        assert 100 * method["regret"] == pytest.approx(best - statistics.fmean(found), abs=2e-4)
        assert f" {100 * method['regret']:.2f} %" in line
    assert f"regret: mean test error less that of the table's best, {100 - best:.2f} %" in printed.stdout


def test_the_study_of_strategies_is_a_comparison_by_a_table_and_by_default_of_all(truth):
    options = ("--searches", 1, "--channels", 8, "--seconds", 0.1, "--backend", "pretend", "--no-memory", "--quiet")
    missing = bnao("study", "strategies", *options, "--out", "folder")
    assert missing.exit_code == 2
    assert "name a CSV file with --truth" in missing.stderr
    table = ("--truth", "truth.csv", "--truth-column", "test", "--out", "folder")

    printed = bnao("study", "strategies", "--methods", "nao,gdas", *options, *table)

    assert printed.exit_code == 0, printed.output
    study = json.loads(pathlib.Path("folder/study.json").read_text())
    assert [method["method"] for method in study["methods"]] == ["nao", "gdas"]
    assert all(method["regret"] >= 0 for method in study["methods"])
    again = bnao("stability", "nao,gdas", "--space", "nas-bench-201", *options, *table)
    assert again.stdout.splitlines()[:-3] == printed.stdout.splitlines()[:-3]
    assert ",".join(METHODS) in "".join(bnao("study", "strategies", "--help").stdout.split())
    assert bnao("study", "draw", "folder").stderr == (
        "bnao: error: a comparison of methods has no pictures of its own; bnao report draws one on its page\n"
    )
    assert bnao("report", "folder", "-o", "page.html").exit_code == 0


def test_searches_of_equal_seconds_make_as_many_updates_as_an_epoch_was_measured_to_make():
    length = [each if each != "--steps" else "--seconds" for each in SHORT]
    length[length.index("--seconds") + 1] = 0.5

    printed = bnao("stability", "nao,fairnas", *length, "--searches", 1, "--out", "folder")

    assert printed.exit_code == 0, printed.output
    seconds = json.loads(pathlib.Path("folder/speed-fairnas.json").read_text())["seconds"]
    result = json.loads(pathlib.Path("folder/searches/fairnas-0/result.json").read_text())
    assert result["strategy"]["updates"] == max(1, round(0.5 / seconds))
    nao = read_config("folder/searches/nao-0", SearchConfig)
    speed = json.loads(pathlib.Path("folder/speed-nao.json").read_text())["seconds"]
    assert nao.steps == max(1, round(max(1, round(0.5 / speed)) / nao.rounds))


def test_the_memory_of_each_method_is_measured_once_in_a_process_of_its_own():
    arguments = [each for each in SHORT if each != "--no-memory"]

    printed = bnao("stability", "nao,spos", *arguments, "--searches", 1, "--out", "folder")

    assert printed.exit_code == 0, printed.output
    content = json.loads(pathlib.Path("folder/study.json").read_text())
    for method in content["methods"]:
        footprint = json.loads(pathlib.Path(f"folder/memory-{method['method']}.json").read_text())
        assert method["memory"] == {name: value for name, value in footprint.items() if name.endswith("_bytes")}
        assert method["memory"]["peak_bytes"] > 10 * 2**20
    heads = next(line for line in printed.stdout.splitlines() if line.split()[:1] == ["method"])
    assert heads.endswith("memory  updates")
    events = [json.loads(line) for line in pathlib.Path("folder/log.jsonl").read_text().splitlines()]
    measured = [set(event) - {"event", "time"} for event in events if event["event"] == "memory"]
    assert measured == [set(EVENTS["study_stability"]["memory"])] * 2
    from bnao.stability import StabilityStudy

    assert StabilityStudy.from_json(content).to_json()["methods"] == content["methods"]
    assert bnao("check", "folder").exit_code == 0
    pytest.importorskip("jinja2")
    assert bnao("report", "folder", "-o", "report.html").exit_code == 0
    assert "<figcaption>Methods<" in (page := pathlib.Path("report.html").read_text()) and "memory, MiB" in page


def test_a_method_whose_memory_cannot_be_measured_is_a_warning_and_the_study_stands(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    arguments = [each for each in SHORT if each != "--no-memory"]

    printed = bnao("stability", "spos", *arguments, "--searches", 1, "--out", "folder")

    assert printed.exit_code == 0, printed.output
    assert "the memory of a search by spos was not measured: it ended with code 1" in printed.stderr
    assert "memory" not in json.loads(pathlib.Path("folder/study.json").read_text())["methods"][0]


def test_nao_ws_is_the_authors_preset_at_the_size_of_the_paper_and_its_algorithm_at_another():
    paper, quick = (
        search_config(StabilityConfig(preset=name, methods=("nao-ws",)), "nao-ws", 2) for name in ("paper", "quick")
    )

    assert (paper.preset, paper.rounds, paper.epochs, paper.pool, paper.seed) == ("nao-ws", 5, 30, 600, 2)
    assert (quick.preset, quick.pool) == ("quick", 60)
    for search in (paper, quick):
        assert (search.sampler, search.sample_from, search.rescore) == ("uniform", "survivors", "trained")
        assert search.training.span == "search"
    assert evaluate_config(StabilityConfig(preset="paper"), paper).training.weight_decay == 3e-4
    assert (
        evaluate_config(
            StabilityConfig(preset="paper"), search_config(StabilityConfig(preset="paper"), "nao", 0)
        ).training.weight_decay
        == 5e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("spos,magic",),
            "methods is 'spos,magic'; it must be different ones of nao, random, evolution, nao-uniform, nao-ws",
        ),
        (("spos", "--steps", 4, "--epochs", 4), "--epochs and --steps exclude each other"),
        (("spos", "--truth-column", "test"), "truth_column is test, and there is no truth"),
        (("spos", "--seconds", 5, "--steps", 4), "steps and seconds are given; the length of a search is one of them"),
        (("spos", "--max-parameters", 1, "--backend", "pretend"), "keep the budget (at most 1 parameters)"),
        (("spos", "--backend", "table"), "strategy spos decides how shared weights are trained, and backend is table"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_before_anything_is_made(arguments, message):
    result = bnao("stability", *arguments, "--quiet", "--out", "folder")

    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not pathlib.Path("folder").exists()


def test_a_study_is_read_back_as_it_was_written():
    entries = tuple(entry("nao", seed, 0.1 * seed) for seed in range(3))
    from bnao.stability import StabilityStudy

    study = StabilityStudy("nao", (MethodStability("nao", entries),))

    assert StabilityStudy.from_json(json.loads(json.dumps(study.to_json()))) == study
    judged = StabilityStudy("nao", study.methods, 0.95)
    assert StabilityStudy.from_json(json.loads(json.dumps(judged.to_json()))) == judged
    with pytest.raises(ConfigError):
        StabilityConfig(methods=())
    assert "pretend" in backends.available()


def test_every_file_of_a_comparison_is_one_that_a_check_knows():
    length = [each if each != "--steps" else "--seconds" for each in SHORT]
    length[length.index("--seconds") + 1] = 0.2
    assert bnao("stability", "nao,enas", *length, "--searches", 1, "--out", "folder").exit_code == 0

    whole = bnao("check", "folder")

    assert (whole.exit_code, "damaged" in whole.stdout.replace("nothing damaged", "")) == (0, False), whole.stdout
    entry = pathlib.Path("folder/enas-0.json")
    entry.write_text(entry.read_text().replace('"parameters":', '"parameter":'))
    assert "damaged" in bnao("check", "folder").stdout
