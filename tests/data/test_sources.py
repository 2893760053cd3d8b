import hashlib
import http.server
import io
import os
import pathlib
import runpy
import sys
import tarfile
import threading
import zipfile

import attrs
import numpy as np
import pooch
import pytest
from PIL import Image

from bnao.config.settings import DataConfig
from bnao.data import sources as datasets
from bnao.data.sources import read_images
from bnao.errors import DataError
from bnao.streams import stream

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def random_images(*shape):
    return stream(0, "test images").integers(0, 256, shape, dtype=np.uint8)


def read(path, **settings):
    return read_images(DataConfig(data=str(path), **settings))


# --- .npz -----------------------------------------------------------------------------------------------------

GOOD = {
    "x_train": random_images(6, 8, 9, 3),
    "y_train": np.array([0, 1, 2, 0, 1, 2]),
    "x_test": random_images(3, 8, 9, 3),
    "y_test": np.array([2, 0, 1]),
}


def npz(folder, **changes):
    path = folder / "mine.npz"
    np.savez(path, **{name: array for name, array in {**GOOD, **changes}.items() if array is not None})
    return path


def test_class_names_of_impossible_characters_are_refused(tmp_path):
    impossible = np.frombuffer(np.array([0x7FFFFFFF, 65], np.uint32).tobytes(), dtype="<U1")

    with pytest.raises(DataError, match="classes holds numbers that are not characters"):
        read(npz(tmp_path, classes=impossible))


def test_an_npz_is_read_as_it_is(tmp_path):
    images = read(npz(tmp_path))

    assert images.name == "mine"
    assert (images.x_train == GOOD["x_train"]).all()
    assert (images.x_test == GOOD["x_test"]).all()
    assert images.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    assert images.y_test.tolist() == [2, 0, 1]
    assert images.class_names == ("0", "1", "2")


def test_an_npz_of_grey_images_gets_a_channel(tmp_path):
    images = read(npz(tmp_path, x_train=random_images(6, 8, 8), x_test=random_images(3, 8, 8)))

    assert images.x_train.shape == (6, 8, 8, 1)


@pytest.mark.parametrize("key", ["classes", "class_names"])
def test_an_npz_may_name_its_classes(tmp_path, key):
    assert read(npz(tmp_path, **{key: np.array(["cat", "dog", "owl"])})).class_names == ("cat", "dog", "owl")


def test_another_array_called_classes_is_left_alone(tmp_path):
    assert read(npz(tmp_path, classes=np.array(3))).class_names == ("0", "1", "2")


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    npz(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read("~/mine.npz").name == "mine"


def test_two_and_a_thousand_classes_are_allowed(tmp_path):
    two = npz(tmp_path, y_train=np.arange(6) % 2, y_test=np.zeros(3, int))
    assert len(read(two).class_names) == 2

    many = np.arange(1000)
    thousand = npz(tmp_path, x_train=random_images(1000, 8, 8), y_train=many, x_test=random_images(3, 8, 8))
    assert len(read(thousand).class_names) == 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, r"lacks x_test; an .npz of images has x_train, y_train, x_test, y_test"),
        ({"x_train": None, "y_test": None}, r"lacks x_train and y_test"),
        ({"x_train": GOOD["x_train"] / 255}, r"x_train is float64; images must be uint8"),
        ({"x_test": GOOD["x_test"][0]}, r"x_test has images of 9 x 3 x 1|x_test has 8 images but y_test has 3 labels"),
        ({"x_test": np.array(7, np.uint8)}, r"x_test has the shape \(\)"),
        ({"x_train": random_images(6, 8, 8, 4)}, r"4 channels; it must have 1 or 3"),
        ({"y_train": np.arange(5)}, r"x_train has 6 images but y_train has 5 labels"),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, r"labels out of range: y_train\[5\] is -1"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 1000])}, r"labels out of range: y_train\[5\] is 1000"),
        ({"y_train": np.array([0, 1, 3, 0, 1, 3])}, r"labels out of range: y_train has labels up to 3, but none is 2"),
        ({"y_train": np.array([1, 2, 3, 1, 2, 3])}, r"y_train has labels up to 3, but none is 0"),
        ({"y_test": np.array([0, 1, 3])}, r"labels out of range: y_test\[2\] is 3; with 3 classes it can be 0..2"),
        ({"y_train": np.zeros(6, int)}, r"y_train has the one label 0; at least two classes"),
        ({"y_train": np.full(6, 5)}, r"y_train has the one label 5; at least two classes"),
        ({"y_train": GOOD["y_train"] * 1.0}, r"y_train is float64; labels must be integers"),
        ({"x_train": GOOD["x_train"][:0], "y_train": GOOD["y_train"][:0]}, r"x_train is empty"),
        ({"x_test": GOOD["x_test"][:0], "y_test": GOOD["y_test"][:0]}, r"x_test is empty"),
        ({"x_test": random_images(3, 9, 8, 3)}, r"x_train has images of 8 x 9 x 3, x_test of 9 x 8 x 3"),
        ({"x_test": random_images(3, 8, 9)}, r"x_train has images of 8 x 9 x 3, x_test of 8 x 9 x 1"),
        ({"classes": np.array(["cat", "dog"])}, r"names 2 classes, but y_train has the labels 0..2"),
    ],
)
def test_an_npz_that_cannot_be_used_says_what_is_wrong_with_which_array(tmp_path, changes, message):
    path = npz(tmp_path, **changes)

    with pytest.raises(DataError, match=f"^{path}:? .*({message})|^{path}:? ({message})"):
        read(path)


