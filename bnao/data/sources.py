"""Where images come from: the set in the package, the CIFAR archives, an .npz, or a folder of class folders.

Whatever the source, the same checks are made before anything is trained, and no pickle is ever read.
"""

from __future__ import annotations

import hashlib
import logging
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from bnao.config.settings import STREAMED, DataConfig
from bnao.data.checks import ARRAYS, LEAST_PIXELS, Images, check_memory, checked_images, resize
from bnao.data.folders import class_folders, opened
from bnao.data.headers import check_headers
from bnao.errors import DataError
from bnao.files import MOST_WEIGHTS, check_regular

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

log = logging.getLogger(__name__)

_EMBEDDED = {"fashion-mnist": "fashion_mnist_3k_1k.npz"}
_GREY_MODES = ("1", "L", "LA")
# what reading a damaged file may end in: a cut stream, a wrong checksum, a header that is not one
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
    MemoryError,
    RuntimeError,
)


def read_images(config: DataConfig) -> Images:
    """Read the images that the settings name, checked, and resized to ``config.image_size``.

    Raises:
        DataError: they are absent, damaged, incomplete, or no labelled images.
    """
    size = None if config.image_size is None else (config.image_size, config.image_size)
    if config.data is not None:
        images = _read_path(Path(config.data).expanduser(), size, config.unreadable)
    elif config.dataset in STREAMED:
        raise DataError(
            f"data set {config.dataset!r} is read from disk while a network trains, which only bnao evaluate does; "
            f"name images that memory holds, with --data or another --dataset"
        )
    elif config.dataset in _EMBEDDED:
        images = _read_embedded(config.dataset)
    else:
        images = _read_cifar(config.dataset, CIFAR[config.dataset], config.data_dir)
    height, width = images.x_train.shape[1:3]
    if min(height, width) < LEAST_PIXELS:
        raise DataError(
            f"{images.name}: images are {height} x {width} pixels, but two reductions need at least "
            f"{LEAST_PIXELS} x {LEAST_PIXELS}"
        )
    if size is not None:
        n, channels = len(images.y_train) + len(images.y_test), images.x_train.shape[3]
        check_memory(n * size[0] * size[1] * channels, f"{images.name}: {n:,} images of {size[0]} x {size[1]} pixels")
        images = evolve(images, x_train=resize(images.x_train, size), x_test=resize(images.x_test, size))
    return images


