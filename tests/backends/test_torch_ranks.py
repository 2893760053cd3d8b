"""One supernet by two ranks: the same bits in both, and what one process computes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bnao.errors import ConfigError
from bnao.network.state import read_weights
from tests.killing import contents, events, finish, images_file, options, start
from tests.ranks import ROOT, ended, started_ranks

pytest.importorskip("torch")

import bnao
from bnao.backends.torch.ranks import _device, check_divisible
from bnao.config.ranks import RanksConfig
from bnao.config.settings import SearchConfig, TrainingConfig
from tests import rank_program


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """What each of two ranks computed, by name."""
    out = tmp_path_factory.mktemp("ranks")
    for code, _, said in ended(started_ranks(2, "-m", "tests.rank_program", out)):
        assert code == 0, said
    return [dict(np.load(out / f"rank{rank}.npz")) for rank in range(2)]


def part(computed, name):
    """What rank 0 computed of one name."""
    return {key.partition("/")[2]: value for key, value in computed[0].items() if key.startswith(f"{name}/")}


def are_close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert np.abs(np.asarray(one[name]) - np.asarray(other[name])).max() < 1e-5, name


def test_weights_outcomes_and_scores_have_the_same_bits_in_both_ranks(computed):
    assert computed[0].keys() == computed[1].keys()
    assert all((computed[0][name] == computed[1][name]).all() for name in computed[0])


@pytest.mark.parametrize("what", rank_program.PASSES)
def test_a_batch_divided_among_ranks_whose_norms_see_all_of_it_is_that_of_one_process(computed, what):
    share_over = "source" if what == "mixture" else "edge"

    are_close(part(computed, what), rank_program.made(rank_program.weights(share_over), what))


def test_passes_that_refer_to_one_another_are_made_by_one_rank_and_summed(computed):
    are_close(part(computed, "owned"), rank_program.made(rank_program.weights(), "taught"))


def test_three_paths_a_step_by_two_ranks_are_three_paths_by_one_process(computed):
    # each step from the ranks' state before it: after the first, weights that differ by rounding may take values over a
    # ReLU's kink, and on one processor momenta of a stem were then 1.5e-4 apart
    found = part(computed, "paths")

    are_close(found, rank_program.each_step(rank_program.weights(paths=3), per_step=3, before=found))


def test_paths_that_together_use_every_operation_are_divided_among_ranks(computed):
    alone = rank_program.trained(rank_program.weights(training={"companions": "fair"}), steps=1)

    are_close(part(computed, "fair"), alone)


def test_norms_that_see_a_rank_s_rows_alone_compute_something_else(computed):
    alone = rank_program.trained(rank_program.weights())

    assert np.abs(part(computed, "batch")["losses"][0] - alone["losses"][0]) > 1e-4
    assert part(computed, "batch")["losses"][0] == pytest.approx(alone["losses"][0], abs=0.2)


# --- the command


def across(count, *arguments):
    """Ranks that search with these options."""
    return started_ranks(count, "-m", "bnao", "search", *arguments)


def searching(images, out, *more):
    return (*options(images, out), "--rerank-epochs", 0, "--controller", "evolution", *more)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return images_file(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """A search by two ranks that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    first, second = ended(across(2, *searching(images, folder, "--across", "paths")))
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "run folder" in first[1] and second[1:] == ("", "")
    return folder


def test_a_search_by_two_ranks_leaves_what_one_process_with_two_paths_a_step_does(images, whole, tmp_path):
    finish(start(*searching(images, tmp_path / "alone", "--paths", 2)))

    pools = [json.loads((folder / "round-1-pool.json").read_text()) for folder in (whole, tmp_path / "alone")]
    assert pools[0] == pools[1]
    ours, alone = (
        [event["loss"] for event in map(json.loads, (folder / "log.jsonl").read_text().splitlines())
         if event["event"] == "step"]
        for folder in (whole, tmp_path / "alone")
    )  # fmt: skip
    assert len(ours) == len(alone) == 24
    assert ours[:3] == pytest.approx(alone[:3], abs=1e-5)
    assert "paths = 2" in (whole / "config.toml").read_text()
    assert json.loads((whole / "run.json").read_text())["ranks"] == 2


def test_a_rank_that_is_killed_ends_all_in_one_line_and_resuming_ends_as_if_it_had_not_been(images, whole, tmp_path):
    folder = tmp_path / "run"
    ranks = across(2, *searching(images, folder, "--across", "paths"))
    deadline = time.monotonic() + 200
    while events(folder) < 6 and all(rank.poll() is None for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.001)
    ranks[1].kill()

    first, second = ended(ranks)

    assert second[0] == -signal.SIGKILL
    assert first[0] == 1, first
    said = [line for line in first[2].splitlines() if line.startswith("bnao:")]
    assert len(said) == 1
    assert "rank 0 of 2 cannot reach the others: one of them has ended; finished work is kept" in said[0]
    assert f"-m bnao search --resume {folder}" in said[0]
    assert "Traceback" not in first[2]
    assert not (folder / "result.json").exists()

    again = ended(across(2, "--resume", folder))

    assert [code for code, *_ in again] == [0, 0], again
    assert contents(folder) == contents(whole)


def test_torchrun_starts_a_search_and_rank_0_alone_prints(images, tmp_path):
    arguments = searching(images, tmp_path / "run", "--across", "batch", "--sync-norm", "--quiet", "--strategy", "spos")
    own = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}

    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bnao",
         "search", *map(str, arguments), "--spos-generations", "2", "--spos-population", "4", "--spos-crossovers", "2",
         "--spos-mutations", "2"],
        capture_output=True, text=True, cwd=ROOT, env=own, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder") == 1
    read_weights(tmp_path / "run" / "supernet.safetensors", "")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--across", "paths", "--paths", 1), "a step has 1 paths, which 2 ranks cannot divide; give --paths 2"),
        ((), r"this process is one of 2 (WORLD_SIZE), and across is none"),
    ],
)
def test_ranks_that_have_nothing_to_do_are_refused_in_one_line_of_all(images, tmp_path, options, why):
    done = ended(across(2, *searching(images, tmp_path / "run", *options)))

    assert all(code for code, *_ in done)
    (line,) = "".join(said for _, _, said in done).splitlines()
    assert line.startswith("bnao: error: ") and why in line
    assert not (tmp_path / "run").exists()


# --- in one process


def test_across_is_refused_in_a_process_that_nothing_started_as_one_of_several():
    with pytest.raises(ConfigError, match=r"not started as one of several \(RANK is not set\); start it by torchrun"):
        bnao.prepare_search(SearchConfig(ranks=RanksConfig(across="batch")))


@pytest.mark.parametrize(
    ("ranks", "more", "why"),
    [
        ({"across": "batch"}, {"training": TrainingConfig(batch_size=3)}, "a batch of 3 images, which 4 ranks cannot"),
        ({"across": "paths", "paths": 3}, {}, "a step has 3 paths, which 4 ranks cannot divide; give --paths 4"),
        (
            {"across": "paths"},
            {"strategy": "darts"},
            "strategy darts trains one path or mixture at a time",
        ),
    ],
)
def test_each_rank_must_have_something_to_do_at_a_step(ranks, more, why):
    with pytest.raises(ConfigError, match=why):
        check_divisible(SearchConfig(ranks=RanksConfig(**ranks), **more), 1000, 4)


def test_ranks_cannot_share_a_device_that_is_named():
    with pytest.raises(ConfigError, match="device is mps, which several ranks cannot have; it must be cpu, or cuda"):
        _device("mps")
