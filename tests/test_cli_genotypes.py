"""``bnao random`` and ``bnao neighbours``: what is printed, and what is refused."""

import json
import pathlib

import pytest
from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.errors import GenotypeError
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.edits import neighbours
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES, space_named
from bnao.space.zoo import published_cell
from bnao.streams import stream
from bnao.studies.genotypes import random_genotypes
from tests.cli.test_cli import bnao, refused, workplace  # noqa: F401  # the fixture is used by its name

NETWORK = EvaluateConfig().network


def lines(*arguments, **settings):
    result = bnao(*arguments, **settings)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


# --- bnao random


def test_as_many_distinct_genotypes_are_printed_as_are_wanted_the_same_for_a_seed():
    first, again, other = lines("random", 50), lines("random", 50), lines("random", 50, "--seed", 1)

    assert len(set(first)) == 50
    assert first == again
    assert not set(first) & set(other)
    assert [str(parse(line)) for line in first] == first
    assert first == [str(genotype) for genotype in random_genotypes(50, NETWORK)]


def test_budgets_hold_for_the_networks_that_evaluate_trains():
    printed = lines("random", 20, "--max-parameters", "3.5M", "--max-multiply-adds", "560M", "--json")

    for entry in map(json.loads, printed):
        genotype = parse(entry["genotype"])
        assert entry["parameters"] == count_parameters(genotype, NETWORK) <= 3_500_000
        assert entry["multiply_adds"] == count_multiply_adds(genotype, NETWORK) <= 560_000_000
        assert (entry["space"], entry["channels"]) == ("nao", 36)


def test_what_is_printed_can_be_read_again_in_any_space_and_notation():
    for space, notation in (
        ("darts", "darts"),
        ("nas-bench-201", "nas-bench-201"),
        ("nao", "enas"),
        ("nasnet", "json"),
    ):
        as_text = lines("random", 5, "--space", space)
        pathlib.Path("pool.txt").write_text("\n".join(lines("random", 5, "--space", space, "--as", notation)))

        read = lines("show", "--file", "pool.txt", "--space", space, "--as", "text")

        assert read == as_text


def test_a_pool_file_is_trained_by_evaluate():
    pathlib.Path("pool.txt").write_text("\n".join(lines("random", 3)))

    done = bnao("evaluate", "--file", "pool.txt", "--backend", "pretend", "--epochs", 1, "--json")

    assert [entry["genotype"] for entry in json.loads(done.stdout)["evaluations"]] == lines("random", 3)


