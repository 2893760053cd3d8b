"""Memory: how much this process has held, and what to do where there was not enough."""

from __future__ import annotations

import sys

#: what frameworks say where their device or the machine has no more
_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate", "resource_exhausted")
#: the classes of what they raise, by name, since their modules need not be there
_CLASSES = {"OutOfMemoryError", "ResourceExhaustedError"}


def peak_memory() -> int | None:
    """Return the most memory this process has held, bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy or a framework says that memory did not suffice.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    (True, True)
    >>> is_out_of_memory(RuntimeError("a bug")), is_out_of_memory(ValueError("out of memory"))
    (False, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ in _CLASSES:
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def what_to_lower(error: BaseException) -> str:
    """Return a line on an error that ``is_out_of_memory``: what had too little, and which settings need less.

    >>> what_to_lower(RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")).partition(";")[0]
    'the device has too little memory'
    """
    text = f"{type(error).__module__} {error}".lower()
    where = "the device" if any(name in text for name in ("cuda", "gpu", "hip", "mps")) else "this machine"
    return (
        f"{where} has too little memory; lower --batch-size first, then --channels, --cells or --image-size "
        f"(--precision bfloat16 halves what a GPU keeps of each step); what was finished is kept, and --estimate tells "
        f"the peak beforehand"
    )
