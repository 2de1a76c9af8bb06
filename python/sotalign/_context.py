"""Contexts: the device, threads and scratch memory of a call. Each thread keeps one for each device and stream."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable

from sotalign import _core

Allocator = tuple[Callable[[int, int], int], Callable[[int], None]]

_local = threading.local()
_threads = 0


def set_threads(count: int) -> None:
    """Sets the number of CPU threads of the calls that follow; 0: OMP_NUM_THREADS or all cores.

    The number of threads changes results only within rounding; the same number gives the same bits.
    """
    global _threads
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"threads: expected an integer >= 0, found {count!r}")
    _threads = count


def free_memory() -> None:
    """Frees the scratch memory that calls of this thread have left for the next ones."""
    _local.contexts = {}


def context_for(
    device: str = "cpu", stream: int | None = None, allocator: Allocator | None = None
) -> _core.Context:
    """The context of the calling thread for a device.

    device: "cpu", "cuda:0" or "auto"; stream: the address of the caller's CUDA stream, or None for one of our own;
    allocator: None, or a pair of functions (allocate(bytes, stream) -> address, free(address)).
    """
    contexts: dict[Any, _core.Context] | None = getattr(_local, "contexts", None)
    if contexts is None:
        contexts = _local.contexts = {}
    key = (device, stream, _threads)
    if key not in contexts:
        allocate, free = allocator or (None, None)
        contexts[key] = _core.Context(device, _threads, stream, allocate, free)
    return contexts[key]


def _after_fork() -> None:
    """A child process has none of its parent's threads, and OpenMP would wait for them forever: one thread there."""
    global _local, _threads
    _local = threading.local()
    _threads = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
