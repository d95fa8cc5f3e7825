import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides by itself")

_SCRIPT = """
import threading
from serving.malloc_settings import give_memory_back, keep_freed_memory

def resident():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmRSS"))

def work():
    blocks = [b"x" * ({megabytes} << 20) for _ in range(20 // {megabytes})]
    if {pinned}:
        behind_them.append(bytearray(100_000))

behind_them = []
if {keeps}:
    keep_freed_memory(8 << 20, 32 << 20)
before = resident()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kept = resident() - before
give_memory_back()
print(kept, resident() - before)
"""


def _kept(*, keeps: bool = True, megabytes: int = 2, pinned: bool = False) -> tuple[int, int]:
    """What of 20 MB that each of four threads used and freed is held still, and after giving back, in MB.

    Pinned memory has a block in use behind it, so that it is not at the end of a heap.
    """
    script = _SCRIPT.format(keeps=keeps, megabytes=megabytes, pinned=pinned)
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    kept, left = run.stdout.split()
    return int(kept), int(left)


def test_freed_memory_is_kept_for_the_next_photo_but_that_of_huge_ones():
    kept, _ = _kept()
    assert kept >= 15
    assert _kept(keeps=False)[0] < kept / 2
    assert _kept(megabytes=10)[0] <= 5


def test_what_is_kept_can_be_given_back():
    kept, left = _kept(pinned=True)
    assert kept >= 15
    assert left <= 5


def test_threads_share_heaps():
    script = """
import ctypes, sys, threading
from serving.malloc_settings import share_heaps
if len(sys.argv) > 1:
    share_heaps(int(sys.argv[1]))
together = threading.Barrier(12)
def work():
    block = bytearray(100_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""

    def heaps(*count: str) -> int:
        run = subprocess.run([sys.executable, "-c", script, *count], check=True, capture_output=True, text=True)
        return run.stderr.count("Arena ")

    assert heaps() > 3
    assert heaps("3") <= 3
