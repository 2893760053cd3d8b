"""Memory: how much this process has held, and what to do where there was not enough."""

from __future__ import annotations

import sys

#: what frameworks say where their device or the machine has no more
_PHRASES = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate", "resource_exhausted")
#: the classes of what they raise, by name, since their modules need not be there
_CLASSES = {"OutOfMemoryError", "ResourceExhaustedError"}


def peak_memory() -> int | None:
    """Return the most memory this process has held, bytes; None where the system does not say.

    On Linux it is the peak of the program since it was started, or since ``forget_peak``; the one that ``getrusage``
    says there begins with that of the process that started it.
    """
    stated = _stated("VmHWM")
    if stated is not None:
        return stated
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def held_memory() -> int | None:
    """Return the memory this process holds now, bytes; None where the system does not say."""
    return _stated("VmRSS")


def forget_peak() -> bool:
    """Let the peak of this process begin anew at what it holds now; return whether the system can."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def _stated(name: str) -> int | None:
    """Return what Linux states of this process's memory under a name, bytes; None elsewhere."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            kibibytes = next((line.split()[1] for line in file if line.startswith(f"{name}:")), None)
    except OSError:
        return None
    return None if kibibytes is None else 1024 * int(kibibytes)


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
