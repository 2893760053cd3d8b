"""Image files decoded and augmented, in processes of their own: what they need is NumPy and Pillow, no framework.

A process is handed tasks as lines of JSON and answers each with a line and the pixels. It holds nothing, so it may be
ended at any moment, and it ends by itself when the pipe to its parent does, however the parent ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import queue
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.data.augment import Box, hue_turns, jitter_factors, mirrored, random_part, random_parts
from bnao.data.folders import opened
from bnao.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
#: what is made of a task's pixels: it writes into the second array
Finish = Callable[[Pixels, NDArray[Any]], object]

# in a test an image's shorter side is shown at 256 pixels for every 224 of the square that is taken from its middle
_MIDDLE = 224 / 256

# libraries that would start threads of their own for a process that is one of many
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@frozen
class Augmentation:
    """Augmentation of a training step's images: random crops, flips and colours.

    Attributes:
        seed, step: decide all draws.
        images: how many the step has.
        flip: whether half of them are mirrored.
        jitter: see ``bnao.data.augment.jitter_factors``.
        hue: see ``bnao.data.augment.hue_turns``.
    """

    seed: int
    step: int
    images: int
    flip: bool
    jitter: float
    hue: float = 0.0


@frozen
class Task:
    """Some images to decode.

    Attributes:
        paths: the files, n of them.
        size: height and width they are resized to.
        first: the place of the first within its step's images.
        augmentation: None: the middle is shown, as in a test.
    """

    paths: Sequence[str]
    size: int
    first: int = 0
    augmentation: Augmentation | None = None

    def to_line(self) -> bytes:
        """Return the task as a line of JSON."""
        return json.dumps(attrs.asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Task:
        """Read the task that ``to_line`` wrote.

        >>> task = Task(["a.jpeg"], 64, augmentation=Augmentation(0, 7, images=32, flip=True, jitter=0.4))
        >>> Task.from_line(task.to_line()) == task
        True
        """
        content = json.loads(line)
        augmentation = content.pop("augmentation")
        return cls(**content, augmentation=None if augmentation is None else Augmentation(**augmentation))


def decoded(task: Task, out: Pixels) -> dict[int, str]:
    """Decode a task's images.

    Args:
        task: the images.
        out: gets the pixels, shape (n, size, size, 3); of a file that cannot be read black ones.

    Returns:
        Why a file cannot be read, by its place in the task; most often nothing.
    """
    views = _views(task)
    unreadable = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which nothing is made of
        for place, path in enumerate(task.paths):
            try:
                out[place] = np.asarray(views[place](path))
            except DataError as error:
                unreadable[place] = str(error)
                out[place] = 0
    return unreadable


def copied(pixels: Pixels, out: NDArray[Any]) -> None:
    """Copy pixels into ``out``."""
    out[...] = pixels


def _views(task: Task) -> list[Callable[[str], Image.Image]]:
    """Return the view of each image of a task."""
    n, how = len(task.paths), task.augmentation
    if how is None:
        return [partial(_shown, size=task.size, box=_middle)] * n
    mine = slice(task.first, task.first + n)
    parts = random_parts(how.images, how.seed, how.step)[mine]
    mirror = mirrored(how.images, how.seed, how.step)[mine] & how.flip
    factors = jitter_factors(how.images, how.jitter, how.seed, how.step)[:, mine].T if how.jitter else [None] * n
    turns = hue_turns(how.images, how.hue, how.seed, how.step)[mine].tolist()
    return [
        partial(
            _shown,
            size=task.size,
            box=partial(random_part, tries),
            mirror=bool(mirror[place]),
            colours=factors[place],
            turn=turns[place],
        )
        for place, tries in enumerate(parts)
    ]


def _middle(height: int, width: int) -> Box:
    side = _MIDDLE * min(height, width)
    return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def _shown(
    path: str,
    size: int,
    box: Callable[[int, int], Box],
    mirror: bool = False,
    colours: NDArray[np.float32] | None = None,
    turn: float = 0.0,
) -> Image.Image:
    """Return a part of an image at its final size, in RGB."""
    from PIL import Image, ImageEnhance

    with opened(path) as image:
        width, height = image.size
        left, top, right, bottom = box(height, width)
        # a JPEG is decoded at a half, a quarter or an eighth where that leaves the part its size: that is quicker
        enough = math.ceil(width * size / (right - left)), math.ceil(height * size / (bottom - top))
        image.draft(None, enough)  # and the mode as it is
        pixels = image.convert("RGB")
    across, down = pixels.width / width, pixels.height / height
    part = (left * across, top * down, min(right * across, pixels.width), min(bottom * down, pixels.height))
    shown = pixels.resize((size, size), Image.Resampling.BILINEAR, box=part)
    if mirror:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if colours is not None:
        # bnao.data.augment.jittered in whole numbers and with Pillow, whose sums do not depend on the number of threads
        for change, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), colours.tolist(), strict=True
        ):
            shown = change(shown).enhance(factor)
    return _turned(shown, turn) if turn else shown


# Pillow's hues are 0..255, and both ends are red
_HUES = 255


def _turned(image: Image.Image, turn: float) -> Image.Image:
    """Return an image with its hues turned by a fraction of the colour circle, in integer arithmetic."""
    from PIL import Image

    hue, saturation, value = image.convert("HSV").split()
    places = [(place + round(turn * _HUES)) % _HUES for place in range(_HUES + 1)]
    return Image.merge("HSV", (hue.point(places), saturation, value)).convert("RGB")


# --- processes


def serve() -> None:
    """Answer decoding tasks until the input ends; the main loop of a worker process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints does not get among the answers
    pixels = np.empty((0, 0, 0, 3), np.uint8)
    for line in sys.stdin.buffer:
        task = Task.from_line(line)
        pixels = _room(pixels, task)
        unreadable = decoded(task, pixels[: len(task.paths)])
        try:
            answers.write(json.dumps(unreadable).encode() + b"\n")
            answers.write(pixels[: len(task.paths)].data)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody waits for the answer; what is still to be written goes nowhere


