"""Image files become pixels, here or in other processes, and those end when nobody needs them."""

import colorsys
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from bnao.data.augment import jittered
from bnao.data.decoding import Augmentation, Decoders, Task, decoded
from bnao.errors import DataError
from bnao.streams import stream


def save(path, pixels, mode=None, **settings):
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image if mode is None else image.convert(mode)).save(path, **settings)
    return str(path)


def shown(*paths, size=64, augmentation=None, first=0):
    """The pixels of files that can be read."""
    out = np.empty((len(paths), size, size, 3), np.uint8)
    assert decoded(Task(paths, size, first, augmentation), out) == {}
    return out


@pytest.fixture
def photos(tmp_path):
    """Twelve JPEGs of 90 x 120 pixels, each of its own colours."""
    pixels = stream(0, "photos").integers(0, 256, (12, 9, 12, 3), dtype=np.uint8).repeat(10, 1).repeat(10, 2)
    return [save(tmp_path / f"{number}.jpeg", image, quality=95) for number, image in enumerate(pixels)]


RANDOM = Augmentation(seed=0, step=7, images=12, flip=True, jitter=0.4, hue=0.2)


# --- one image


def test_a_test_shows_the_middle_seven_eighths_of_the_shorter_side(tmp_path):
    pixels = stream(0, "photo").integers(0, 256, (128, 160, 3), dtype=np.uint8)

    image = shown(save(tmp_path / "a.png", pixels), size=112)

    # of 128 rows the 112 in the middle are 8 .. 119, of 160 columns they are 24 .. 135
    assert (image[0] == pixels[8:120, 24:136]).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_images_of_every_mode_are_shown_in_red_green_and_blue(tmp_path, mode):
    suffix = "jpeg" if mode in ("L", "CMYK") else "png"
    white = save(tmp_path / f"a.{suffix}", np.full((40, 40, 3), 255), mode)

    image = shown(white)

    assert image.shape == (1, 64, 64, 3)
    assert image.min() >= 253


def test_a_cmyk_jpeg_of_red_is_red(tmp_path):
    red = save(tmp_path / "a.jpeg", np.full((40, 40, 3), [255, 0, 0]), "CMYK", quality=95)

    image = shown(red)

    assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 6


def test_the_orientation_in_the_metadata_is_not_followed(tmp_path):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(tmp_path / "a.jpeg", pixels, quality=95, exif=exif)

    image = shown(path)

    assert image[0, :20].mean() > 250
    assert image[0, -20:].mean() < 5


