"""``bnao latency``, and searches for a front and within a latency, on a backend that pretends to compute."""

import json
import pathlib

import pytest

from tests.commands import bnao, workplace  # noqa: F401  # fixture

MODEL = (
    "latency",
    "--backend",
    "pretend",
    "--space",
    "nas-bench-201",
    "--channels",
    8,
    "--cells",
    1,
    "--genotypes",
    40,
)
CONVOLUTIONS = "0:nor_conv_3x3;0:none+1:nor_conv_1x1;0:none+1:none+2:skip_connect"
SEARCH = (
    "search", "--backend", "pretend", "--space", "nas-bench-201", "--controller", "evolution", "--rounds", 3,
    "--pool", 12, "--new", 6, "--epochs", 1, "--quiet",
)  # fmt: skip


def test_a_model_is_measured_fitted_and_written_with_its_error():
    result = bnao(*MODEL, "--genotypes", 40, "-o", "latency.json", "--threads", 2, "--quiet")

    assert result.exit_code == 0, result.stderr
    content = json.loads(pathlib.Path("latency.json").read_text())
    # a millisecond and one for each convolution, of which half of the passes take a tenth more
    assert content["milliseconds"] == pytest.approx(
        {"base": 1.05, "skip_connect": 0, "nor_conv_1x1": 1.05, "nor_conv_3x3": 1.05, "avg_pool_3x3": 0}, abs=1e-4
    )
    assert content["error"] < 1e-4
    assert len(content["measured"]) == 40
    assert content["conditions"]["runtime"] == "pretend"
    assert content["conditions"]["threads"] == 2
    assert content["conditions"]["versions"]["pretend"] == "1.0"
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["term", "ms"]
    assert (
        "40 genotypes of nas-bench-201 with C = 8, N = 1, images 32x32x3, batch 1, by pretend on moon, threads 2"
        in lines[-5]
    )
    assert lines[-3].startswith("model on genotypes held out (5 parts in turn): mean absolute percentage error 0.0 %, ")
    assert lines[-1].startswith("next: bnao search --space nas-bench-201 --latency latency.json --max-latency ")


def test_given_genotypes_are_measured_one_by_one_beside_what_a_model_predicts():
    bnao(*MODEL, "--genotypes", 40, "-o", "latency.json", "--quiet")

    result = bnao(*MODEL, CONVOLUTIONS, "--batch", 10, "--model", "latency.json", "--quiet")
    content = json.loads(bnao(*MODEL, CONVOLUTIONS, "--json", "--quiet").stdout)

    # the model is of one image
    assert result.stdout.splitlines()[2].split()[2:] == ["31.5", "ms", "9.5", "%", "3.15", "ms"]
    assert content["latencies"][0]["milliseconds"] == 3.15
    assert content["latencies"][0]["genotype"] == CONVOLUTIONS


def test_a_search_within_a_latency_for_a_front_of_it_keeps_its_model_and_its_members_are_evaluated():
    bnao(*MODEL, "--genotypes", 40, "-o", "latency.json", "--quiet")
    more = ("--latency", "latency.json", "--max-latency", "4.3ms", "--pareto", "latency")

    result = bnao(*SEARCH, *more, "--seed", 3, "--out", "run")

    assert result.exit_code == 0, result.stderr
    content = json.loads(pathlib.Path("run/result.json").read_text())
    members = content["front"]["genotypes"]
    assert content["front"]["cost"] == "latency"
    assert [entry["genotype"] for entry in content["ranked"][: len(members)]] == members
    assert max(entry["latency"] for entry in content["ranked"]) <= 4.3
    lines = result.stdout.splitlines()
    assert lines[1].split()[:6] == ["rank", "id", "score", "parameters", "multiply-adds", "latency"]
    assert len([line for line in lines if " ms " in line and "front" not in line]) == len(members)
    assert f"front: {len(members)} of 24 genotypes, which no other matches in score at as low a cost" in result.stdout
    assert bnao("check", "run").exit_code == 0
    evaluated = bnao("evaluate", "run", "--top", 2, "--epochs", 1, "--quiet", "--json")
    assert [e["genotype"] for e in json.loads(evaluated.stdout)["evaluations"]] == [members[0], members[-1]]
    refused = bnao("evaluate", "run", "--top", len(members) + 1)
    assert f"--top is {len(members) + 1}; the front of run has {len(members)} genotypes" in refused.stderr


def test_a_strategy_that_decides_at_each_update_keeps_a_latency_too():
    bnao(*MODEL, "--genotypes", 40, "-o", "latency.json", "--quiet")

    result = bnao(
        "search", "--strategy", "spos", "--backend", "pretend", "--space", "nas-bench-201", "--steps", 4, "--rounds", 1,
        "--latency", "latency.json", "--max-latency", "3.2ms", "--out", "run", "--quiet",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    ranked = json.loads(pathlib.Path("run/result.json").read_text())["ranked"]
    assert max(entry["latency"] for entry in ranked) <= 3.2
    assert bnao("check", "run").exit_code == 0


def test_a_report_shows_the_front():
    pytest.importorskip("jinja2")
    bnao(*SEARCH, "--pareto", "parameters", "--out", "run")

    assert bnao("report", "run", "-o", "report.html").exit_code == 0

    page = pathlib.Path("report.html").read_text(encoding="utf-8")
    assert "Score against cost" in page
    assert "The front of score and parameters first" in page


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("latency",), 2, "give GENOTYPEs to measure, or -o FILE for a model of random ones, and not both"),
        (("latency", CONVOLUTIONS, "-o", "x.json"), 2, "and not both"),
        (("latency", "-o", "x.json", "--model", "y.json"), 2, "--model is for GENOTYPEs that are measured"),
        (("latency", "-o", "there.json"), 2, "there.json exists already; name another file with -o"),
        (("latency", "-o", "nowhere/x.json"), 2, "cannot write in the folder nowhere; name another file with -o"),
        (("latency", "-o", "x.json", "--backend", "table"), 2, "backend 'table' computes no network"),
        (("latency", "-o", "x.json", "--genotypes", 5), 2, "genotypes is 5; it must be >= 10"),
        (("latency", "-o", "x.json", "--runtime", "onnxruntime", "--device", "cuda"), 2, "leave out device, precision"),
        (("latency", CONVOLUTIONS, "--model", "there.json", "--backend", "pretend"), 1, "there.json is not JSON"),
        ((*SEARCH, "--max-latency", "5ms"), 2, "no model tells latencies; make one with bnao latency -o latency.json"),
        ((*SEARCH, "--max-latency", "5"), 2, "max_latency is '5'; it must be a time above 0, such as 5ms or 0.2s"),
        ((*SEARCH, "--latency", "no.json", "--max-latency", "5ms"), 1, "cannot read no.json: No such file"),
        ((*SEARCH, "--pareto", "size", "--strategy", "darts"), 2, "strategy darts derives one genotype by its rule"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_or_searched_is_refused_in_one_line(arguments, code, told):
    pathlib.Path("there.json").write_text("mine")

    result = bnao(*arguments)

    assert result.exit_code == code
    (line,) = result.stderr.splitlines()[-1:]
    assert told in line
    assert "Traceback" not in result.stderr
