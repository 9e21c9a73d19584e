"""Errors that a user can mend, and how to word them."""

import difflib
from collections.abc import Iterable


class FujimiError(Exception):
    """A file, a plugin or a request is wrong; the message names it and the way out."""

    exit_code = 2


class JobError(FujimiError):
    """A job file, or what was asked of a job, does not hold together."""


class MachineError(FujimiError):
    """A machine's description, or what was asked of a machine, does not hold together."""


class PluginError(FujimiError):
    """A plugin could not be loaded or broke its contract."""


class WorkloadError(FujimiError):
    """A workload file is damaged or does not fit what was asked of it."""


class RunError(FujimiError):
    """A run that was set up correctly failed on the way."""

    exit_code = 1


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Word an error about a name that is not among the known ones.

    >>> unknown("topology", "tofud", ["torus", "tofu-d"])
    "Unknown topology: 'tofud'. Known: tofu-d, torus. Did you mean 'tofu-d'?"

    Args:
        what: What kind of thing was named.
        given: The name that was given.
        known: The names that would have been accepted.
    """
    names = sorted(known)
    listed = ", ".join(names) if names else "none"
    close = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown {what}: {given!r}. Known: {listed}.{hint}"