def _read_path(path: Path, size: tuple[int, int] | None, unreadable: str) -> Images:
    try:
        if path.is_dir():
            return _read_folder(path, size, unreadable)
        check_regular(path, MOST_WEIGHTS)
        with path.open("rb") as file:
            return _read_npz(file, path.stem, str(path))
    except FileNotFoundError:
        raise DataError(
            f"there is no file or folder {path}; give an .npz with {', '.join(ARRAYS)}, "
            f"or a folder with train/ and test/"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


# --- .npz -----------------------------------------------------------------------------------------------------


def _read_embedded(dataset: str) -> Images:
    from importlib.resources import files

    path = files("bnao") / "data" / "embedded" / _EMBEDDED[dataset]
    with path.open("rb") as file:
        return _read_npz(file, dataset, str(path))


def _read_npz(file: IO[bytes], name: str, where: str) -> Images:
    if not zipfile.is_zipfile(file):
        raise DataError(
            f"{where} is not a complete .npz (a zip of arrays): it is damaged, cut short or another kind of file "
            f"(pickles are never read)"
        )
    file.seek(0)
    try:
        archive = np.load(file, allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(f"{where} is damaged: {error}") from None
    with archive:
        missing = [array for array in ARRAYS if array not in archive]
        if missing:
            raise DataError(f"{where} lacks {' and '.join(missing)}; an .npz of images has {', '.join(ARRAYS)}")
        check_headers(archive.zip, where)
        arrays = {array: _read_array(archive, array, where) for array in ARRAYS}
        named = next((key for key in ("classes", "class_names") if key in archive), None)
        names = None if named is None else _read_array(archive, named, where)
    if names is not None and (names.dtype.kind != "U" or names.ndim != 1):
        names = None  # not a list of texts, so something else of the user's
    try:
        texts = None if names is None else names.tolist()
    except (SystemError, ValueError):  # what Python makes of numbers that stand for no character
        raise DataError(f"{where} is damaged: {named} holds numbers that are not characters") from None
    return checked_images(name, where, arrays, texts)


def _read_array(archive: NpzFile, array: str, where: str) -> NDArray[Any]:
    try:
        value = archive[array]
    except _DAMAGE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{where}: {array} holds Python objects, that is pickles, which bnao never reads; "
                f"save plain arrays, such as np.asarray(images, 'uint8')"
            ) from None
        raise DataError(f"{where}: {array} cannot be read, the file is damaged: {error}") from None
    if not isinstance(value, np.ndarray):
        raise DataError(f"{where}: {array} is not a NumPy array; np.savez writes such files")
    return value


# --- folders --------------------------------------------------------------------------------------------------


def _read_folder(root: Path, size: tuple[int, int] | None, unreadable: str) -> Images:
    parts = class_folders(root)
    paths = [part.path(index) for part in parts for index in range(len(part.names))]
    read, left_out = _read_image_files(paths, size, skip=unreadable == "skip")
    found = np.array([path not in left_out for path in paths])
    labels = np.concatenate([part.labels for part in parts])[found]
    arrays: dict[str, NDArray[Any]] = {}
    ends = [int(found[: len(parts[0].names)].sum())]
    for array, values in (("x", read), ("y", labels)):
        arrays[f"{array}_train"], arrays[f"{array}_test"] = np.split(values, ends)
    images = checked_images(root.resolve().name, str(root), arrays, parts[0].class_names)
    return evolve(images, unreadable=left_out)


def _read_image_files(
    paths: Sequence[str], size: tuple[int, int] | None, *, skip: bool
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Read all images as one array: grey if every one of them is, else RGB; and why which files are left out."""
    if size is not None:
        check_memory(3 * len(paths) * size[0] * size[1], f"{len(paths):,} images of {size[0]} x {size[1]} pixels")
    read: list[NDArray[np.uint8]] = []
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            pixels = _read_image(path)
        except DataError as error:
            if not skip:
                raise DataError(f"{error}; --unreadable skip leaves such files out") from None
            left_out[path] = str(error)
            log.warning("left out: %s", error)
            continue
        if size is not None:
            pixels = resize(pixels[None], size)[0]
        if read and pixels.shape[:2] != read[0].shape[:2]:
            first = next(path for path in paths if path not in left_out)
            raise DataError(
                f"{path} is {pixels.shape[0]} x {pixels.shape[1]} pixels, but {first} is {read[0].shape[0]} x "
                f"{read[0].shape[1]} (height x width); --image-size resizes all to one size"
            )
        read.append(pixels)
    if not read:
        raise DataError(f"none of {len(paths)} image files can be read; the first: {next(iter(left_out.values()))}")
    channels = max(pixels.shape[2] for pixels in read)
    images = np.empty((len(read), *read[0].shape[:2], channels), np.uint8)
    for place, pixels in zip(images, read, strict=True):
        place[...] = pixels  # a grey one among coloured ones fills all three channels
    return images, left_out


def _read_image(path: str) -> NDArray[np.uint8]:
    with opened(path) as image:
        pixels = np.asarray(image.convert("L" if image.mode in _GREY_MODES else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


# --- CIFAR ----------------------------------------------------------------------------------------------------


@frozen
class Archive:
    """One of the two CIFAR sets in its official binary version: records of labels and 3 x 32 x 32 bytes.

    Attributes:
        file: the archive's name; ``md5`` is the one its authors publish beside it.
        folder: the folder inside.
        train, test: how many images each file holds.
        label_bytes: labels before each image; the last one is used (CIFAR-100: the fine one).
        names: the file that names the classes, a line each.
        pickled: names of the other version, which bnao does not read.
    """

    file: str
    url: str
    md5: str
    megabytes: int
    folder: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    label_bytes: int
    names: str
    pickled: tuple[str, ...]


_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"

CIFAR: dict[str, Archive] = {
    "cifar10": Archive(
        file="cifar-10-binary.tar.gz",
        url=f"{_CIFAR_URL}cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        megabytes=162,
        folder="cifar-10-batches-bin",
        train={f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
        test={"test_batch.bin": 10_000},
        label_bytes=1,
        names="batches.meta.txt",
        pickled=("cifar-10-python.tar.gz", "cifar-10-batches-py"),
    ),
    "cifar100": Archive(
        file="cifar-100-binary.tar.gz",
        url=f"{_CIFAR_URL}cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        megabytes=161,
        folder="cifar-100-binary",
        train={"train.bin": 50_000},
        test={"test.bin": 10_000},
        label_bytes=2,
        names="fine_label_names.txt",
        pickled=("cifar-100-python.tar.gz", "cifar-100-python"),
    ),
}

# seconds to wait for a connection and for each piece of the answer
_TIMEOUT = (5, 30)


def _read_cifar(dataset: str, archive: Archive, data_dir: str | None) -> Images:
    wanted = [*archive.train, *archive.test, archive.names]
    root = None if data_dir is None else Path(data_dir).expanduser()
    if root is not None and root.exists() and not root.is_dir():
        raise DataError(f"data_dir is {root}, a file; it must be the folder that holds {archive.file}")
    extracted = [] if root is None else [folder for folder in (root / archive.folder, root) if _holds(folder, wanted)]
    if extracted:
        where = extracted[0]
        content = _read_files(where, wanted)
    else:
        where = _archive_path(archive, root)
        content = _read_tar(where, wanted)
    names = content[archive.names].decode("utf-8", "replace").split()
    arrays: dict[str, NDArray[Any]] = {}
    for part, files in (("train", archive.train), ("test", archive.test)):
        read = [_records(where, file, content.pop(file), n, archive.label_bytes) for file, n in files.items()]
        arrays[f"x_{part}"] = np.concatenate([images for images, _ in read])
        arrays[f"y_{part}"] = np.concatenate([labels for _, labels in read])
    return checked_images(dataset, str(where), arrays, names)


def _holds(folder: Path, files: Iterable[str]) -> bool:
    return any((folder / file).exists() for file in files)


def _read_files(folder: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    content = {}
    for file in wanted:
        try:
            content[file] = (folder / file).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {folder / file}: {error.strerror}; the folder must be complete") from None
    return content


def _read_tar(path: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """Read the wanted members, read from the stream: nothing is extracted to disk."""
    content = {}
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                file = tar.extractfile(member) if name in wanted and member.isfile() else None
                if file is not None:
                    content[name] = file.read()
    except (tarfile.TarError, *_DAMAGE) as error:
        raise DataError(f"{path} is damaged or cut short: {error}") from None
    missing = [file for file in wanted if file not in content]
    if missing:
        raise DataError(f"{path} lacks {' and '.join(missing)}; it is damaged, cut short or not the binary version")
    return content


def _records(
    where: Path, file: str, content: bytes, n: int, label_bytes: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    length = label_bytes + 3 * 32 * 32
    if len(content) != n * length:
        raise DataError(
            f"{where}: {file} has {len(content):,} bytes, but {n:,} images of {length:,} bytes are {n * length:,}; "
            f"it is damaged or cut short"
        )
    records = np.frombuffer(content, np.uint8).reshape(n, length)
    images = records[:, label_bytes:].reshape(n, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, records[:, label_bytes - 1]


def _archive_path(archive: Archive, root: Path | None) -> Path:
    """Return the archive on disk, its hash checked; fetched, if it is not there."""
    import pooch

    folder = Path(pooch.os_cache("bnao")) if root is None else root
    path = folder / archive.file
    if path.exists():
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
        if found != archive.md5:
            raise DataError(
                f"{path} has the MD5 {found}, but the official archive has {archive.md5}: it is damaged, cut short or "
                f"another file; get it from {archive.url}"
            )
        return path

    pickled = next((folder / name for name in archive.pickled if (folder / name).exists()), None)
    note = "" if pickled is None else f"{pickled} holds pickles, which bnao never reads: the binary version is needed; "
    log.info("%sfetching %s (%d MB) from %s into %s", note, archive.file, archive.megabytes, archive.url, folder)
    pooch.get_logger().setLevel(logging.WARNING)  # logged above, and a failure below
    try:
        pooch.retrieve(
            archive.url,
            known_hash=f"md5:{archive.md5}",
            fname=archive.file,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; pooch raises ValueError for a wrong hash
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, OSError) and len(reason) > 120:  # the address once more, and the libraries' inner errors
            reason = f"{reason[:119]}…"
        raise DataError(
            f"{note}cannot download {archive.file} ({reason}); get it from {archive.url} and put it into {folder}, "
            f"or name the folder that holds it (--data-dir)"
        ) from None
    return path
