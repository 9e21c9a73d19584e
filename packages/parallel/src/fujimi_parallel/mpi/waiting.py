"""How a process waits until another changes a number in memory that both share."""

import ctypes
import os
import platform
import time
from collections.abc import Callable

#: How long to look, letting others run in between, before sleeping [s]. To be woken takes longer than most waits of
#: processes that have a core each; where they share cores, the one that is waited for may need this one's.
_LOOK_S, _LOOK_SHARED_S = 300e-6, 30e-6
#: After which a sleeper looks whether it should give up [s].
_NAP_S = 10e-3
#: Where the system has no futex that we know: how long to sleep between two looks [s].
_LOOK_EVERY_S = 50e-6
#: Number of the system call ``futex``. Source: Linux, arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h.
_FUTEX = {("Linux", "x86_64"): 202, ("Linux", "aarch64"): 98}.get((platform.system(), platform.machine()))
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_EVERYBODY = 2**31 - 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class SharedCounter:
    """A number in shared memory that one process counts up and others wait for.

    A process that waits sees it within a microsecond, if it has a core and need not wait for long; else it sleeps, and
    the system wakes it.

    Args:
        memory: 128 bytes of it, zero at first, at a multiple of 64.
        fence: Makes what was written before it visible to all, before what is read after it.
        own_core: Whether the processes that wait have a core each.
    """

    def __init__(self, memory: memoryview, fence: Callable[[], None], *, own_core: bool) -> None:
        self._address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
        self._value = memory[:8].cast("Q")
        self._sleepers = memory[64:72].cast("Q")  # a hint: those who sleep set it, who wakes them clears it
        self._fence = fence
        self._look_s = _LOOK_S if own_core else _LOOK_SHARED_S

    def set(self, value: int) -> None:
        """Write the number; only one process may."""
        self._fence()
        self._value[0] = value
        self._fence()
        if self._sleepers[0]:
            self._sleepers[0] = 0
            _futex(self._address, _FUTEX_WAKE, _EVERYBODY)

    def reached(self, value: int) -> bool:
        """Whether the number is at least so large."""
        return self._value[0] >= value

    def wait(self, value: int, *, timeout_s: float, given_up: Callable[[], bool]) -> bool:
        """Wait until the number is at least so large.

        Returns:
            False if it is not, after the timeout, or when the caller gives up.
        """
        sleep_at = time.monotonic() + self._look_s
        while time.monotonic() < sleep_at:
            os.sched_yield()
            if self._value[0] >= value:
                return True
        until = time.monotonic() + timeout_s
        while (now := self._value[0]) < value:
            if given_up() or time.monotonic() > until:
                return False
            self._sleepers[0] = 1
            self._fence()
            _futex(self._address, _FUTEX_WAIT, now % 2**32)  # returns at once if the number is another by now
        return True

    def release(self) -> None:
        """Let go of the memory."""
        self._value.release()
        self._sleepers.release()


def _futex(address: ctypes.c_void_p, operation: int, value: int) -> None:
    """Sleep while the number at an address is this one, or wake who does."""
    if _FUTEX is not None:
        nap = ctypes.byref(_Timespec(0, round(_NAP_S * 1e9)))
        _SYSCALL(
            ctypes.c_long(_FUTEX), address, ctypes.c_int(operation), ctypes.c_uint(value), nap, None, ctypes.c_int(0)
        )
    elif operation == _FUTEX_WAIT:
        time.sleep(_LOOK_EVERY_S)


_SYSCALL = ctypes.CDLL(None).syscall