def test_a_large_jpeg_is_decoded_small_and_looks_as_a_png_of_it(tmp_path, monkeypatch):
    rows, columns = np.mgrid[:800, :1000]
    pixels = np.stack([rows // 4, columns // 4, (rows + columns) // 8], -1)  # smooth, so that JPEG is nearly exact
    jpeg, png = save(tmp_path / "a.jpeg", pixels, quality=100), save(tmp_path / "a.png", pixels)
    sizes, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, *a, **k: (sizes.append(self.size), resize(self, *a, **k))[1]
    )

    small, whole = (shown(path, size=48)[0].astype(int) for path in (jpeg, png))

    # the middle is 700 pixels wide, so at an eighth it still has more than 48
    assert sizes == [(125, 100), (1000, 800)]
    assert np.abs(small - whole).max() <= 4


def test_parts_flips_and_colours_differ_from_image_to_image_and_from_step_to_step(photos):
    same = [photos[0]] * 12

    step_7, step_8 = (shown(*same, augmentation=Augmentation(0, step, 12, True, 0.4)) for step in (7, 8))

    assert len({image.tobytes() for image in [*step_7, *step_8]}) == 24


def test_half_of_the_images_are_mirrored(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:] = np.linspace(0, 255, 40).astype(np.uint8)[:, None]
    n = 400
    task = Augmentation(0, 0, images=n, flip=True, jitter=0.0)

    images = shown(*[save(tmp_path / "a.png", pixels)] * n, size=8, augmentation=task)

    falls = images[:, 4, 0, 0].astype(int) > images[:, 4, -1, 0]
    assert abs(int(falls.sum()) - n // 2) < 50  # five standard deviations
    without = shown(str(tmp_path / "a.png"), size=8, augmentation=Augmentation(0, 0, 1, flip=False, jitter=0.0))
    assert without[0, 4, 0, 0] < without[0, 4, -1, 0]


def test_jitter_changes_brightness_by_its_share(tmp_path):
    path = save(tmp_path / "even.png", np.full((40, 40, 3), 100))
    n = 400

    means = shown(*[path] * n, size=8, augmentation=Augmentation(0, 0, n, True, 0.4)).mean((1, 2, 3))

    assert 60 <= means.min() < 63 and 137 < means.max() <= 140  # 100 x 0.6 and 100 x 1.4
    assert abs(means.mean() - 100) < 6  # five standard errors


def test_hues_turn_by_up_to_their_share_and_as_those_of_images_in_memory(tmp_path):
    colour, n = np.array([200, 40, 40], np.uint8), 300
    path = save(tmp_path / "even.png", np.broadcast_to(colour, (40, 40, 3)))

    images = shown(*[path] * n, size=8, augmentation=Augmentation(0, 3, n, True, jitter=0.0, hue=0.2))

    colours = images[:, 4, 4].astype(int)
    hues = np.array([colorsys.rgb_to_hsv(*each)[0] for each in colours / 255])
    around = (hues + 0.5) % 1 - 0.5  # red is 0
    assert -0.2 <= around.min() + 0.005 < -0.18 and 0.18 < around.max() - 0.005 <= 0.2
    assert (colours.max(1) == 200).all() and (colours.min(1) == 40).all()  # value and saturation stay
    in_memory = jittered(np.broadcast_to(colour, (n, 1, 1, 3)), 0.0, seed=0, step=3, hue=0.2)[:, 0, 0]
    assert np.abs(colours - in_memory).max() <= 4  # a step of hue is 160 x 6 / 255 = 3.8


def test_hue_alone_leaves_parts_flips_and_brightness_as_they_were(photos):
    plain = Augmentation(0, 7, 12, True, 0.0)
    with_hue = Augmentation(0, 7, 12, True, 0.0, hue=0.3)

    values, turned_values = (shown(*photos, augmentation=how).max(3) for how in (plain, with_hue))

    assert (values == turned_values).all()


def test_an_images_look_does_not_depend_on_how_a_step_is_shared_out(photos):
    together = shown(*photos, augmentation=RANDOM)

    apart = [shown(path, augmentation=RANDOM, first=place)[0] for place, path in enumerate(photos)]

    assert (together == np.stack(apart)).all()


# --- files that cannot be read


def test_what_cannot_be_read_is_black_and_told_with_its_place(tmp_path, photos):
    content = pathlib.Path(photos[1]).read_bytes()
    truncated, empty, text, deep = (tmp_path / name for name in ("cut.jpeg", "empty.jpeg", "text.jpeg", "deep.png"))
    truncated.write_bytes(content[: len(content) // 2])
    empty.write_bytes(b"")
    text.write_text("no image")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(deep)
    paths = [photos[0], truncated, empty, text, deep, tmp_path / "absent.jpeg", photos[1]]
    out = np.empty((7, 64, 64, 3), np.uint8)

    unreadable = decoded(Task([str(path) for path in paths], 64), out)

    assert list(unreadable) == [1, 2, 3, 4, 5]
    assert unreadable[1].startswith(f"{truncated} cannot be read as an image: image file is truncated")
    assert unreadable[4].startswith(f"{deep} has more than 8 bits per channel")
    assert unreadable[5].endswith(f"No such file or directory: '{tmp_path}/absent.jpeg'")
    assert (out[1:6] == 0).all()
    assert out[0].any() and out[6].any()


# --- processes


def through(workers, photos, augmentation=RANDOM):
    """All images by so many processes, three at a time."""
    out = np.empty((len(photos), 64, 64, 3), np.uint8)
    with Decoders(workers) as decoders:
        begun = [
            decoders.begun(Task(photos[at : at + 3], 64, at, augmentation), out[at : at + 3])
            for at in range(0, len(photos), 3)
        ]
        assert [wait() for wait in begun] == [{}] * len(begun)
    return out


def test_any_number_of_processes_gives_the_same_pixels(photos):
    here, one, three = (through(workers, photos) for workers in (0, 1, 3))

    assert (here == one).all()
    assert (here == three).all()


def test_names_that_are_no_text_and_reasons_travel_between_processes(tmp_path, photos):
    odd = os.fsdecode(os.fsencode(tmp_path) + b'/\xff\n".jpeg')
    os.rename(photos[0], odd)
    out = np.empty((2, 64, 64, 3), np.uint8)

    with Decoders(1) as decoders:
        unreadable = decoders.begun(Task([odd, photos[0]], 64), out)()

    assert list(unreadable) == [1]
    assert unreadable[1].startswith(f"{photos[0]} cannot be read")
    assert out[0].any()


def ended(pid, seconds=10):
    """Whether a process ends soon."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


@needs_proc
def test_processes_end_with_their_context_in_the_middle_of_tasks_too(photos):
    out = np.empty((1200, 64, 64, 3), np.uint8)

    with Decoders(2) as decoders:
        for _ in range(4):
            decoders.begun(Task(photos * 100, 64), out)
        pids = [worker._process.pid for worker in decoders._workers]
        assert all(os.path.isdir(f"/proc/{pid}") for pid in pids)

    assert not any(os.path.isdir(f"/proc/{pid}") for pid in pids)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_when_their_parent_is_killed(photos, number):
    code = (
        "import sys, numpy as np\n"
        "from bnao.data.decoding import Decoders, Task\n"
        "photos = sys.argv[1:]\n"
        "out = np.empty((len(photos), 64, 64, 3), np.uint8)\n"
        "with Decoders(2) as decoders:\n"
        "    print(*(worker._process.pid for worker in decoders._workers), flush=True)\n"
        "    while True: decoders.begun(Task(photos, 64), out)()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *photos], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
    )  # fmt: skip
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    time.sleep(0.5)

    parent.send_signal(number)
    parent.communicate(timeout=60)

    assert len(pids) == 2
    assert all(ended(pid) for pid in pids)


def test_a_process_that_was_killed_is_an_error_with_the_signal(photos):
    out = np.empty((1, 64, 64, 3), np.uint8)
    with Decoders(1) as decoders:
        decoders.begun(Task(photos[:1], 64), out)()
        decoders._workers[0]._process.kill()

        with pytest.raises(DataError, match=r"ended by itself \(killed by signal 9\); if memory was short, try fewer"):
            decoders.begun(Task(photos[:1], 64), out)()


def test_a_process_that_decodes_loads_no_framework():
    code = "import bnao.data.decoding, sys; print(*(name.partition('.')[0] for name in sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "numpy" in loaded
    assert {"torch", "keras", "tensorflow", "jax", "scipy", "matplotlib"}.isdisjoint(loaded)


def test_what_a_library_prints_does_not_get_among_the_answers(photos):
    printing = (
        "import os, bnao.data.decoding as d\nold = d.decoded\nd.decoded = lambda *a: (print('hello'), old(*a))[1]\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{printing}d.serve()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    answer, _ = process.communicate(Task(photos[:1], 8).to_line(), timeout=60)

    assert answer[:3] == b"{}\n"
    assert len(answer) == 3 + 8 * 8 * 3
