"""Supervisor: starts the ranks of a run, and starts them again when they fail.

It runs outside of any launcher, on the node from which `mpiexec` would be called.
"""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fujimi_core.errors import JobError, RunError
from fujimi_core.launch import launch_of

from fujimi_train.signals import STOPPING

#: Exit codes after which there is nothing to mend by another try: done, and a request that is wrong.
_FINAL = (0, 2)
#: In the environment of every process of one try; children inherit it whatever session or group they make.
_MARK = "FUJIMI_TRY"
#: For processes of a failed try to end when asked to.
_GRACE_S = 10.0
_LOG_TAIL_NBYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a run came.

    Args:
        saved: Steps done at its newest checkpoint; 0 if there is none.
        step: Last step that it logged.
    """

    saved: int
    step: int


def require_no_launcher(environ: Mapping[str, str]) -> None:
    """Refuse to supervise from inside of a launcher, where each rank would start ranks.

    Raises:
        JobError: If a launcher started this process.
    """
    launch = launch_of(environ)
    if launch.launcher != "none":
        raise JobError(
            f"--ranks and --restarts: this process is already rank {launch.rank} of {launch.world_size} of a launcher; "
            "leave the launcher away, as 'fujimi train JOB --ranks N --restarts K' starts it, or leave these two away"
        )


def launcher(ranks: int, template: str | None = None) -> list[str]:
    """Words that start so many ranks of the command that follows them.

    Args:
        ranks: At least 1.
        template: As in ``srun -n {ranks}``; if not given, the ``mpiexec`` beside this Python, or else on the path.

    Raises:
        JobError: If there is no such program, or the template does not say where the number of ranks stands.
    """
    if ranks < 1:
        raise JobError(f"--ranks {ranks}: at least 1 is needed")
    if template is None:
        return [_mpiexec(), "-n", str(ranks)]
    words = shlex.split(template)
    if not any("{ranks}" in word for word in words):
        raise JobError(
            f"--launcher {template!r}: write {{ranks}} where their number belongs, as in 'srun -n {{ranks}}'"
        )
    if not shutil.which(words[0]):
        raise JobError(f"--launcher {template!r}: there is no program {words[0]!r}; give its path, or load its module")
    return [word.replace("{ranks}", str(ranks)) for word in words]


def _mpiexec() -> str:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if not found:
        raise JobError(
            f"there is no mpiexec, neither in {beside} nor on the path; 'pip install mpich' brings one, or name "
            "another launcher: --launcher 'srun -n {ranks}'"
        )
    return found


def this_program(arguments: Sequence[str]) -> list[str]:
    """Words that run this program with other arguments, in the same Python."""
    return [sys.executable, "-c", "from fujimi_core.cli import entry; entry()", *arguments]


def last_logged_step(log: Path) -> int:
    """Last step of a run's ``log.jsonl``; 0 if there is none."""
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_NBYTES))
        lines = file.read().splitlines()
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # cut off at either end
            return int(json.loads(line)["step"])
    return 0


def supervise(start: Sequence[str], command: Sequence[str], *, restarts: int, reached: Callable[[], Reached]) -> int:
    """Run ranks until they are done; start them again when they fail.

    Not after a signal asked to stop, not if the request is wrong, and not if they failed twice at the same step from
    the same checkpoint: what comes back at once is no accident.

    Args:
        start: Launcher, as of `launcher`.
        command: Of each rank.
        restarts: How often to start them again at most.
        reached: Tells how far the run came.

    Returns:
        Exit code of the last try; 128 and the signal's number if a signal ended the launcher.

    Raises:
        RunError: If processes of a failed try cannot be ended.
    """
    failed_at: Reached | None = None
    with _Tries([*start, *command], stop_by=_stop_signal(start[0])) as tries:
        for restart in range(restarts + 1):
            code = tries.run()
            if code in _FINAL or tries.stop_asked:
                return code
            at = reached()
            if at == failed_at:
                _say(f"{_told(code)} after step {at.step}, as the time before: the same fault; not started again")
                return code
            if restart < restarts:
                _say(f"restart {restart + 1} of {restarts} after {_told(code)}; {_goes_on(at.saved)}")
            failed_at = at
    if restarts:
        _say(f"{_told(code)}; no restart of {restarts} is left")
    return code


class _Tries:
    """Runs a command time and again while the context lasts; signals that ask to stop are passed on to it.

    Args:
        command: To run, in a session of its own: what a terminal sends comes here only.
        stop_by: Signal that its processes get instead of whichever came here.
    """

    def __init__(self, command: Sequence[str], *, stop_by: signal.Signals) -> None:
        self._command = command
        self._stop_by = stop_by
        self._mark = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._before: list[tuple[signal.Signals, Any]] = []
        self.stop_asked = False

    def __enter__(self) -> "_Tries":
        self._before = [(each, signal.signal(each, self._pass_on)) for each in STOPPING]
        return self

    def __exit__(self, *exception: object) -> None:
        for each, handler in self._before:
            signal.signal(each, handler)

    def run(self) -> int:
        """Run it once, to the end of all its processes."""
        self._mark = secrets.token_hex(8)
        environ = {**os.environ, _MARK: self._mark}
        if sys.stderr.isatty():
            environ["TTY_INTERACTIVE"] = "1"  # for a progress bar of rank 0, which writes into a pipe
        with subprocess.Popen(
            self._command, env=environ, stdin=subprocess.DEVNULL, start_new_session=True
        ) as self._process:
            try:
                if self.stop_asked:
                    self._process.send_signal(self._stop_by)
                code = self._process.wait()
            finally:
                _end_all(self._mark)
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        again, self.stop_asked = self.stop_asked, True
        if again and number == signal.SIGINT:
            _kill(_marked(self._mark), signal.SIGKILL)
        elif not again and self._process:
            self._process.send_signal(self._stop_by)


def _stop_signal(program: str) -> signal.Signals:
    """What a launcher passes on to its ranks, where `StopSignals` notes it.

    Open MPI ends the ranks at SIGINT and SIGTERM instead, torchrun is ended itself by SIGUSR1.

    Source:
        Open MPI, manual of mpirun, "Signal Propagation". MPICH's mpiexec passes on all three.
    """
    return signal.SIGTERM if Path(program).name == "torchrun" else signal.SIGUSR1


def _end_all(mark: str) -> None:
    """End what is left of a try; returns when nothing is."""
    start = time.monotonic()
    _kill(_marked(mark), signal.SIGTERM)
    while left := _marked(mark):
        if time.monotonic() > start + 2 * _GRACE_S:
            raise RunError(
                f"processes {', '.join(map(str, left))} of a failed try outlive SIGKILL, as when they wait for a file "
                f"system or a device; mend {socket.gethostname()} or leave it out, then start again"
            )
        if time.monotonic() > start + _GRACE_S:
            _kill(left, signal.SIGKILL)
        time.sleep(0.05)


def _kill(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _marked(mark: str) -> list[int]:
    """Processes of a try on this node (Linux); those of other nodes are the launcher's."""
    found, sign = [], f"{_MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if sign in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _told(code: int) -> str:
    """Word an exit code; launchers report a rank that a signal ended by the signal's number, or 128 more."""
    number = code - 128 if code > 128 else code
    names = {each.value: each.name for each in signal.Signals}
    return f"exit code {code} (as after {names[number]})" if number > 3 and number in names else f"exit code {code}"


def _goes_on(saved: int) -> str:
    return f"goes on after step {saved}" if saved else "begins anew, as no checkpoint was written"


def _say(message: str) -> None:
    sys.stderr.write(f"fujimi: {message}\n")
    sys.stderr.flush()
