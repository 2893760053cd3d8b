"""The only source of randomness: every draw is a function of (seed, purpose, indices).

Nothing depends on how many draws came before, so a run may be killed anywhere and resume bit for bit, and
two backends given one seed see the same architectures, batches, augmentations and masks.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

# one Philox counter step yields four 64-bit words, and a float64 takes one of them
_WORDS_PER_COUNT = 4


def _bit_generator(seed: int, purpose: str, indices: tuple[int, ...]) -> np.random.Philox:
    text = "/".join([str(int(seed)), purpose, *(str(int(i)) for i in indices)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(digest, "little"))


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return a generator that belongs to one purpose and place alone.

    Args:
        seed: any integer.
        purpose: what the numbers are for, such as ``"pool"`` or ``"drop path"``.
        indices: where they are used, such as the round and the step.

    >>> bool(stream(0, "pool", 1).integers(1000) == stream(0, "pool", 1).integers(1000))
    True
    >>> bool((stream(0, "pool", 1).random(4) == stream(0, "pool", 2).random(4)).any())
    False
    """
    return np.random.Generator(_bit_generator(seed, purpose, indices))


def uniforms(seed: int, purpose: str, n: int, start: int = 0) -> NDArray[np.float64]:
    """Return elements start .. start + n - 1 of an endless sequence of uniform numbers in [0, 1).

    The row is addressed, not consumed: an element does not depend on which others are asked for.

    >>> uniforms(0, "draw", 3, start=4711).tolist() == uniforms(0, "draw", 5, start=4709).tolist()[2:]
    True
    """
    bits = _bit_generator(seed, purpose, ())
    bits.advance(start // _WORDS_PER_COUNT)
    skip = start % _WORDS_PER_COUNT
    return np.random.Generator(bits).random(skip + n)[skip:]


def epoch_order(seed: int, purpose: str, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order in which n examples are visited in an epoch.

    >>> sorted(epoch_order(0, "order", 3, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    return stream(seed, purpose, epoch).permutation(n)