class Trap:
    """An object whose pickle, once loaded, leaves a trace."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


@pytest.mark.parametrize("array", ["x_train", "y_test", "classes"])
def test_pickles_in_an_npz_are_refused_and_never_loaded(tmp_path, array):
    path = tmp_path / "mine.npz"
    np.savez(path, allow_pickle=True, **{**GOOD, array: np.array([Trap()] * 3, object)})

    with pytest.raises(DataError, match=f"{array} holds Python objects, that is pickles, which bnao never reads"):
        read(path)
    assert not Trap.sprung


def test_a_file_that_is_a_pickle_is_refused_and_never_loaded(tmp_path):
    path = tmp_path / "mine.npz"
    np.array([Trap()], object).dump(path)

    with pytest.raises(DataError, match=r"is not a complete \.npz"):
        read(path)
    assert not Trap.sprung


def test_an_npz_cut_anywhere_is_refused(tmp_path):
    path = npz(tmp_path)
    content = path.read_bytes()

    for length in [0, 1, 100, len(content) // 2, len(content) - 30, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=f"^{path} is not a complete .npz"):
            read(path)


def test_a_damaged_array_is_named(tmp_path):
    path = npz(tmp_path)
    content = bytearray(path.read_bytes())
    place = content.rindex(GOOD["x_test"].tobytes())
    content[place] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="x_test cannot be read, the file is damaged"):
        read(path)


@pytest.mark.parametrize(
    "header", [b"{'descr': '|u1', 'fortran_order': False, 'shape': (9", b"{'shape': (2,)}", b"\xff\xfe", b"[" * 50]
)
def test_a_damaged_header_is_told_as_such(tmp_path, header):
    path = npz(tmp_path)
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    members["y_train.npy"] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as damaged:
        for name, content in members.items():
            damaged.writestr(name, content)

    with pytest.raises(DataError, match="y_train cannot be read, the file is damaged"):
        read(path)


@pytest.mark.parametrize("shape", ["(-6,)", "(4611686018427387904, 4)", "(6, 1000000)"])
def test_a_header_whose_shape_cannot_be_is_refused_without_a_warning(tmp_path, shape, recwarn):
    path = npz(tmp_path)
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    members["y_train.npy"] = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(6)
    with zipfile.ZipFile(path, "w") as damaged:
        for name, content in members.items():
            damaged.writestr(name, content)

    with pytest.raises(DataError, match="y_train cannot be read, the file is damaged: its header says shape"):
        read(path)

    assert not recwarn.list


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x_train.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", b"")

    with pytest.raises(DataError, match=r"bomb.npz would unpack to 300 MiB, [0-9,]+ times its size"):
        read(path)


def test_a_member_that_is_no_array_is_named(tmp_path):
    path = npz(tmp_path, y_test=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y_test", b"2, 0, 1")

    with pytest.raises(DataError, match="y_test is not a NumPy array"):
        read(path)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"there is no file or folder {tmp_path}/none.npz; give an .npz with x_train"):
        read(tmp_path / "none.npz")


@pytest.mark.parametrize("image_size", [None, 14])
def test_images_below_8_pixels_are_refused_at_whatever_size_they_are_shown(tmp_path, image_size):
    path = npz(tmp_path, x_train=random_images(6, 9, 7), x_test=random_images(3, 9, 7))

    with pytest.raises(DataError, match=r"images are 9 x 7 pixels, but two reductions need at least 8 x 8"):
        read(path, image_size=image_size)


# --- folders --------------------------------------------------------------------------------------------------


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def flat(value, height=8, width=10, channels=3):
    return np.full((height, width, channels) if channels == 3 else (height, width), value, np.uint8)


def class_folders(root, channels=3):
    """train/ has 2 images of ant and 1 of bee, test/ 1 of bee; an image's grey value says which."""
    save(root / "train" / "bee" / "a.png", flat(30, channels=channels))
    save(root / "train" / "ant" / "b.PNG", flat(20, channels=channels), format="png")
    save(root / "train" / "ant" / "a.bmp", flat(10, channels=channels))
    save(root / "test" / "bee" / "a.png", flat(40, channels=channels))
    return root