def _room(pixels: Pixels, task: Task) -> Pixels:
    """Return a buffer for a task's pixels, the previous one if it suffices."""
    n, size = len(task.paths), task.size
    return pixels if len(pixels) >= n and pixels.shape[1] == size else np.empty((n, size, size, 3), np.uint8)


class _Worker:
    """The parent's side of a process that decodes."""

    def __init__(self) -> None:
        # not multiprocessing's: its children import their parent's script anew, and with it a framework
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from bnao.data.decoding import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _ONE_THREAD | {"PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its processes
        )
        assert isinstance(self._process.stdout, io.BufferedReader)
        self._answers = self._process.stdout

    def decoded(self, task: Task) -> tuple[Pixels, dict[int, str]]:
        """Decode a task: return its pixels and what ``Decoders.begun`` returns."""
        tasks, answers = self._process.stdin, self._answers
        assert tasks is not None
        pixels = np.empty((len(task.paths), task.size, task.size, 3), np.uint8)
        with contextlib.suppress(BrokenPipeError):
            tasks.write(task.to_line())
            tasks.flush()
        line = answers.readline()
        if not line or answers.readinto(pixels.data.cast("B")) < pixels.nbytes:
            raise DataError(
                f"a process that reads images ended by itself ({self._end()}); if memory was short, try fewer "
                "--data-workers"
            )
        return pixels, {int(place): reason for place, reason in json.loads(line).items()}

    def _end(self) -> str:
        code = self._process.wait()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End the process, in the middle of a task too."""
        self._process.kill()

    def forget(self) -> None:
        """Clean up after a process that was ended."""
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was still to be written goes nowhere
                if pipe is not None:
                    pipe.close()


class Decoders:
    """Processes that decode, as many as are asked for, until the context ends; of 0 it is the one that asks.

    >>> black = np.zeros((0, 8, 8, 3), np.uint8)
    >>> with Decoders(0) as decoders:
    ...     decoders.begun(Task([], size=8), black)()
    {}
    """

    def __init__(self, workers: int) -> None:
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        # two threads for each process: one hands over a task and waits for the answer, one finishes the last answer
        self._threads = ThreadPoolExecutor(2 * workers) if workers else None
        try:
            for _ in range(workers):
                self._workers.append(_Worker())
                self._idle.put(self._workers[-1])
        except BaseException:
            self.close()
            raise

    def begun(self, task: Task, out: NDArray[Any], finish: Finish = copied) -> Callable[[], dict[int, str]]:
        """Begin a task; without processes it is done when its end is waited for.

        Args:
            task: the images.
            out: gets them, shape (n, ...).
            finish: writes into ``out`` what it makes of the pixels.

        Returns:
            A function that waits for the end and returns why a file cannot be read, by its place in the task.
        """
        if self._threads is None:
            return partial(_decoded_here, task, out, finish)
        return self._threads.submit(self._decoded, task, out, finish).result

    def _decoded(self, task: Task, out: NDArray[Any], finish: Finish) -> dict[int, str]:
        worker = self._idle.get()
        try:
            pixels, unreadable = worker.decoded(task)
        finally:
            self._idle.put(worker)
        finish(pixels, out)
        return unreadable

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.kill()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.forget()

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _decoded_here(task: Task, out: NDArray[Any], finish: Finish) -> dict[int, str]:
    pixels = np.empty((len(task.paths), task.size, task.size, 3), np.uint8)
    unreadable = decoded(task, pixels)
    finish(pixels, out)
    return unreadable