def test_a_whole_space_can_be_asked_for_and_no_more():
    assert len(set(lines("random", 3025, "--nodes", 1))) == 3025  # 55 pairs of 10 choices in each of two cells
    assert "space 'nao' with 1 nodes has 3,025 genotypes, and 3,026 are wanted" in refused(
        1, "random", 3026, "--nodes", 1
    )
    assert refused(1, "random", 100_000, "--space", "nas-bench-201").startswith("error: space 'nas-bench-201' with 3")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0,), "0 is not in the range 1<=x<=1000000"),
        (("x",), "'x' is not a valid integer"),
        ((1, "--max-parameters", 1000), "only 0 of 3,000 random genotypes keep the budget (at most 1,000 parameters)"),
        ((1, "--channels", "auto"), "here it must be a number >= 2"),
        ((1, "--json", "--as", "nao"), "--json and --as exclude each other"),
        ((1, "--image", "32"), "'32' is not an image shape"),
        ((1, "--seed", -1), "seed is -1; it must be >= 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(arguments, told):
    assert told in refused(2, "random", *arguments)


def test_too_few_that_keep_the_budget_in_a_small_space_are_said():
    sizes = sorted(json.loads(line)["parameters"] for line in lines("random", 3025, "--nodes", 1, "--json"))

    within = lines("random", 50, "--nodes", 1, "--max-parameters", sizes[99])

    assert len(set(within)) == 50
    message = refused(2, "random", 3025, "--nodes", 1, "--max-parameters", sizes[99])
    keeping = sum(size <= sizes[99] for size in sizes)
    assert message.startswith(f"error: only {keeping} of 3,025 random genotypes keep the budget")
    assert "3025 are wanted; allow more, or take fewer channels" in message


# --- bnao neighbours


def test_neighbours_of_a_cell_of_one_node_by_hand():
    space = space_named("nao", 1)
    text = "0:sep_conv_3x3+1:skip_connect|0:skip_connect+0:skip_connect"

    found = neighbours(parse(text, space), space)

    normal, reduction = text.split("|")
    first = [str(g).split("|")[0] for g in found if str(g).split("|")[1] == reduction]
    second = [str(g).split("|")[1] for g in found if str(g).split("|")[0] == normal]
    # each edge has one other source and four other operations; equal edges have the same neighbours
    assert len(first) == 10
    assert {"1:sep_conv_3x3+1:skip_connect", "0:sep_conv_3x3+0:skip_connect"} <= set(first)
    assert sorted(second) == [
        "0:avg_pool_3x3+0:skip_connect", "0:max_pool_3x3+0:skip_connect", "0:sep_conv_3x3+0:skip_connect",
        "0:sep_conv_5x5+0:skip_connect", "0:skip_connect+1:skip_connect",
    ]  # fmt: skip
    assert len(found) == 15


@pytest.mark.parametrize("name", sorted(SPACES))
def test_neighbours_are_distinct_genotypes_of_the_space_that_are_each_others_neighbours(name):
    space = SPACES[name]
    (genotype,) = space.random_genotypes(1, stream(0, "neighbours"))

    found = neighbours(genotype, space)

    assert len(set(found)) == len(found) > 0
    assert genotype not in found
    for other in found:
        assert space.check(other) == other
    assert all(genotype in neighbours(other, space) for other in found[::7])
    assert space.decode(space.encode(found)) == found  # as they are kept


def test_a_genotype_of_another_space_has_no_neighbours_here():
    with pytest.raises(GenotypeError, match="the normal cell has 4 nodes"):
        neighbours(published_cell("DARTS_V2").genotype, SPACES["nao"])


def test_neighbours_are_printed_counted_and_limited():
    all_of_them = lines("neighbours", "NAONet-V2")

    assert lines("neighbours", "NAONet-V2", "--count") == [str(len(all_of_them))]
    assert lines("neighbours", "NAONet-V2", "--limit", 3) == all_of_them[:3]
    assert all_of_them == [str(g) for g in neighbours(published_cell("NAONet-V2").genotype, SPACES["nao"])]
    (entry,) = map(json.loads, lines("neighbours", "DARTS_V2", "--limit", 1, "--json"))
    assert (entry["space"], entry["nodes"]) == ("darts", 4)
    in_darts = evolve(NETWORK, space="darts")
    assert entry["parameters"] == count_parameters(parse(entry["genotype"], SPACES["darts"]), in_darts)
    assert lines("neighbours", "-", "--count", input="NAONet-V2\n") == [str(len(all_of_them))]


def test_every_edge_of_a_nas_bench_201_cell_has_four_other_operations():
    (cell,) = lines("random", 1, "--space", "nas-bench-201")

    assert lines("neighbours", cell, "--space", "nas-bench-201", "--count") == ["24"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nobody",), 1, "'nobody' is not a genotype"),
        (("DARTS_V2", "--space", "nao"), 1, "DARTS_V2 is of space 'darts'"),
        (("NAONet-V2", "--count", "--json"), 2, "--count prints a number alone; leave out --json"),
        (("NAONet-V2", "--limit", 0), 2, "0 is not in the range x>=1"),
    ],
)
def test_neighbours_that_cannot_be_told_are_refused_in_a_line(arguments, code, told):
    assert told in refused(code, "neighbours", *arguments)