def test_class_folders_are_classes_in_alphabetical_order(tmp_path):
    images = read(class_folders(tmp_path / "insects"))

    assert images.name == "insects"
    assert images.class_names == ("ant", "bee")
    assert images.x_train.shape == (3, 8, 10, 3)
    assert images.x_train[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert images.y_train.tolist() == [0, 0, 1]
    assert images.x_test[:, 0, 0, 0].tolist() == [40]
    assert images.y_test.tolist() == [1]


def test_images_are_grey_if_all_are(tmp_path):
    root = class_folders(tmp_path, channels=1)
    assert read(root).x_train.shape == (3, 8, 10, 1)

    save(root / "test" / "ant" / "colour.png", flat([1, 2, 3]))
    coloured = read(root)
    assert coloured.x_train[1, 0, 0].tolist() == [20, 20, 20]
    assert coloured.x_test[0, 0, 0].tolist() == [1, 2, 3]


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    root = class_folders(tmp_path)
    for path in ("train/ant/notes.txt", "train/ant/._a.png", "train/README", "test/.DS_Store", "train/.cache/x.png"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(b"nothing")

    images = read(root)

    assert len(images.x_train) == 3
    assert images.class_names == ("ant", "bee")


def test_a_jpeg_and_a_palette_image_are_shown_in_colour(tmp_path):
    root = class_folders(tmp_path)
    save(root / "train" / "bee" / "b.jpg", flat([200, 100, 50], 8, 10), quality=95)
    Image.fromarray(flat([250, 0, 0])).convert("P").save(root / "train" / "bee" / "c.gif")

    images = read(root)

    assert np.abs(images.x_train[3, 0, 0].astype(int) - [200, 100, 50]).max() <= 4
    assert np.abs(images.x_train[4, 0, 0].astype(int) - [250, 0, 0]).max() <= 30


def test_an_image_of_another_size_is_named_with_the_way_out(tmp_path):
    root = class_folders(tmp_path)
    save(root / "train" / "ant" / "c.png", flat(0, 16, 20))

    with pytest.raises(DataError, match=r"train/ant/c.png is 16 x 20 pixels, but .*ant/a.bmp is 8 x 10 .*--image-size"):
        read(root)
    assert read(root, image_size=12).x_train.shape == (4, 12, 12, 3)


def test_a_folder_and_an_npz_of_the_same_images_are_shown_alike(tmp_path):
    pixels = random_images(4, 16, 16, 3)
    for index, part in enumerate(("train/ant", "train/bee", "test/ant", "test/bee")):
        save(tmp_path / "folder" / part / "a.png", pixels[index])
    both = np.array([0, 1])
    path = npz(tmp_path, x_train=pixels[:2], y_train=both, x_test=pixels[2:], y_test=both)

    for size in (8, 12, 24):
        assert (read(tmp_path / "folder", image_size=size).x_test == read(path, image_size=size).x_test).all()


def remove(path):
    for inner in path.iterdir():
        inner.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "test").rename(root / "val"), r"has no folder test/; it needs train/ and test/"),
        (lambda root: (root / "train" / "bee").rename(root / "bee"), r"train has 1 class folders; there can be 2 to"),
        (lambda root: save(root / "test" / "cat" / "a.png", flat(0)), r"labels out of range: there is .*test/cat, but"),
        (lambda root: remove(root / "train" / "bee"), r"train/bee holds no image \(.bmp, .*\); each class needs some"),
        (lambda root: remove(root / "test" / "bee"), r"test holds no image; both parts need images"),
        (lambda root: (root / "train/bee/a.png").write_bytes(b"GIF89a"), r"train/bee/a.png cannot be read as an image"),
        (
            lambda root: Image.fromarray(np.zeros((8, 10), np.uint16)).save(root / "train/bee/a.png"),
            r"train/bee/a.png has more than 8 bits per channel",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_says_what_is_wrong_where(tmp_path, spoil, message):
    root = class_folders(tmp_path)
    spoil(root)

    with pytest.raises(DataError, match=message):
        read(root)


def image_folders(root, files=2):
    for part in ("train", "test"):
        for name in "ab":
            (root / part / name).mkdir(parents=True)
            for number in range(files):
                Image.fromarray(random_images(8, 8, 3)).save(root / part / name / f"{number}.png")
    return root


def test_a_program_that_calls_itself_an_image_is_not_run(tmp_path):
    root = image_folders(tmp_path / "mine")
    (root / "train" / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")

    with pytest.raises(DataError, match="damaged, or of another format than PNG, JPEG, BMP, GIF, WEBP, TIFF, PPM"):
        read(root)


def test_a_pipe_among_the_images_is_named_and_not_waited_for(tmp_path):
    root = image_folders(tmp_path / "mine")
    (root / "train" / "a" / "0.png").unlink()
    os.mkfifo(root / "train" / "a" / "0.png")

    with pytest.raises(DataError, match=r"0.png cannot be read as an image: .*it is not a regular file"):
        read(root)


def test_an_image_that_would_fill_the_memory_is_named(tmp_path):
    root = image_folders(tmp_path / "mine")
    Image.new("1", (10_000, 10_000)).save(root / "train" / "a" / "0.png")

    with pytest.raises(DataError, match=r"0.png cannot be read as an image: it has more pixels than any"):
        read(root)


def test_images_resized_beyond_the_memory_are_refused(tmp_path):
    root = image_folders(tmp_path / "mine", files=40)

    with pytest.raises(DataError, match=r"160 images of 16384 x 16384 pixels are 120\.0 GiB, and this machine"):
        read(root, image_size=16384)


def test_a_truncated_image_is_named(tmp_path):
    root = class_folders(tmp_path)
    path = root / "train" / "bee" / "a.png"
    save(path, random_images(8, 10, 3))
    path.write_bytes(path.read_bytes()[:150])

    with pytest.raises(DataError, match=r"train/bee/a.png cannot be read as an image"):
        read(root)


# --- the embedded set -----------------------------------------------------------------------------------------


def test_fashion_mnist_is_in_the_package():
    images = read_images(DataConfig(dataset="fashion-mnist"))

    assert images.x_train.shape == (3000, 28, 28, 1)
    assert images.x_test.shape == (1000, 28, 28, 1)
    assert images.class_names[:2] == ("T-shirt/top", "Trouser")
    # the first ten images are one of each class in order
    assert images.y_train[:10].tolist() == list(range(10))


def test_the_embedded_subset_is_the_shared_one(shared_data):
    embedded = pathlib.Path(datasets.__file__).parent / "embedded" / "fashion_mnist_3k_1k.npz"

    assert embedded.read_bytes() == (shared_data / "images" / embedded.name).read_bytes()


# --- CIFAR ----------------------------------------------------------------------------------------------------


def records(labels, first=0):
    """The archives' format: labels, then the red, the green and the blue plane; red is the image's number."""
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)
    content = b""
    for number, label in enumerate(labels, first):
        planes = np.full((32, 32), number, np.uint8), rows, columns
        content += bytes(label) + b"".join(plane.tobytes() for plane in planes)
    return content


def cifar10_files():
    files = {
        f"data_batch_{batch}.bin": records([[(batch + n) % 3] for n in range(4)], 4 * batch - 4)
        for batch in range(1, 6)
    }
    return files | {"test_batch.bin": records([[2], [0], [1]], 100), "batches.meta.txt": b"plane\ncar\nbird\n\n"}


def cifar100_files():
    # (coarse, fine): the fine label is the one told apart
    return {
        "train.bin": records([[9, 0], [9, 1], [8, 2], [8, 0]]),
        "test.bin": records([[9, 2], [8, 1]], 100),
        "fine_label_names.txt": b"apple\naquarium_fish\nbaby\n",
        "coarse_label_names.txt": b"a\nb\n",
    }


FILES = {"cifar10": cifar10_files, "cifar100": cifar100_files}
OTHER_SIZES = {
    "cifar10": {"train": {f"data_batch_{n}.bin": 4 for n in range(1, 6)}, "test": {"test_batch.bin": 3}},
    "cifar100": {"train": {"train.bin": 4}, "test": {"test.bin": 2}},
}


def tarball(folder, members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def archive(request, monkeypatch):
    """A small archive of the official form; its content, and bnao expecting it."""
    dataset = getattr(request, "param", "cifar10")
    official = datasets.CIFAR[dataset]
    content = tarball(official.folder, FILES[dataset]())
    expect(monkeypatch, dataset, content, **OTHER_SIZES[dataset])
    return content


def expect(monkeypatch, dataset, content, **changes):
    changes["md5"] = hashlib.md5(content).hexdigest()
    monkeypatch.setitem(datasets.CIFAR, dataset, attrs.evolve(datasets.CIFAR[dataset], **changes))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", refuse)


def cifar(dataset, data_dir):
    return read_images(DataConfig(dataset=dataset, data_dir=None if data_dir is None else str(data_dir)))


def test_the_official_archives_hold_50_000_train_and_10_000_test_images():
    for archive in datasets.CIFAR.values():
        assert sum(archive.train.values()) == 50_000
        assert sum(archive.test.values()) == 10_000
        assert archive.url == f"https://www.cs.toronto.edu/~kriz/{archive.file}"


def test_cifar10_is_read_from_its_archive(archive, no_network, tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive)

    images = cifar("cifar10", tmp_path)

    assert images.name == "cifar10"
    assert images.class_names == ("plane", "car", "bird")
    assert images.x_train.shape == (20, 32, 32, 3)
    assert images.x_train[7, 5, 9].tolist() == [7, 5, 9]  # image 7, row 5, column 9
    assert images.y_train[:8].tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    assert images.x_test[1, 30, 2].tolist() == [101, 30, 2]
    assert images.y_test.tolist() == [2, 0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]  # nothing was extracted


@pytest.mark.parametrize("archive", ["cifar100"], indirect=True)
def test_cifar100_has_the_fine_labels(archive, no_network, tmp_path):
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(archive)

    images = cifar("cifar100", tmp_path)

    assert images.class_names == ("apple", "aquarium_fish", "baby")
    assert images.y_train.tolist() == [0, 1, 2, 0]
    assert images.x_train[2, 3, 4].tolist() == [2, 3, 4]
    assert images.y_test.tolist() == [2, 1]


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_an_extracted_archive_is_read_too(archive, no_network, tmp_path, inner):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, content in cifar10_files().items():
        (folder / name).write_bytes(content)

    assert cifar("cifar10", tmp_path / inner).x_train[19, 1, 2].tolist() == [19, 1, 2]


def test_an_extracted_file_cut_short_is_named(archive, no_network, tmp_path):
    for name, content in cifar10_files().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "data_batch_3.bin").write_bytes(records([[0]] * 4)[:-1])

    with pytest.raises(DataError, match=r"data_batch_3.bin has 12,291 bytes, but 4 images of 3,073 bytes are 12,292"):
        cifar("cifar10", tmp_path)


def test_an_extracted_archive_that_lacks_a_file_names_it(archive, no_network, tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(b"")

    with pytest.raises(DataError, match=r"cannot read .*data_batch_1.bin: No such file.*must be complete"):
        cifar("cifar10", tmp_path)


def test_a_wrong_hash_is_told_beside_the_right_one(archive, no_network, tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive[:-1])
    found, right = (hashlib.md5(content).hexdigest() for content in (archive[:-1], archive))

    with pytest.raises(DataError, match=rf"has the MD5 {found}, but the official archive has {right}: it is damaged"):
        cifar("cifar10", tmp_path)
    assert (tmp_path / "cifar-10-binary.tar.gz").read_bytes() == archive[:-1]


def test_a_truncated_archive_is_told_as_such(archive, no_network, tmp_path, monkeypatch):
    for length in (0, 5, 30, len(archive) // 2, len(archive) * 3 // 4):
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive[:length])
        expect(monkeypatch, "cifar10", archive[:length])
        with pytest.raises(
            DataError, match=r"cifar-10-binary.tar.gz (is damaged or|lacks .*; it is damaged,) cut short"
        ):
            cifar("cifar10", tmp_path)


def test_an_archive_that_lacks_a_file_names_it(archive, no_network, tmp_path, monkeypatch):
    files = cifar10_files()
    del files["test_batch.bin"]
    content = tarball("cifar-10-batches-bin", files)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    expect(monkeypatch, "cifar10", content)

    with pytest.raises(DataError, match=r"lacks test_batch.bin; it is damaged, cut short or not"):
        cifar("cifar10", tmp_path)


def test_a_label_beyond_the_named_classes_is_refused(archive, no_network, tmp_path, monkeypatch):
    content = tarball("cifar-10-batches-bin", cifar10_files() | {"test_batch.bin": records([[0], [1], [3]])})
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    expect(monkeypatch, "cifar10", content)

    with pytest.raises(DataError, match=r"labels out of range: y_test\[2\] is 3"):
        cifar("cifar10", tmp_path)


def test_offline_the_error_names_the_file_the_folder_and_the_address(no_network, tmp_path):
    with pytest.raises(DataError) as caught:
        cifar("cifar100", tmp_path)

    assert str(caught.value) == (
        "cannot download cifar-100-binary.tar.gz (ConnectionError: no route to host); get it from "
        f"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz and put it into {tmp_path}, "
        "or name the folder that holds it (--data-dir)"
    )


def test_without_a_data_dir_the_users_cache_is_named(no_network, tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)

    with pytest.raises(DataError, match=rf"put it into {tmp_path}/bnao, or name the folder"):
        cifar("cifar10", None)


@pytest.mark.parametrize(
    ("dataset", "found"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar10", "cifar-10-batches-py"),
        ("cifar100", "cifar-100-python.tar.gz"),
    ],
)
def test_the_python_version_is_said_to_hold_pickles(no_network, tmp_path, dataset, found):
    (tmp_path / found).mkdir()

    with pytest.raises(DataError, match=rf"{found} holds pickles, which bnao never reads: .*cannot download .*-binary"):
        cifar(dataset, tmp_path)


def test_a_data_dir_that_is_a_file_is_told_as_such(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(b"")

    with pytest.raises(DataError, match=r"a file; it must be the folder that holds cifar-10-binary.tar.gz"):
        cifar("cifar10", path)


@pytest.fixture
def server(tmp_path_factory):
    """A web server of this machine: its folder, and its address."""
    folder = tmp_path_factory.mktemp("server")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_an_archive_is_fetched_once_and_kept(archive, server, tmp_path, monkeypatch, caplog):
    folder, address = server
    (folder / "cifar-10-binary.tar.gz").write_bytes(archive)
    expect(monkeypatch, "cifar10", archive, url=f"{address}/cifar-10-binary.tar.gz")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level("INFO")

    fetched = cifar("cifar10", tmp_path / "new")
    (folder / "cifar-10-binary.tar.gz").unlink()
    kept = cifar("cifar10", tmp_path / "new")

    assert (fetched.x_train == kept.x_train).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cifar-10-binary.tar.gz"]
    told = [record.getMessage() for record in caplog.records if record.name == "bnao.data.sources"]
    assert told == [
        f"fetching cifar-10-binary.tar.gz (162 MB) from {address}/cifar-10-binary.tar.gz into {tmp_path / 'new'}"
    ]


def test_a_fetched_archive_of_another_hash_is_not_kept(archive, server, tmp_path, monkeypatch):
    folder, address = server
    (folder / "cifar-10-binary.tar.gz").write_bytes(archive[:-1])
    expect(monkeypatch, "cifar10", archive, url=f"{address}/cifar-10-binary.tar.gz")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    with pytest.raises(DataError) as caught:
        cifar("cifar10", tmp_path)

    assert hashlib.md5(archive).hexdigest() in str(caught.value)
    assert hashlib.md5(archive[:-1]).hexdigest() in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_lacks_the_file_is_told_in_one_line(archive, server, tmp_path, monkeypatch):
    expect(monkeypatch, "cifar10", archive, url=f"{server[1]}/cifar-10-binary.tar.gz")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    with pytest.raises(DataError, match=r"^cannot download cifar-10-binary.tar.gz \(HTTPError: 404[^\n]*$"):
        cifar("cifar10", tmp_path)


# --- the script that makes an .npz of JPEGs -------------------------------------------------------------------


def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["cifar10_jpeg_to_npz.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPTS / "cifar10_jpeg_to_npz.py"), run_name="__main__")


def jpeg(value):
    packed = io.BytesIO()
    Image.fromarray(flat(value, 32, 32)).save(packed, format="jpeg")
    return packed.getvalue()


def test_the_script_makes_an_npz_that_bnao_reads(tmp_path, monkeypatch):
    files = [jpeg(value) for value in (10, 50, 90, 130, 170)]
    offsets = np.cumsum([0, *(len(file) - 100 for file in files)])
    data = np.frombuffer(b"".join(file[100:] for file in files), np.uint8)
    assert len({file[:100] for file in files}) == 1
    header, labels = np.frombuffer(files[0][:100], np.uint8), np.array([0, 1, 0, 1, 0], np.uint8)
    np.savez(tmp_path / "in.npz", header=header, data=data, offsets=offsets, labels=labels, n_train=3)

    run_script(monkeypatch, tmp_path / "in.npz", tmp_path / "out.npz")

    with np.load(tmp_path / "out.npz") as made:
        assert made["x_train"].shape == (3, 32, 32, 3)
        assert np.abs(made["x_train"][:, 4, 4, 0].astype(int) - [10, 50, 90]).max() <= 2
        assert np.abs(made["x_test"][:, 4, 4, 0].astype(int) - [130, 170]).max() <= 2
        assert made["y_train"].tolist() == [0, 1, 0]
        assert made["y_test"].tolist() == [1, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.npz"]


def test_the_script_says_what_it_cannot_read(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as left:
        run_script(monkeypatch, npz(tmp_path), tmp_path / "out.npz")

    assert left.value.code == 1
    assert "cannot read" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_the_shared_cifar10_subset_becomes_a_data_set(shared_data, tmp_path, monkeypatch):
    run_script(monkeypatch, shared_data / "images" / "cifar10_10k_2k_jpeg.npz", tmp_path / "cifar.npz")

    images = read(tmp_path / "cifar.npz")

    assert np.bincount(images.y_train).tolist() == [1000] * 10
    assert np.bincount(images.y_test).tolist() == [200] * 10
    assert images.class_names[0] == "airplane"
