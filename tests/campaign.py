"""A campaign against bnao's files: damage one file of a folder, run a command that reads it, and judge what it does.

Folders of a search, an evaluation, trained networks, a study and a table search are made once, by a backend that only
pretends to train, or by PyTorch with tiny settings. Each case copies one, damages one file and runs one command in this
process. Right is: the result of the undamaged folder and exit code 0, or one line of refusal. Wrong is: a traceback, a
different result with exit code 0, a refusal of more than a line, or no answer in time.

    python tests/campaign.py --cases 10000
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import importlib.util
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from click.testing import CliRunner

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import pretend_backend  # noqa: E402
from trained_networks import some_weights  # noqa: E402

from bnao import backends, metrics  # noqa: E402
from bnao.cli import main  # noqa: E402
from bnao.config.evaluation import EvaluateConfig  # noqa: E402
from bnao.config.settings import NetworkConfig  # noqa: E402
from bnao.network.parameters import stand_alone_shapes  # noqa: E402
from bnao.network.state import to_bytes  # noqa: E402
from bnao.network.trained import about_training, with_statistics  # noqa: E402
from bnao.run import Run  # noqa: E402
from bnao.space.spaces import SPACES  # noqa: E402
from bnao.streams import stream  # noqa: E402
from bnao.studies import plots  # noqa: E402
from bnao.testing import small_dataset  # noqa: E402

#: seconds after which a command is said to hang; a refusal takes far less
PATIENCE = 60

_DATA = ("--data", "images.npz")
_IMAGES = ("--dev-share", 0.25, "--train-images", 80, "--dev-images", 20)
_SEARCH = (
    "--rounds", 2, "--pool", 6, "--new", 4, "--n-seeds", 3, "--steps", 4, "--controller", "evolution",
    "--rerank-epochs", 0, "--rank-by", "score", "--top", 3, "--channels", 8, "--cells", 1, "--threads", 1,
)  # fmt: skip
#: a search whose strategy decides at each update, by masks and by a policy
_BY_STEPS = {
    strategy: (
        "--strategy", strategy, "--rounds", 1, "--steps", 6, "--rerank-epochs", 0, "--rank-by", "score",
        "--channels", 8, "--cells", 1, "--threads", 1, "--space", "nas-bench-201",
    )
    for strategy in ("gdas", "enas")
}  # fmt: skip
_ALONE = ("--epochs", 1, "--channels", 8, "--cells", 1, "--threads", 1)
_STUDY = (
    "--genotypes", 4, "--seeds", 1, "--epochs", "1,2", "--marks", "along", "--alone-epochs", 1, "--repeats", 1,
    "--resamples", 100, "--top", 2, "--channels", 8, "--cells", 1, "--threads", 1, "--store", "store",
)  # fmt: skip


@frozen
class Command:
    """A command line, run beside a copy of a folder.

    Attributes:
        words: the command line; it prints JSON.
        folder: which folder it reads.
        compared: files of the folder that must be those of the undamaged one where it ends with exit code 0.
        lists: whether it tells what state folders are in, so that another answer is no fault.
    """

    words: tuple[object, ...]
    folder: str
    compared: tuple[str, ...] = ()
    lists: bool = False


@frozen
class Case:
    """One damaged file and one command that reads it."""

    command: Command
    file: str
    damage: str
    seed: int


@frozen
class Verdict:
    """What a command did with a damaged file.

    Attributes:
        kind: right: ``refused`` in a line, the ``same`` result, or ``listed`` as it is now. Wrong: ``traceback``,
            ``different`` with exit code 0, ``hang``, or ``lines``: no refusal of one line. Neither: ``edited``, another
            result of a file whose checksum was taken out, as of an edit by hand.
        text: what was printed, or the traceback.
    """

    kind: str
    text: str


#: verdicts that are faults of bnao
WRONG = ("traceback", "different", "hang", "lines")


# --- the folders


def bnao(*words: object) -> tuple[int, str, str, BaseException | None]:
    """Run a command in this process; return its exit code, stdout, stderr and any exception that is not an exit."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    failed = None if done.exception is None or isinstance(done.exception, SystemExit) else done.exception
    return done.exit_code, done.stdout, done.stderr, failed


def _made(*words: object) -> None:
    code, _, said, failed = bnao(*words)
    if failed is not None:
        raise failed
    assert code == 0, (words, said)


