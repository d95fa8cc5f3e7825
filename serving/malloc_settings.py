"""What the C library does with memory that was freed: keep it for the next photo, or give it back; glibc alone."""

import ctypes
import sys
from collections.abc import Callable

# Parameters of mallopt, from glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def keep_freed_memory(largest_block: int, at_most: int) -> None:
    """Let each thread keep some memory that it freed, so that the next photo finds it.

    By itself glibc returns the memory of one photo before the next one needs it: the system then has to fill thousands
    of pages with zeros for each. It is for a process to decide about itself, not for a library.

    Args:
        largest_block: of what is kept, in bytes; larger ones are the system's again at once. A glibc that does not take
            it stays with its own, of 32 MB and less.
        at_most: bytes at the end of each thread's heap.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, largest_block)
        mallopt(_M_TRIM_THRESHOLD, at_most)


def share_heaps(count: int) -> None:
    """Let all threads that are yet to start share so many heaps.

    By itself glibc makes eight for each processor, and each of them keeps memory that was freed in the midst of what is
    still in use. It is for a process to decide about itself, not for a library.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, count)


def give_memory_back() -> None:
    """Return to the system what was freed and kept, but for the end of each thread's heap.

    May take tens of milliseconds, in which other threads run.
    """
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None where it has none such."""
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    return function
