"""Augmentation of whole batches as arrays, and of images of many sizes; what is done is a function of seed and step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnao.config.settings import DataConfig
from bnao.streams import stream

# a resized crop's share of the image's area and its ratio of width to height (Szegedy et al. 2015)
_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
# parts of one image that are drawn until one lies within it
_TRIES = 10
# what the eye sees of red, green and blue (ITU-R BT.601)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


#: number of images of a batch, and which of its rows are at hand
Part = tuple[int, slice]


def augmented(
    images: NDArray[np.float32],
    config: DataConfig,
    seed: int,
    step: int,
    *,
    black: ArrayLike = 0.0,
    part: Part | None = None,
) -> NDArray[np.float32]:
    """Return normalised images with the random flips, shifts and cutouts of the settings.

    Half of them are mirrored; each is padded and cropped to its size again at a random place, or a random part of it
    is enlarged to its size; in each a square centred on a random pixel is set to the mean (0), the part of it that
    lies within the image.

    Args:
        images: shape (n, height, width, channels).
        config: crop, pad, pad_with, flip and cutout; one that is off does not change what the others draw.
        seed, step: decide the draws.
        black: what a black pixel is once it is normalised, of each channel; for ``pad_with`` zero.
        part: which rows of a larger batch the images are; what is drawn for them does not depend on it.

    >>> images = np.ones((1, 8, 8, 1), np.float32)
    >>> int(augmented(images, DataConfig(pad=0, flip=False, cutout=1), seed=0, step=0).sum())
    63
    """
    n, height, width, channels = images.shape
    of, rows_of = part or (n, slice(n))
    pad, side = config.pad if config.crop == "shift" else 0, config.cutout
    # all are drawn whatever is used, so that a setting does not change what the others draw
    down, right, mirror, row, column = stream(seed, "augment", step).random((5, of))[:, rows_of]

    padded = np.empty((n, height + 2 * pad, width + 2 * pad, channels), np.float32)
    if config.pad_with == "mean":
        padded[...] = 0
    elif config.pad_with == "zero" and pad:
        # an image of one colour first, so that the copy's inner loop runs over an image and not over a pixel
        padded[...] = np.broadcast_to(np.asarray(black, np.float32), padded.shape[1:]).copy()
    inside = padded[:, pad : pad + height, pad : pad + width]
    inside[...] = images
    if config.flip:
        chosen = mirror < 0.5
        for channel in range(channels):  # by channel, NumPy's inner loop runs over a row and not over a pixel
            inside[chosen, :, :, channel] = images[chosen, :, ::-1, channel]

    if config.pad_with == "reflect" and pad:
        from_rows, from_columns = (pad + np.pad(np.arange(length), pad, "reflect") for length in (height, width))
        for edge in (slice(pad), slice(-pad, None)):
            padded[:, pad : pad + height, edge] = padded[:, pad : pad + height, from_columns[edge]]
        for edge in (slice(pad), slice(-pad, None)):
            padded[:, edge] = padded[:, from_rows[edge]]

    crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width, channels), axis=(1, 2, 3))
    places = 2 * pad + 1
    result: NDArray[np.float32] = crops[np.arange(n), (down * places).astype(int), (right * places).astype(int), 0]

    if config.crop == "resized":
        result = _resized_crops(result, stream(seed, "resized crop", step).random((4, of))[:, rows_of])

    if side:
        rows, columns = _covered(row, height, side), _covered(column, width, side)
        cut = rows[:, :, None] & columns.repeat(channels, axis=1)[:, None, :]
        np.copyto(result, 0, where=cut.reshape(result.shape))
    return result


def _covered(centre: NDArray[np.float64], length: int, side: int) -> NDArray[np.bool_]:
    """Return which of ``length`` places are among the ``side`` around a random one: shape (n, length)."""
    start = (centre * length).astype(int)[:, None] - side // 2
    place = np.arange(length)
    return (start <= place) & (place < start + side)


def _resized_crops(images: NDArray[np.float32], drawn: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a random part of each image, enlarged to its size by linear interpolation; drawn has shape (4, n)."""
    _, height, width, _ = images.shape
    area, ratio, down, right = drawn
    share, shape = _share_and_ratio(area, ratio)
    tall = np.minimum(height, height * np.sqrt(share / shape))
    wide = np.minimum(width, width * np.sqrt(share * shape))
    top, left = down * (height - tall), right * (width - wide)
    rows = _sampled(images, top, tall, height)
    return np.ascontiguousarray(_sampled(rows.swapaxes(1, 2), left, wide, width).swapaxes(1, 2))


