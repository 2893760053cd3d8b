"""Files that are read whole or refused, and their checksums."""

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from bnao.config.fields import read_toml
from bnao.config.settings import ControllerConfig, DataConfig, MachineConfig, SearchConfig
from bnao.errors import ConfigError, RunError, WeightsError
from bnao.files import NO_CHECKSUM, file_is_intact, is_intact, parse_json, read_regular
from bnao.network.parameters import initial_weights
from bnao.network.state import read_weights, to_bytes
from bnao.run import Run, read_config, read_json


@pytest.fixture
def run(tmp_path):
    with Run.create(tmp_path / "run", SearchConfig()) as run:
        run.write_json("result.json", {"scores": [0.25, 0.5]})
        run.write("supernet.safetensors", to_bytes({"kernel": np.arange(6, dtype=np.float32)}, {"step": 3}))
        yield run


def test_every_file_says_the_sha_256_of_its_bytes_with_zeros_in_place_of_it(run):
    for name in ("config.toml", "result.json", "supernet.safetensors"):
        content = (run.folder / name).read_bytes()
        (digits,) = re.findall(rb"[0-9a-f]{64}", content)

        assert hashlib.sha256(content.replace(digits, NO_CHECKSUM.encode())).hexdigest() == digits.decode()
        assert is_intact(content) and file_is_intact(run.folder / name, head=1000)


def test_other_programs_read_the_files_as_before(run):
    assert json.loads((run.folder / "result.json").read_text())["scores"] == [0.25, 0.5]
    assert load_file(run.folder / "supernet.safetensors")["kernel"].tolist() == [0, 1, 2, 3, 4, 5]
    assert read_toml(run.folder / "config.toml")["preset"] == "paper"


def test_any_flipped_bit_of_any_file_is_refused_or_changes_nothing(run):
    reads = {
        "config.toml": lambda path: read_config(path.parent, SearchConfig),
        "result.json": read_json,
        "supernet.safetensors": lambda path: [(n, v.tolist()) for n, v in read_weights(path)[0].items()],
    }
    unnoticed = 0
    for name, read in reads.items():
        path = run.folder / name
        whole, right = path.read_bytes(), read(path)
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
            try:
                assert read(path) == right, (name, place)
                unnoticed += 1
            except (RunError, ConfigError, WeightsError):
                pass
        path.write_bytes(whole)
    assert unnoticed < 40  # in the word sha256 itself, and in what stands around the digits


def test_a_file_without_a_checksum_is_read_as_one_of_an_earlier_version(run):
    (run.folder / "result.json").write_text('{"format": 1, "scores": []}')

    assert run.read_json("result.json") == {"format": 1, "scores": []}


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[NaN]", "[1e400]", "", "\ud800"])
def test_what_is_no_json_is_a_value_error_in_a_line(content):
    with pytest.raises(ValueError, match=r"^.{1,160}$"):
        parse_json(content)


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(bytes(11))

    for path, told in [
        (tmp_path / "fifo", "it is not a regular file"),
        ("/dev/zero", "it is not a regular file"),
        (tmp_path / "large", "it has 11 bytes, and at most 10 are read"),
        (tmp_path, "Is a directory"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(OSError, match=told):
            read_regular(path, 10)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a = " + "[" * 60_000, "nested too deeply"),
        ("[" + ".".join("a" * 30_000) + "]", "has no setting 'a'"),
        ("seed = " + "9" * 5000, "limit .* for integer string conversion: value has 5000 digits$"),
        ("a = 1\n" * 11_000, "it has 66,000 bytes, and at most 65,536 are read"),
        ('[data]\ndata = "a\\u0000b"', "data is 'a.x00b'; it must be text"),
    ],
)
def test_a_hostile_file_of_settings_is_refused_in_a_line(tmp_path, content, told):
    from bnao.config.fields import build

    (tmp_path / "my.toml").write_text(content)

    with pytest.raises(ConfigError, match=told):
        build(SearchConfig, read_toml(tmp_path / "my.toml"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(SearchConfig, "seed"), (SearchConfig, "new"), (MachineConfig, "threads"), (ControllerConfig, "tournament")],
)
def test_every_number_has_an_upper_bound(kind, name):
    with pytest.raises(ConfigError, match=rf"{name} is \d+; it must be >= \d+ and <= \d+"):
        kind(**{name: 10**30})
    with pytest.raises(ConfigError, match="a number of about 5000 digits"):
        kind(**{name: 10**5000})


def test_a_text_that_no_file_of_settings_could_hold_is_refused():
    with pytest.raises(ConfigError, match=r"data is 'a.udcff'; it must be text in UTF-8"):
        DataConfig(data=os.fsdecode(b"a\xff"))


def test_networks_beyond_this_machines_memory_are_refused_before_they_are_made():
    with pytest.raises(ConfigError, match=r"8,796,093,022,208 parameters.* take fewer channels or cells"):
        initial_weights({"kernel": (2**22, 2**21, 1, 1)}, seed=0)


# --- processes


def test_a_folder_that_a_kill_left_before_its_settings_were_written_is_free(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / "config.toml.host.1.unfinished").write_text("preset")

    with pytest.raises(RunError, match="was stopped before its settings were written; begin it anew there"):
        Run.open(folder)
    with Run.create(folder, SearchConfig()) as run:
        assert run.config(SearchConfig) == SearchConfig()
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.toml"]


STARTED = """
import sys, time
from bnao.config.settings import SearchConfig
from bnao.errors import RunError
from bnao.run import Run

sys.stdin.read(1)  # both at once
try:
    with Run.create(sys.argv[1], SearchConfig(seed=int(sys.argv[2]))) as run:
        time.sleep(0.5)
        print("made", run.config(SearchConfig).seed)
except RunError as error:
    print("refused", error)
"""


def test_of_two_processes_that_start_in_one_folder_at_the_same_moment_one_works(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", STARTED, str(tmp_path / "run"), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    for process in both:
        process.stdin.write("x")
        process.stdin.flush()

    said = sorted(process.communicate(timeout=120)[0] for process in both)

    assert said[0].startswith("made ") and said[1].startswith("refused "), said
    assert read_config(tmp_path / "run", SearchConfig).seed == int(said[0].split()[1])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(RunError, match="cannot make the folder"):
        Run.create(tmp_path / "run", SearchConfig())


FULL = """
import resource, signal, sys
import numpy as np
from bnao.config.settings import SearchConfig
from bnao.errors import WriteError
from bnao.network.state import to_bytes
from bnao.run import Run

kept = {"kernel": np.ones(1000, np.float32)}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit is an error, as on a full disk
with Run.create(sys.argv[1], SearchConfig()) as run:
    writes = {
        "config.toml": lambda: run.write_config(SearchConfig(seed=1)),
        "result.json": lambda: run.write_json("result.json", {"scores": [0.25] * 1000}),
        "supernet.safetensors": lambda: run.write("supernet.safetensors", to_bytes(kept)),
        "log.jsonl": lambda: run.log({"event": "step", "text": "x" * 1000}),
    }
    for write in writes.values():
        write()
    before = {name: (run.folder / name).read_bytes() for name in writes}
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    for name, write in writes.items():
        try:
            write()
        except WriteError as error:
            assert str(error).endswith("File too large; finished work is kept"), error
        else:
            raise AssertionError(name)
        assert (run.folder / name).read_bytes()[: len(before[name])] == before[name], name
    assert sorted(path.name for path in run.folder.iterdir()) == [".lock", *sorted(writes)]
"""


def test_a_disk_that_fills_while_any_kind_of_file_is_written_leaves_the_last_whole_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run")], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
