"""Work: a collective that is over, or that runs behind others, as torch sees it."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.futures import Future

NO_TIMEOUT = timedelta(0)
_NAP_S = 100e-6


class DoneWork(dist.Work):
    """A collective that was over when its call returned.

    Args:
        result: Of it, as futures of torch carry it.
    """

    def __init__(self, result: Any) -> None:
        super().__init__()
        self._result = result

    def wait(self, timeout: timedelta = NO_TIMEOUT) -> bool:
        """Do nothing."""
        return True

    def is_completed(self) -> bool:
        """Yes."""
        return True

    def is_success(self) -> bool:
        """Yes."""
        return True

    def result(self) -> Any:
        """What came out."""
        return self._result

    def get_future(self) -> Future[Any]:
        """A future that is done."""
        future: Future[Any] = Future()
        future.set_result(self._result)
        return future


class QueuedWork(dist.Work):
    """A collective that runs behind others.

    Args:
        run: The collective.
        name: Of it and its group, for messages.
        result: Of it.
        queue: Where it waits its turn.
    """

    def __init__(self, run: Callable[[], None], *, name: str, result: Any, queue: "WorkQueue") -> None:
        super().__init__()
        self._run: Callable[[], None] | None = run
        self._name = name
        self._result = result
        self._queue = queue
        self._failure: Exception | None = None
        self._future: Future[Any] | None = None
        self._announced = False
        self._future_asked = threading.Lock()

    def perform(self) -> None:
        """Run it; called once, by the queue."""
        assert self._run is not None
        try:
            self._run()
        except Exception as wrong:  # whoever waits is told
            self._failure = wrong
        self._run = None  # lets go of its tensors, too

    def announce(self) -> None:
        """Complete the future, if somebody has asked for one; this may call anything."""
        with self._future_asked:
            future = None if self._announced else self._future
            self._announced = future is not None or self._announced
        if future is not None:
            future.set_result(None)

    def wait(self, timeout: timedelta = NO_TIMEOUT) -> bool:
        """Wait until it is over.

        Raises:
            RuntimeError: If it failed, or is not over in time.
        """
        if timeout:
            self._wait_at_most(timeout.total_seconds())
        else:
            self._queue.perform_until(self)
        self._outcome()
        return True

    def is_completed(self) -> bool:
        """Whether it is over."""
        return self._run is None

    def is_success(self) -> bool:
        """Whether it is over and has not failed."""
        return self.is_completed() and self._failure is None

    def result(self) -> Any:
        """What came out."""
        return self._result

    def exception(self) -> Exception | None:
        """Why it failed."""
        return self._failure

    def get_future(self) -> Future[Any]:
        """A future that is done when this is; it fails for C++, too, where this has failed."""
        with self._future_asked:
            if self._future is None:
                self._future = Future()
        future = self._future.then(lambda _: self._outcome())
        if self.is_completed():
            self.announce()
        return future

    def _wait_at_most(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.is_completed():
            if time.monotonic() > until:
                raise RuntimeError(f"{self._name} is not over after {seconds:g} s")
            time.sleep(_NAP_S)

    def _outcome(self) -> Any:
        if self._failure is not None:
            raise RuntimeError(f"{self._name} failed: {self._failure}") from self._failure
        return self._result


class WorkQueue:
    """Works that run one after the other, in a thread, or in one that waits for them if that is earlier.

    Args:
        name: Of the thread, which starts with the first work.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._works: deque[QueuedWork] = deque()
        self._last: QueuedWork | None = None
        self._turn = threading.Lock()
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run_now(self, run: Callable[[], None]) -> bool:
        """Run something at once if all works are over; say whether they are."""
        if (self._last is not None and not self._last.is_completed()) or not self._turn.acquire(blocking=False):
            return False
        try:
            run()
        finally:
            self._turn.release()
        return True

    def put(self, work: QueuedWork) -> None:
        """Let a work run after all others."""
        self._works.append(work)
        self._last = work
        if self._thread is None:
            self._thread = threading.Thread(target=self._perform_all, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(True)

    def perform_until(self, work: QueuedWork) -> None:
        """Run works until one of them is over; those that the thread has begun are waited for."""
        while not work.is_completed():
            self._perform_next()

    def stop(self, *, patience_s: float | None = None) -> None:
        """End the thread when it is done with its works."""
        if self._thread is not None:
            self._calls.put(False)
            self._thread.join(patience_s)
            self._thread = None

    def _perform_all(self) -> None:
        while self._calls.get():
            self._perform_next()

    def _perform_next(self) -> None:
        with self._turn:
            work = self._works.popleft() if self._works else None
            if work is not None:
                work.perform()
        if work is not None:
            work.announce()
