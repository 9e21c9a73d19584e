"""Signals that ask a run to stop: it finishes its step and writes a checkpoint first."""

import signal
from types import FrameType
from typing import Any

#: Of a person, of a scheduler, and the warning that a scheduler sends before its time is up.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignals:
    """Notes signals that ask to stop, while the context lasts; a second SIGINT interrupts at once.

    For the main thread, as all that handles signals. They may reach some ranks only, or some later: ranks must agree
    before they act on it.

    Attributes:
        asked_by: Name of the first signal that came; empty if none did.
    """

    def __init__(self) -> None:
        self.asked_by = ""
        self._before: dict[signal.Signals, Any] = {}

    @property
    def stop_asked(self) -> bool:
        """Whether a signal came."""
        return bool(self.asked_by)

    def __enter__(self) -> "StopSignals":
        for each in STOPPING:
            self._before[each] = signal.signal(each, self._note) or signal.SIG_DFL  # None: not set from Python
        return self

    def __exit__(self, *exception: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked_by = self.asked_by or signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
