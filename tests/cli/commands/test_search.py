"""``bnao search --strategy`` and ``bnao strategies``, on a table that pretends to be a supernet: no framework."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest

from bnao.config.settings import ROUND_LEVEL
from bnao.config.strategies import STEP_LEVEL, section_of
from bnao.network.state import read_weights
from bnao.strategies.methods import METHODS
from bnao.streams import stream
from tests.commands import bnao, workplace  # noqa: F401  # the fixture is used by its name

HERE = pathlib.Path(__file__).resolve().parents[2]
QUICK = ("--space", "nas-bench-201", "--channels", 8, "--steps", 10, "--backend", "pretend", "--quiet")


def search(*arguments):
    result = bnao("search", *QUICK, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(code, *arguments):
    result = bnao("search", *QUICK, *arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("bnao: error: ").removesuffix("\n")


# --- the list


def test_the_list_has_every_strategy_that_a_search_can_take():
    listed = bnao("strategies").stdout.splitlines()

    first, second = listed[: listed.index("")], listed[listed.index("") + 1 :]
    for lines in (first, second):
        assert [line.split()[0] for line in lines[1:]] == list(METHODS) == [*ROUND_LEVEL, *STEP_LEVEL]
    assert "arXiv 1904.00420" in next(line for line in listed if line.startswith("spos"))


def test_the_list_is_json_where_it_is_asked_for():
    content = json.loads(bnao("strategies", "--json").stdout)

    assert [each["name"] for each in content["strategies"]] == list(METHODS)
    assert set(content["strategies"][0]) == {"name", "title", "paper", "rule", "needs", "cost", "memory", "front"}
    with_front = [each["name"] for each in content["strategies"] if each["front"]]
    assert with_front == ["nao", "random", "evolution", "spos", "fairnas", "enas"]


# --- a search


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_a_search_by_each_strategy_leaves_a_run_that_other_commands_take(strategy):
    printed = search("--strategy", strategy, "--out", "run", "--top", 2)

    result = json.loads(pathlib.Path("run/result.json").read_text())
    assert result["strategy"]["name"] == strategy
    assert result["strategy"]["updates"] == 30  # three rounds of ten steps, in one piece
    assert 1 <= len(result["ranked"]) <= 2
    best = result["ranked"][0]
    assert best["id"] in printed
    assert f"{strategy}: 30 updates" in printed
    settings = tomllib.loads(pathlib.Path("run/config.toml").read_text())
    assert settings["strategy"] == strategy
    assert section_of(strategy) in settings and "watch" in settings
    assert not {section_of(other) for other in STEP_LEVEL if other != strategy} & set(settings)
    assert bnao("show", best["genotype"], "--space", "nas-bench-201").exit_code == 0
    evaluated = bnao("evaluate", "run", "--backend", "pretend", "--epochs", 1, "--top", 1, "--random", 2, "--quiet")
    assert evaluated.exit_code == 0, evaluated.output


def test_a_search_for_a_front_by_a_strategy_shows_all_of_it_and_is_evaluated_along_it():
    printed = search("--strategy", "spos", "--pareto", "parameters", "--out", "run", "--top", 2)

    result = json.loads(pathlib.Path("run/result.json").read_text())
    front = result["front"]["genotypes"]
    assert [each["genotype"] for each in result["ranked"][: len(front)]] == front
    assert len(result["ranked"]) == result["strategy"]["scored"]
    assert f"front: {len(front)} of {len(result['ranked'])} genotypes" in printed
    evaluated = bnao("evaluate", "run", "--backend", "pretend", "--epochs", 1, "--top", 1, "--random", 1, "--quiet")
    assert evaluated.exit_code == 0, evaluated.output
    assert refused(2, "--strategy", "gdas", "--pareto", "size", "--out", "other").startswith(
        "pareto is size, and strategy gdas derives one genotype by its rule and scores no others; a front is that of"
    )


def test_the_search_by_rounds_has_no_sections_of_other_strategies_in_its_file():
    shown = tomllib.loads(bnao("search", "--show-config").stdout)

    assert shown["strategy"] == "nao"
    assert not {"watch", *map(section_of, STEP_LEVEL)} & set(shown)


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_a_strategy_by_rounds_is_the_controller_of_its_name(strategy):
    for out, options in (("one", ("--strategy", strategy)), ("two", ("--controller", strategy))):
        search(*options, "--pool", 10, "--new", 5, "--out", out)

    one, two = (json.loads(pathlib.Path(out, "result.json").read_text()) for out in ("one", "two"))
    assert one == two
    assert refused(2, "--strategy", strategy, "--controller", "ridge") == (
        f"--strategy {strategy} is --strategy nao with --controller {strategy}, and --controller ridge is given; leave "
        "one of them out"
    )


def test_a_preset_is_that_of_the_strategy_and_options_go_before_it():
    def shown(*arguments):
        return tomllib.loads(bnao("search", *arguments, "--show-config").stdout)

    assert shown("--strategy", "spos")["spos"]["population"] == 20
    assert shown("--strategy", "spos", "--spos-population", 30)["spos"]["population"] == 30
    assert shown("--strategy", "spos", "--preset", "paper")["spos"]["population"] == 50
    assert shown("--strategy", "spos", "--preset", "paper")["rounds"] == 1
    assert shown("--strategy", "enas", "--preset", "paper")["training"]["batch_size"] == 160
    assert shown("--preset", "paper")["rounds"] == 4
    pathlib.Path("mine.toml").write_text('strategy = "spos"\n[spos]\nparents = 7\n')
    assert shown("--config", "mine.toml")["spos"] == shown("--strategy", "spos", "--spos-parents", 7)["spos"]


def test_the_help_shows_the_settings_of_each_strategy_under_its_title():
    shown = bnao("search", "--help").stdout

    for heading, option in (
        ("Single-Path One-Shot (strategy spos):", "--spos-population INTEGER"),
        ("ENAS (strategy enas):", "--enas-policy [lstm|tabular]"),
        ("Alarms (strategies that decide at each update):", "--stop-at-skips INTEGER"),
    ):
        assert option in shown[shown.index(heading) :]


def test_progress_tells_the_strategys_own_figures():
    result = bnao("search", *QUICK[:-1], "--strategy", "enas", "--steps", 40, "--out", "run")

    assert result.exit_code == 0
    told = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert told and all("entropy" in line and "baseline" in line and "parameter-free edges" in line for line in told)
    assert "enas: 120 updates" in result.stdout and "in the end entropy" in result.stdout


def test_a_search_stops_early_and_says_why():
    printed = search("--strategy", "enas", "--steps", 100, "--stop-at-skips", 1, "--out", "run")

    assert (
        "stopped after" in printed
        or json.loads(pathlib.Path("run/result.json").read_text())["strategy"]["updates"] == 300
    )


# --- resume


def log_without_seconds(folder):
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in event.items() if name != "seconds"} for event in events]


@pytest.mark.parametrize("strategy", ["spos", "enas"])
@pytest.mark.parametrize("moment", range(2))
def test_a_search_killed_at_a_random_moment_ends_as_if_it_had_not_been(strategy, moment):
    options = ("--strategy", strategy, "--checkpoint-seconds", 0, "--rounds", 1, "--steps", 60)
    search(*options, "--out", "whole")
    whole = log_without_seconds(pathlib.Path("whole"))
    at = int(stream(moment, "kill a strategy").integers(1, len(whole)))
    command = [sys.executable, "-c", "from bnao.cli import main; main()", "search", *QUICK, *options, "--out", "run"]
    process = subprocess.Popen(list(map(str, command)), env={**os.environ, "PRETEND_SECONDS": "0.01"})
    log, deadline = pathlib.Path("run/log.jsonl"), time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.read_bytes().count(b"\n") >= at:
            break
        time.sleep(0.001)
    process.kill()
    process.communicate()

    assert bnao("search", "--resume", "run", "--quiet").exit_code == 0

    assert log_without_seconds(pathlib.Path("run")) == whole
    for name in ("result.json", "scores.json", "supernet.safetensors", "checkpoint.safetensors"):
        assert pathlib.Path("run", name).read_bytes() == pathlib.Path("whole", name).read_bytes(), name


def test_a_search_without_rounds_is_not_extended_by_rounds():
    search("--strategy", "spos", "--out", "run")

    result = bnao("search", "--resume", "run", "--rounds", 5)

    assert result.exit_code == 2
    assert result.stderr == (
        "bnao: error: run is a search by strategy spos, whose one learning rate schedule has no further rounds; start "
        "a new run\n"
    )


def test_a_search_begins_with_the_weights_of_another():
    search("--strategy", "spos", "--out", "first")
    search("--strategy", "spos", "--from-supernet", "first", "--learning-rate", 0, "--learning-rate-end", 0,
           "--out", "second")  # fmt: skip

    weights = [read_weights(pathlib.Path(out, "supernet.safetensors"))[0]["learned"] for out in ("first", "second")]
    assert weights[0] == weights[1] > 0


def test_a_search_that_began_with_the_weights_of_another_is_resumed_without_it():
    search("--strategy", "spos", "--out", "first")
    search("--strategy", "spos", "--from-supernet", "first", "--out", "second")
    result = pathlib.Path("second", "result.json")
    found = result.read_bytes()
    result.unlink()
    shutil.rmtree("first")

    bnao("search", "--resume", "second", "--quiet")

    assert result.read_bytes() == found


# --- what is refused


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--backend", "table", "--table", "none.csv"), 2,
         "strategy spos decides how shared weights are trained, and backend is table"),
        (("--sharing", "none"), 2, "strategy spos decides how shared weights are trained, and sharing is none"),
        (("--controller-backend", "torch"), 2, "controller_backend is torch, and strategy spos has no controller"),
        (("--pool-file", "pool.txt", "--pool", 2), 2, "pool_file is pool.txt, and strategy spos has no pool"),
        (("--max-parameters", 1), 2,
         "only 0 of about 2,000 random genotypes keep the budget (at most 1 parameters), and 1 are wanted; allow more, "
         "or take fewer channels or cells"),
        (("--stop-at-skips", 2), 2,
         "stop_at_skips is 2, and strategy spos derives no genotype before its end; leave it out"),
        (("--companions", "fair"), 2,
         "companions is fair, and strategy spos decides itself what an update trains; leave it out"),
        (("--spos-crossovers", 30), 2,
         "crossovers is 30 and mutations is 10; together they must be at most population, which is 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_a_folder_is_made(options, code, message):
    pathlib.Path("pool.txt").write_text(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|\n"
        "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|\n"
    )

    assert message in refused(code, "--strategy", "spos", "--out", "run", *options)
    assert not pathlib.Path("run").exists()


@pytest.mark.parametrize("strategy", [name for name, method in METHODS.items() if "mixtures" in method.needs])
def test_mixtures_of_edges_that_share_nothing_are_refused_before_a_folder_is_made(strategy):
    assert refused(2, "--strategy", strategy, "--space", "nao", "--share-over", "edge", "--out", "run") == (
        "share_over is edge, so a node of space 'nao' has 2 sets of weights for each source; a mixture needs one: let "
        "share_over be source, node or cell"
    )
    assert not pathlib.Path("run").exists()


def test_a_backend_that_trains_in_its_own_way_is_refused(monkeypatch):
    monkeypatch.setenv("PRETEND_OWN_WAY", "1")

    message = refused(1, "--strategy", "spos", "--out", "run")

    assert message == (
        "backend 'pretend' trains in its own way, and strategy spos decides every update; its supernet() must return a "
        "bnao.training.shared_weights.SharedWeights"
    )


# --- what comes at the end


@pytest.mark.parametrize("strategy", ["spos", "darts"])
def test_the_result_is_json_where_it_is_asked_for(strategy):
    content = json.loads(search("--strategy", strategy, "--json", "--out", "run"))

    assert content["strategy"]["name"] == strategy
    assert content["ranked"] == json.loads(pathlib.Path("run/result.json").read_text())["ranked"]


def test_what_is_chosen_is_trained_alone_and_ranked_by_that():
    search("--strategy", "spos", "--rerank-epochs", 1, "--top", 3, "--out", "run")

    ranked = json.loads(pathlib.Path("run/result.json").read_text())["ranked"]
    accuracies = [entry["reranked"] for entry in ranked]
    assert len(accuracies) == 3
    assert accuracies == sorted(accuracies, reverse=True)


def test_what_is_chosen_is_ranked_by_joined_scores():
    search("--strategy", "enas", "--rank-by", "fused", "--proxies", "naswot", "--top", 3, "--out", "run")

    ranked = json.loads(pathlib.Path("run/result.json").read_text())["ranked"]
    assert [set(entry["parts"]) for entry in ranked] == [{"score", "size", "naswot"}] * 3
    assert [entry["fused"] for entry in ranked] == sorted((entry["fused"] for entry in ranked), reverse=True)


def test_a_search_by_log_likelihood_has_no_standard_errors():
    search("--strategy", "spos", "--score", "log-likelihood", "--top", 2, "--out", "run")

    ranked = json.loads(pathlib.Path("run/result.json").read_text())["ranked"]
    assert all(entry["score"] < 0 and entry["standard_error"] is None for entry in ranked)


def test_the_page_of_strategies_has_the_papers_and_costs_of_the_table():
    page = (HERE.parent / "docs" / "strategies.md").read_text(encoding="utf-8")
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `([a-z-]+)` \|.*$", page, re.M)}

    assert list(rows) == list(METHODS)
    for name, method in METHODS.items():
        if name not in ROUND_LEVEL[1:]:
            assert method.paper.split()[-1] in rows[name], name
        for number in re.findall(r"\b\d+(?:\.\d+)?\b", method.cost if name != "fairnas" else ""):
            assert re.search(rf"\b{number}\b", rows[name].split("|")[4]), name
