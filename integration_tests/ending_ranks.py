"""One rank of runs that end in all sorts of ways: ``fujimi`` with a tiny GPT, and with faults if told so.

``argv[1:]`` are the words of a command, as of ``fujimi``; after ``--`` comes another command of the same process.
``FAULT`` in the environment may hold the arguments of `Fault`, in JSON.
"""

import itertools
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from fujimi_core.cli import main
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.launch import launch_of
from fujimi_core.offers import Model
from fujimi_core.plugins import Plugins
from fujimi_train import device, loop, supervisor
from fujimi_train.data import Loader
from fujimi_train.gpt import Gpt, GptShape
from fujimi_train.plugin import fujimi_models

SHAPE = GptShape(width=16, depth=4, heads=4, std=0.2)
#: The token whose embedding is no number.
POISON = 31
#: Events of Python's audit hooks for what changes or opens files.
FILE_OPERATIONS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}

#: Modules of which functions are replaced here.
_loop, _device, _supervisor = (cast(Any, module) for module in (loop, device, supervisor))


class TinyGpt(Gpt):
    """A GPT that one token makes ill.

    Args:
        job: Whose data it reads.
    """

    def __init__(self, job: Job) -> None:
        assert job.data.sequence
        assert job.data.vocabulary
        super().__init__(
            SHAPE, sequence=job.data.sequence, vocabulary=job.data.vocabulary, drop_path=job.model.drop_path
        )
        self.embed.register_forward_hook(_poisoned)


def _poisoned(_module: torch.nn.Module, inputs: tuple[torch.Tensor], embedded_BTD: torch.Tensor) -> torch.Tensor:
    ill_BT1 = (inputs[0] == POISON).unsqueeze(-1)
    return embedded_BTD.masked_fill(ill_BT1, float("nan"))


class TinyModels:
    """Offers the tiny GPT, which is shared among ranks as the big ones are."""

    @hookimpl
    def fujimi_models(self) -> Sequence[Model]:
        """Offer it."""
        big = next(model for model in fujimi_models() if model.name == "gpt2_small")
        return [replace(big, name="tiny_gpt", summary="for tests", build=TinyGpt)]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one rank; if neither signal nor bytes are given, it falls asleep.

    Args:
        rank: Which one.
        batch: When it reads this one.
        operation: Or when it does something to a checkpoint's files for so many times.
        delay_s: How much later.
        signal: Name of a signal that comes to it.
        most_bytes: Its files may have no more.
        sleep_s: For how long it sleeps.
        once: A file that is made when it happens, so that it does not happen again.
    """

    rank: int
    batch: int | None = None
    operation: int | None = None
    delay_s: float = 0.0
    signal: str | None = None
    most_bytes: int | None = None
    sleep_s: float = 600.0
    once: str | None = None

    def happen(self) -> None:
        """Let it come over this rank, if it is the one."""
        if launch_of(os.environ).rank != self.rank or (self.once and Path(self.once).exists()):
            return
        if self.once:
            Path(self.once).touch()
        if self.delay_s:
            threading.Timer(self.delay_s, self._strike).start()
        else:
            self._strike()

    def _strike(self) -> None:
        if self.signal:
            os.kill(os.getpid(), signal.Signals[self.signal])
        elif self.most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.most_bytes, self.most_bytes))
        else:
            time.sleep(self.sleep_s)

    def lie_in_wait(self) -> None:
        """Have it happen at its batch or file operation."""
        if self.batch is not None:
            _loop.next_batch = _before_batch(self.batch, self.happen)
        if self.operation is not None:
            sys.addaudithook(_FileOperations(self.operation, self.happen).hear)


def _before_batch(batch: int, happen: Any) -> Any:
    read = _loop.next_batch

    def next_batch(loader: Loader, job: Job) -> Any:
        if loader.step == batch:
            happen()
        return read(loader, job)

    return next_batch


class _FileOperations:
    """Counts what is done to checkpoints' files."""

    def __init__(self, number: int, happen: Any) -> None:
        self._number, self._happen = number, happen
        self._lock = threading.Lock()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook."""
        if event not in FILE_OPERATIONS or "step-" not in str(arguments[0]):
            return
        with self._lock:
            self._number -= 1
            is_due = self._number == 0
        if is_due:
            self._happen()


def write_down_batches() -> None:
    """Keep what each rank reads, in ``RANK.batches`` beside the run."""
    read = _loop.next_batch
    rank = launch_of(os.environ).rank

    def next_batch(loader: Loader, job: Job) -> Any:
        number = loader.step
        batch = read(loader, job)
        with Path(job.train.out, f"{rank}.batches").open("a") as file:
            file.write(json.dumps([number, batch[0].tolist()]) + "\n")
        return batch

    _loop.next_batch = next_batch


def _commands(words: Sequence[str]) -> Iterator[list[str]]:
    for is_border, group in itertools.groupby(words, lambda word: word == "--"):
        if not is_border:
            yield list(group)


def run() -> int:
    """Run the commands one after the other; the first that fails is the last."""
    _device._MEASURE_S = 0.01
    _loop.share_cores = lambda world: torch.set_num_threads(1)
    _supervisor.this_program = lambda words: [sys.executable, __file__, *words]
    write_down_batches()
    if fault := os.environ.get("FAULT"):
        Fault(**json.loads(fault)).lie_in_wait()
    codes = (_run(words) for words in _commands(sys.argv[1:]))
    return next((code for code in codes if code), 0)


def _run(words: list[str]) -> int:
    plugins = Plugins.installed(strict=True)
    plugins.register(TinyModels(), "tiny")
    return main(words, plugins)


if __name__ == "__main__":
    sys.exit(run())