def _share_and_ratio(
    area: NDArray[np.float64], ratio: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a part's share of its image's area and its ratio of width to height, from uniform numbers in [0, 1)."""
    least, most = np.log(_RATIO)
    return _AREA[0] + area * (_AREA[1] - _AREA[0]), np.exp(least + ratio * (most - least))


#: left, top, right, bottom
Box = tuple[float, float, float, float]


def random_parts(n: int, seed: int, step: int) -> NDArray[np.float64]:
    """Return the random numbers behind the crops of a step's n images, shape (n, tries, 4); see ``random_part``."""
    area, ratio, down, right = stream(seed, "part", step).random((4, n, _TRIES))
    return np.stack([*_share_and_ratio(area, ratio), down, right], -1)


def random_part(tries: NDArray[np.float64], height: int, width: int) -> Box:
    """Return the part of an image that is shown: the first of the tries that lies within it (Szegedy et al. 2015).

    Where none does, as in very long images, the largest part in the middle of an allowed ratio.

    Args:
        tries: shape (m, 4): share of the area, ratio of width to height, and where it lies down and to the right.
        height, width: of the image, pixels.

    >>> random_part(np.array([[0.25, 1.0, 0.0, 1.0]]), height=100, width=100)
    (50.0, 0.0, 100.0, 50.0)
    """
    for share, ratio, down, right in tries.tolist():
        tall, wide = math.sqrt(share * height * width / ratio), math.sqrt(share * height * width * ratio)
        if tall <= height and wide <= width:
            left, top = right * (width - wide), down * (height - tall)
            return left, top, left + wide, top + tall
    wide, tall = min(width, height * _RATIO[1]), min(height, width / _RATIO[0])
    return (width - wide) / 2, (height - tall) / 2, (width + wide) / 2, (height + tall) / 2


def mirrored(n: int, seed: int, step: int) -> NDArray[np.bool_]:
    """Return which of a step's n images are mirrored, each with probability 1/2; shape (n,)."""
    return stream(seed, "mirror", step).random(n) < 0.5


def _sampled(
    images: NDArray[np.float32], start: NDArray[np.float64], length: NDArray[np.float64], places: int
) -> NDArray[np.float32]:
    """Interpolate axis 1 linearly at evenly spaced places of start .. start + length."""
    at = start[:, None] + (np.arange(places) + 0.5) * (length / places)[:, None] - 0.5
    at = np.clip(at, 0, images.shape[1] - 1)
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, images.shape[1] - 1)
    share = (at - before).astype(np.float32)[:, :, None, None]
    each = np.arange(len(images))[:, None]
    result: NDArray[np.float32] = images[each, before] * (1 - share) + images[each, after] * share
    return result


def jitter_factors(n: int, share: float, seed: int, step: int) -> NDArray[np.float32]:
    """Return the factors of brightness, contrast and saturation of a step's n images, shape (3, n).

    Uniform within 1 - share .. 1 + share, not below 0.
    """
    return stream(seed, "jitter", step).uniform(max(0.0, 1 - share), 1 + share, (3, n)).astype(np.float32)


def hue_turns(n: int, most: float, seed: int, step: int) -> NDArray[np.float32]:
    """Return the turns of hue of a step's n images: fractions of the colour circle in -most .. most, (n,)."""
    return stream(seed, "hue", step).uniform(-most, most, n).astype(np.float32)


def jittered(
    images: NDArray[np.uint8], share: float, seed: int, step: int, *, hue: float = 0.0, part: Part | None = None
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return images, 0..255, with random changes of brightness, contrast, saturation and hue, in this order.

    Args:
        images: shape (n, height, width, channels), 1 or 3 channels; grey ones have neither saturation nor hue.
        share: see ``jitter_factors``; 0 leaves brightness, contrast and saturation as they are.
        seed, step: decide the changes.
        hue: see ``hue_turns``; 0 leaves hues as they are.
        part: as of ``augmented``.

    >>> grey = np.full((1, 8, 8, 1), 100, np.uint8)
    >>> bool(50 <= jittered(grey, 0.5, seed=0, step=0).mean() <= 150)
    True
    """
    of, rows = part or (len(images), slice(len(images)))
    changed = _recoloured(images, jitter_factors(of, share, seed, step)[:, rows]) if share else images
    if hue and images.shape[3] == 3:
        return turned(changed, hue_turns(of, hue, seed, step)[rows])
    return changed


def _recoloured(images: NDArray[np.uint8], factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply brightness, contrast and saturation of images, 0..255, by factors of shape (3, n)."""
    brightness, contrast, saturation = factors[..., None, None, None]
    result = np.clip(images * brightness, 0, 255)
    grey = result @ _LUMA if result.shape[3] == 3 else result[..., 0]
    mean = grey.mean((1, 2))[:, None, None, None]
    result = np.clip((result - mean) * contrast + mean, 0, 255)
    if result.shape[3] == 3:
        grey = (result @ _LUMA)[..., None]
        result = np.clip((result - grey) * saturation + grey, 0, 255)
    recoloured: NDArray[np.float32] = result.astype(np.float32)
    return recoloured


def turned(images: NDArray[np.uint8] | NDArray[np.float32], turns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images with their hues turned; value and saturation (HSV, Smith 1978) stay.

    Args:
        images: red, green and blue, shape (n, height, width, 3).
        turns: shares of the colour circle, shape (n,).

    >>> red = np.array([200, 0, 0], np.uint8).reshape(1, 1, 1, 3)
    >>> turned(red, np.array([1 / 3], np.float32)).ravel().round().tolist()
    [0.0, 200.0, 0.0]
    """
    red, green, blue = np.moveaxis(images, 3, 0).astype(np.float32, order="C")
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    # the hue in sixths of the circle, from red; of grey any, since its chroma is 0
    scale = 1 / np.where(chroma > 0, chroma, 1)
    hue = np.where(
        value == red,
        (green - blue) * scale,
        np.where(value == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    hue += 6 * turns[:, None, None]
    result = np.empty(images.shape, np.float32)
    for channel, opposite in enumerate((5, 3, 1)):
        # a channel is lowest over two sixths of the circle, highest over two, and changes evenly between
        place = hue + opposite
        place -= 6 * np.floor(place / 6)
        result[..., channel] = value - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)
    return result
