"""``bnao proxies``, and rankings by joined scores, on a backend that pretends to train."""

import json
import pathlib

import pytest

from tests.cli.test_cli import PRETEND, bnao, finished, on_table, refused, table, workplace  # noqa: F401  # fixtures

ON = ("proxies", "--backend", "pretend", "--quiet")
DEAD = "0:none;0:none+1:none;0:none+1:none+2:skip_connect"
ALIVE = "0:nor_conv_3x3;0:none+1:nor_conv_3x3;0:none+1:none+2:skip_connect"


def test_scores_stand_beside_live_sizes_with_a_standard_error_over_repeats():
    result = bnao(*ON, "--space", "nas-bench-201", ALIVE, "--repeats", 3, "--proxies", "naswot,snip")

    head = result.stdout.splitlines()[1].split("  ")
    assert [cell.strip() for cell in head if cell] == [
        "id", "live parameters", "live multiply-adds", "naswot", "snip",
    ]  # fmt: skip
    assert "3 repeats; errors are standard errors of the mean over repeats" in result.stdout


def test_what_is_not_defined_has_one_line_each_and_is_null_in_json():
    result = bnao(*ON, "--space", "nas-bench-201", ALIVE, DEAD)
    found = json.loads(bnao(*ON, "--space", "nas-bench-201", ALIVE, DEAD, "--json").stdout)

    lines = [line for line in result.stdout.splitlines() if "is not defined for" in line]
    assert [line.partition(":")[0] for line in lines] == [
        f"{name} is not defined for 1 of 2 genotypes, the first is number 2" for name in ("jacob_cov", "naswot")
    ]
    assert [entry["proxies"]["naswot"]["mean"] is None for entry in found["scores"]] == [False, True]
    assert found["scores"][0]["live_parameters"] > found["scores"][1]["live_parameters"]


def test_a_runs_genotypes_are_scored_with_its_network_and_images(finished):  # noqa: F811
    found = json.loads(bnao("proxies", finished, "--top", 3, "--quiet", "--json").stdout)

    ranked = json.loads((finished / "result.json").read_text())["ranked"]
    assert [entry["genotype"] for entry in found["scores"]] == [entry["genotype"] for entry in ranked[:3]]
    assert [entry["run_score"] for entry in found["scores"]] == [entry["score"] for entry in ranked[:3]]
    assert (found["backend"], found["channels"], found["cells"]) == ("pretend", 8, 1)


def test_genotypes_of_a_run_named_by_rank_or_id_are_scored_with_its_network_and_images(finished):  # noqa: F811
    ranked = json.loads((finished / "result.json").read_text())["ranked"]

    found = json.loads(bnao("proxies", f"{finished}:3", f"{finished}:{ranked[0]['id']}", "--quiet", "--json").stdout)

    assert [entry["genotype"] for entry in found["scores"]] == [ranked[2]["genotype"], ranked[0]["genotype"]]
    assert [entry["run_score"] for entry in found["scores"]] == [ranked[2]["score"], ranked[0]["score"]]
    assert (found["backend"], found["channels"], found["cells"]) == ("pretend", 8, 1)
    assert "--top is for the folder of a run" in refused(2, "proxies", f"{finished}:3", "--top", 1)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "no genotype; give one or more"),
        (("DARTS_V2", "--proxies", "zen"), 2, "proxies: no zero-cost score 'zen'; there is jacob_cov, naswot"),
        (("DARTS_V2", "--proxies", "snip,snip"), 2, "proxies is 'snip,snip'; it names one twice"),
        (("DARTS_V2", "--batch", 9000), 2, "batch is 9000, and the train part has 2700 images; give fewer"),
        (("DARTS_V2", "--batch", 1), 2, "batch is 1; it must be >= 2"),
        (("DARTS_V2", "--top", 3), 2, "--top is for the folder of a run"),
        (("DARTS_V2", "--backend", "table"), 2, "backend 'table' trains and scores no network"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(arguments, code, told):
    assert told in refused(code, *ON, *arguments)


# --- rankings by joined scores


def test_a_search_ranks_by_joined_scores_and_shows_every_part():
    fused = ("--rank-by", "fused", "--landmarks", 5, "--landmark-epochs", 1)
    result = bnao(*PRETEND, *fused, "--out", "fused", "--quiet")

    assert result.exit_code == 0, result.output
    heads = result.stdout.splitlines()[1]
    assert all(name in heads for name in ("score", "live size", "jacob_cov", "naswot", "fused"))
    assert "weights learned from 5 genotypes trained alone" in result.stdout
    assert "Kendall tau of the fused ranking and its parts: score" in result.stdout
    written = json.loads(pathlib.Path("fused/result.json").read_text())
    values = [entry["fused"] for entry in written["ranked"]]
    assert values == sorted(values, reverse=True)
    assert set(written["ranked"][0]["parts"]) == {"score", "size", "jacob_cov", "naswot"}
    assert len(list(pathlib.Path("fused/landmarks").glob("*.json"))) == 5
    again = json.loads(bnao("search", "--resume", "fused", "--quiet", "--json").stdout)
    assert again["ranked"] == written["ranked"]


def test_a_table_joins_scores_with_size_alone(on_table):  # noqa: F811
    result = bnao(*on_table, "--rounds", 1, "--rank-by", "fused", "--proxies", "none", "--quiet", "--out", "run")

    assert "fused: ranks by score (50.0 %) and size (50.0 %), all parts alike" in result.stdout
    told = refused(2, *on_table, "--rounds", 1, "--rank-by", "fused", "--quiet", "--out", "other")
    assert told == ("error: proxies is 'jacob_cov,naswot', and there are no images to score networks on; give none")
    assert not pathlib.Path("other").exists()


def test_a_runs_genotypes_are_scored_again_and_ranked_by_joined_scores(finished):  # noqa: F811
    found = json.loads(bnao("score", finished, "--rank-by", "fused", "--quiet", "--json").stdout)
    shown = bnao("score", finished, "--rank-by", "fused", "--quiet").stdout

    assert set(found["scores"][0]["parts"]) == {"score", "size", "jacob_cov", "naswot"}
    assert found["fusion"]["weights"] == dict.fromkeys(("score", "size", "jacob_cov", "naswot"), 0.25)
    best = max(found["scores"], key=lambda entry: entry["fused"])
    assert shown.splitlines()[2].split()[0] == str(found["scores"].index(best) + 1)
    assert "all parts alike" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--landmarks", 5), "landmarks is 5; they are for rank_by fused, and it is score"),
        (("--rank-by", "fused", "--landmarks", 4), "landmarks is 4; it must be 0 or >= 5"),
    ],
)
def test_landmarks_that_cannot_weigh_anything_are_refused(arguments, told):
    assert refused(2, *PRETEND, *arguments) == f"error: {told}"


def test_more_landmarks_than_genotypes_are_refused(finished):  # noqa: F811
    told = refused(1, "score", finished, "--rank-by", "fused", "--landmarks", 50, "--quiet")

    assert told == "error: landmarks is 50, and there are 18 genotypes; give fewer"