def make_folders(backend: str) -> list[Command]:
    """Make the folders in the current one, and return the commands that read them."""
    images = stream(0, "campaign").integers(0, 256, (160, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(160) % 4
    np.savez("images.npz", x_train=images[:120], y_train=labels[:120], x_test=images[120:], y_test=labels[120:])
    genotypes = SPACES["nao"].random_genotypes(40, stream(0, "campaign"))
    rows = [f'"{genotype}",{0.5 + number / 100:.2f}' for number, genotype in enumerate(genotypes)]
    Path("tables").mkdir()
    Path("tables", "table.csv").write_text("\n".join(["genotype,score", *rows]) + "\n")
    Path("tables", "genotypes.txt").write_text("\n".join(map(str, genotypes[:4])) + "\n")
    with contextlib.chdir("tables"):
        shutil.copy("../images.npz", "images.npz")
    by = ("--backend", backend)
    evaluated = ("evaluate", *map(str, genotypes[:3]), *by, *_ALONE, *_DATA, "--out", "evaluation", "--json", "--quiet")
    studied = ("study", "ranking", *by, *_STUDY, *_DATA, *_IMAGES, "--out", "study", "--json", "--quiet")
    on_table = ("--backend", "table", "--table", "tables/table.csv", *_SEARCH)
    _made("search", *by, *_SEARCH, *_DATA, *_IMAGES, "--out", "run", "--quiet")
    _made("search", *on_table, "--out", "looked-up", "--quiet")
    for strategy, settings in _BY_STEPS.items():
        _made("search", *by, *settings, *_DATA, *_IMAGES, "--out", strategy, "--quiet")
        _copy_without(strategy, f"{strategy}-begun", "result.json", "supernet.safetensors")
    _made(*evaluated)
    _made(*studied)
    _keep_trained(Path("trained"))
    shutil.copytree("run", "copied")
    # what a kill leaves: before the result, in the midst of a round, in the midst of a study
    _copy_without("run", "scored", "result.json", "supernet.safetensors")
    _copy_without("run", "begun", "result.json", "supernet.safetensors", "round-2-scores.json")
    _copy_without("looked-up", "table-begun", "result.json", "round-2-scores.json")
    _copy_without("evaluation", "evaluation-begun", "evaluation.json")
    _copy_without("study", "study-begun", "study.json")
    result, weights = "result.json", "supernet.safetensors"
    commands = [
        Command(("search", "--resume", "run", "--json", "--quiet"), "run"),
        Command(("search", "--resume", "scored", "--json", "--quiet"), "scored", (result, weights)),
        Command(("search", "--resume", "begun", "--json", "--quiet"), "begun", (result, weights)),
        Command(("search", "--resume", "table-begun", "--json", "--quiet"), "table-begun", (result,)),
        Command(("score", "run", "--json", "--quiet", *by), "run"),
        Command(("score", "gdas", "--json", "--quiet", *by), "gdas"),
        Command(("search", "--resume", "gdas", "--json", "--quiet"), "gdas"),
        Command(("show", "enas:1", "--json"), "enas"),
        *(Command(("search", "--resume", folder, "--json", "--quiet"), folder, (result, weights))
          for folder in ("gdas-begun", "enas-begun")),
        Command(("show", "run:1", "--json"), "run"),
        Command(("proxies", "run", "--top", 2, "--batch", 8, "--json", "--quiet"), "run"),
        Command(("evaluate", "run", "--top", 1, *by, *_ALONE[:2], "--json", "--quiet", "--out", "out"), "run"),
        Command(evaluated, "evaluation", ("evaluation.json",)),
        Command(_replaced(evaluated, "evaluation-begun"), "evaluation-begun", ("evaluation.json",)),
        Command(("show", "evaluation:1", "--json"), "evaluation"),
        Command(("study", "ranking", "--truth", "evaluation", *by, *_STUDY, "--genotypes", 3, *_DATA, *_IMAGES,
                 "--out", "out", "--json", "--quiet"), "evaluation"),
        Command(("export", "trained", "--to", "note" if backend == "pretend" else "python", *by, "--json", "-o", "net"),
                "trained"),
        Command(studied, "study", ("study.json",)),
        Command(_replaced(studied, "study-begun"), "study-begun", ("study.json",)),
        Command(("study", "ranking", "--truth", "study", *by, *_STUDY, *_DATA, *_IMAGES, "--out", "out", "--json",
                 "--quiet"), "study"),
        Command(("search", *on_table, "--out", "out", "--json", "--quiet"), "tables"),
        Command(("show", "--file", "tables/genotypes.txt", "--json"), "tables"),
        Command(("search", *by, *_SEARCH, *_IMAGES, "--data", "tables/images.npz", "--out", "out", "--json",
                 "--quiet"), "tables"),
        Command(("search", "--config", "run/config.toml", "--show-config"), "run"),
    ]  # fmt: skip
    commands += [Command(("compare", "run", "copied", "--json"), "run")]
    commands += [Command(("watch", folder, "--json"), folder, lists=True) for folder in ("run", "begun", "evaluation")]
    commands += [Command(("runs", ".", "--json"), folder, lists=True) for folder in ("run", "evaluation", "study")]
    commands += [Command(("clean", ".", "--yes", "--weights"), folder, lists=True) for folder in ("run", "evaluation")]
    if importlib.util.find_spec("jinja2"):
        commands += [
            Command(("report", folder, "-o", "report.html"), folder) for folder in ("run", "evaluation", "study")
        ]
    if backend == "torch":
        commands.append(Command(("test", "trained", *by, *_DATA, "--image-size", 12, "--json", "--quiet"), "trained"))
    return commands + [
        Command(("check", folder, "--json"), folder)
        for folder in ("run", "begun", "looked-up", "gdas", "enas-begun", "evaluation", "trained", "study")
    ]


def _replaced(words: tuple[object, ...], folder: str) -> tuple[object, ...]:
    at = words.index("--out") + 1
    return (*words[:at], folder, *words[at + 1 :])


def _copy_without(folder: str, copy: str, *names: str) -> None:
    shutil.copytree(folder, copy)
    for name in names:
        (Path(copy) / name).unlink(missing_ok=True)
    if folder == "study":
        next((Path(copy) / "supernets").glob("*.json")).unlink()


def _keep_trained(folder: Path) -> None:
    """Leave what ``bnao evaluate`` leaves of two networks, whose weights have the shapes that an export needs."""
    network, dataset = NetworkConfig(channels=8, cells=1), small_dataset()
    with Run.create(folder, EvaluateConfig(network=network)) as run:
        entries = []
        for number, genotype in enumerate(SPACES["nao"].random_genotypes(2, stream(0, "trained"))):
            name, error = f"trainings/{genotype.digest}-seed-0", 0.5 - number / 4
            own = evolve(dataset.network(network))
            state = some_weights(with_statistics(stand_alone_shapes(genotype, own)))
            run.write(f"{name}.safetensors", to_bytes(state, about_training(genotype, own, dataset, 0, error)))
            run.write_json(f"{name}.json", {"genotype": str(genotype), "seed": 0, "test_error": error})
            entries.append({"genotype": str(genotype), "test_errors": [error]})
        run.log({"event": "trained"})
        run.write_json("run.json", {"data": None, "versions": {}, "threads": 1, "cpus": 1})
        run.write_json("evaluation.json", {"evaluations": entries})


# --- the damage


def _flip(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _flip_digit(content: bytes, rng: random.Random) -> bytes:
    places = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return _flip(content, rng)
    at = rng.choice(places)
    return content[:at] + bytes([48 + (content[at] - 47) % 10]) + content[at + 1 :]


def _zeros(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    length = min(rng.randrange(1, 4096), len(content) - at)
    return content[:at] + bytes(length) + content[at + length :]


def _nested(content: bytes, rng: random.Random) -> bytes:
    opened = rng.choice([b"[", b'{"a":', b"a.", b"[[", b"("]) * rng.choice([1000, 20_000, 100_000])
    if content[:1] == b"{" or content[8:9] != b"{":
        return rng.choice([opened, content[: rng.randrange(len(content))] + opened])
    return len(opened).to_bytes(8, "little") + opened + content[rng.randrange(len(content)) :]


def _noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([1, 8, 100, 5000]))


_VALUES = (
    None, True, -1, 0, 1e308, -1e308, 10**400, "", "x", "1" * 5000, [], {}, [[]], {"a": None}, float("nan"),
    float("inf"), "\ud800", "\0", 2**63, 0.1,
)  # fmt: skip


def _places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _retyped(content: bytes, rng: random.Random, *, by_hand: bool) -> bytes:
    """A value of JSON replaced, removed or doubled; by hand: without the checksum."""
    try:
        said = json.loads(content)
    except ValueError:
        return _flip_digit(content, rng)
    if by_hand:
        said.pop("sha256", None)
    place = rng.choice([place for place in _places(said) if place != ("sha256",)])
    holder = said
    for key in place[:-1]:
        holder = holder[key]
    kind = rng.randrange(4)
    if kind == 0:
        del holder[place[-1]]
    elif kind == 1 and isinstance(holder[place[-1]], list):
        some = holder[place[-1]]
        holder[place[-1]] = rng.choice([some[: len(some) // 2], some + some, some[::-1]])
    else:
        holder[place[-1]] = rng.choice(_VALUES)
    return json.dumps(said).encode()


DAMAGE = {
    "flip": _flip,
    "digit": _flip_digit,
    "cut": lambda content, rng: content[: rng.randrange(len(content))],
    "empty": lambda content, rng: b"",
    "zeros": _zeros,
    "nested": _nested,
    "noise": _noise,
    "doubled": lambda content, rng: content + content,
    "retyped": lambda content, rng: _retyped(content, rng, by_hand=False),
    "by hand": lambda content, rng: _retyped(content, rng, by_hand=True),
    "missing": None,
    "folder": None,
    "pipe": None,
}

# in which a changed value is the user's own, and no fault can be seen in it
_OWN = ("tables/table.csv", "tables/genotypes.txt", "run/config.toml")
# of which nothing depends on every byte
_FREE = ("log.jsonl", ".lock")
# of which nothing else tells that they must be there
_SPARE = (".lock", "checkpoint-earlier.safetensors", "plan.json")
# without which a search is as one that was killed before its first checkpoint
_FIRST = ("gdas-begun/checkpoint.safetensors", "enas-begun/checkpoint.safetensors")


def damage(path: Path, kind: str, seed: int) -> None:
    """Damage a file."""
    content, rng = path.read_bytes(), random.Random(seed)
    if kind in ("missing", "folder", "pipe"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
    elif content:
        path.write_bytes(DAMAGE[kind](content, rng))
    else:
        path.write_bytes(_noise(content, rng))


# --- the judgement


class _Hang(BaseException):
    """A command did not end in time."""


def _alarm(number: int, frame: object) -> None:
    raise _Hang


def _said(command: Command, out: str) -> tuple[Any, dict[str, bytes]]:
    """What a command printed and the files it left, without what may differ."""
    try:
        printed = json.loads(out)
    except ValueError:
        printed = out.partition(" (")[0] if command.words[0] == "report" else out  # how long the page is
    if isinstance(printed, dict):
        for name in ("seconds", "peak_memory_bytes", "sha256"):
            printed.pop(name, None)
    files = {name: (Path(command.folder) / name).read_bytes() for name in command.compared}
    return printed, files


class Campaign:
    """Folders, the results of the commands on them undamaged, and the judgement of cases.

    Args:
        backend: ``pretend`` or ``torch``.
        folder: an empty one, to work in.
    """

    def __init__(self, backend: str, folder: Path) -> None:
        self._bases, self._work = folder / "bases", folder / "work"
        self._bases.mkdir()
        with contextlib.chdir(self._bases):
            self.commands = make_folders(backend)
        self._right: dict[Command, tuple[Any, dict[str, bytes]]] = {}
        for command in self.commands:
            with self._workplace(command.folder):
                code, out, said, failed = bnao(*command.words)
                if failed is not None:
                    raise failed
                assert code == 0, (command, said, out)
                self._right[command] = _said(command, out)
        self.files = {
            command.folder: sorted(
                path.relative_to(self._bases / command.folder).as_posix()
                for path in (self._bases / command.folder).rglob("*")
                if path.is_file()
            )
            for command in self.commands
        }

    @contextlib.contextmanager
    def _workplace(self, folder: str) -> Iterator[None]:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        for name in ("images.npz", "tables", "store", "copied", folder):
            if (self._bases / name).is_dir() and not (self._work / name).exists():
                shutil.copytree(self._bases / name, self._work / name)
            elif (self._bases / name).is_file():
                os.link(self._bases / name, self._work / name)
        with contextlib.chdir(self._work):
            yield

    def cases(self, n: int, seed: int = 0) -> list[Case]:
        """Choose n cases: commands, files and kinds of damage in turn, so that each comes as often."""
        rng = random.Random(seed)
        every = [
            (command, file, kind) for command in self.commands for file in self.files[command.folder] for kind in DAMAGE
        ]
        chosen: list[Case] = []
        while len(chosen) < n:
            rng.shuffle(every)
            chosen += [Case(*each, seed=len(chosen) + at) for at, each in enumerate(every[: n - len(chosen)])]
        return chosen

    def judge(self, case: Case) -> Verdict:
        """Damage the file, run the command and judge it."""
        command, place = case.command, f"{case.command.folder}/{case.file}"
        with self._workplace(command.folder):
            path = Path(place)
            before = path.read_bytes()
            damage(path, case.damage, case.seed)
            unchanged = path.is_file() and path.read_bytes() == before
            signal.signal(signal.SIGALRM, _alarm)
            signal.alarm(PATIENCE)
            try:
                with warnings.catch_warnings(action="error"):
                    code, out, said, failed = bnao(*command.words)
            except _Hang:
                return Verdict("hang", "")
            finally:
                signal.alarm(0)
            if failed is not None:
                return Verdict("traceback", "".join(traceback.format_exception(failed)))
            if code == 0:
                with contextlib.suppress(FileNotFoundError):
                    if _said(command, out) == self._right[command]:
                        if command.words[0] == "check" and not unchanged and not path.name.endswith(_FREE):
                            return Verdict("different", f"check finds nothing in {place}")
                        return Verdict("same", said)
                if command.words[0] == "check" and self._right[command][0]["finished"] > json.loads(out)["finished"]:
                    return Verdict("refused", out)  # a folder without its result is one that was stopped, as it says
                if command.lists or (command.words[0] == "compare" and json.loads(out)["warnings"]):
                    return Verdict("listed", out)
                edited = (
                    case.damage == "by hand"
                    or place in _OWN
                    or (command.words[0] == "check" and (case.file in _SPARE or place in _FIRST))
                )
                return Verdict("edited" if edited else "different", f"{out[-500:]}\n{said}")
            if command.words[0] == "check" and not said:
                return Verdict("refused", out)
            lines = [line for line in said.splitlines() if line.startswith("bnao: ")]
            one = len(lines) == 1 and said.splitlines()[-1] == lines[0] and len(lines[0]) < 1500
            return Verdict("refused" if one else "lines", said)


def prepare(replace: Callable[[object, str, object], None] = setattr) -> None:
    """Let ``--backend pretend`` be found without a distribution, draw no pictures, and resample next to nothing.

    Args:
        replace: sets an attribute, such as that of pytest's monkeypatch.
    """
    load = backends.load
    replace(backends, "load", lambda name: pretend_backend.BACKEND if name == "pretend" else load(name))
    replace(plots, "can_draw", lambda: False)
    for module in ("commands.score", "commands.search", "commands.evaluate", "commands.study.ranking"):
        importlib.import_module(f"bnao.cli.{module}")
    for function in (metrics.compare_rankings, metrics.rank_agreement):
        few = functools.partial(_with_few_resamples, function)
        for module in [each for name, each in sys.modules.items() if name.startswith("bnao")]:
            if getattr(module, function.__name__, None) is function:
                replace(module, function.__name__, few)


def _with_few_resamples(function: Callable[..., object], *arguments: object, **others: object) -> object:
    """Intervals take longer than all else, and do not matter here."""
    return function(*arguments, **{**others, "resamples": 2})


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("pretend", "torch"), default="pretend")
    asked = parser.parse_args()
    prepare()
    counts: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(asked.backend, Path(folder))
        for number, case in enumerate(campaign.cases(asked.cases, asked.seed), start=1):
            verdict = campaign.judge(case)
            counts[verdict.kind] += 1
            if verdict.kind in WRONG:
                words = " ".join(map(str, case.command.words))[:100]
                print(f"{verdict.kind}: {case.command.folder}/{case.file} {case.damage} seed {case.seed}: {words}")
                print("   ", verdict.text[-1500:].replace("\n", "\n    "), flush=True)
            if number % 500 == 0:
                print(f"{number} cases, {time.monotonic() - start:.0f} s: {dict(counts)}", flush=True)
    print(
        f"{asked.cases} cases with {asked.backend}, seed {asked.seed}, {time.monotonic() - start:.0f} s: {dict(counts)}"
    )
    return 1 if any(counts[kind] for kind in WRONG) else 0


if __name__ == "__main__":
    sys.exit(_main())
