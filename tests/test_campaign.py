"""Some hundred cases of ``tests/campaign.py``: damaged files end in the right result or one line, never a traceback."""

import collections
import os
import subprocess
import sys

import campaign
import pytest

CASES = 300


@pytest.fixture(scope="module")
def pretend(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        campaign.prepare(patch.setattr)
        yield campaign.Campaign("pretend", tmp_path_factory.mktemp("campaign"))


@pytest.mark.slow
def test_a_damaged_file_ends_in_one_line_or_in_the_result_of_the_whole_folder(pretend):
    counts, wrong = collections.Counter(), []

    for case in pretend.cases(CASES, seed=17):
        verdict = pretend.judge(case)
        counts[verdict.kind] += 1
        if verdict.kind in campaign.WRONG:
            wrong.append((verdict.kind, case, verdict.text))

    assert not wrong, f"{len(wrong)} of {CASES}; the first: {wrong[0]}"
    assert counts["refused"] > CASES / 5  # else nothing was damaged that is read


def test_every_command_of_the_campaign_reads_its_folder(pretend):
    read = collections.defaultdict(set)
    for command in pretend.commands:
        for file in pretend.files[command.folder]:
            if file.endswith((".json", ".safetensors", ".toml")):
                verdict = pretend.judge(campaign.Case(command, file, "empty", 0))
                read[file.rpartition("/")[2]].add(verdict.kind)

    assert {"refused"} <= read["result.json"] & read["config.toml"] & read["supernet.safetensors"] & read["study.json"]


@pytest.mark.slow
@pytest.mark.skipif("torch" not in os.environ.get("BNAO_FRAMEWORK", ""), reason="needs PyTorch, alone in its process")
def test_a_few_cases_with_pytorchs_weights():
    done = subprocess.run(
        [sys.executable, campaign.__file__, "--backend", "torch", "--cases", "30"],
        capture_output=True, text=True, timeout=900, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
