"""Trains a job of the tiny network as ``fujimi train`` does; something may happen to one rank on the way."""

import os
import signal
import sys
import time

from fujimi_core.cli import main
from fujimi_core.plugins import Plugins
from fujimi_train import loop, plugin

FAILURES = {"raise": loop.RunError("no pictures left"), "bug": ValueError("a bug")}
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGTERM}


def disturb(how, rank, step):
    """Let something happen to a rank when it reads the batch of a step."""
    read = loop.next_batch

    def next_batch(loader, job):
        if loader.step == step and os.environ["PMI_RANK"] == str(rank):
            if how in FAILURES:
                raise FAILURES[how]
            if how in SIGNALS:
                os.kill(os.getpid(), SIGNALS[how])
            if how == "hang":
                time.sleep(600)
        return read(loader, job)

    loop.next_batch = next_batch


def train():
    from conftest import tiny_model  # lies beside this program, which pytest imports from elsewhere

    class Tiny:
        @plugin.hookimpl
        def fujimi_models(self):
            return [tiny_model()]

    plugins = Plugins.installed(strict=True)
    plugins.register(Tiny(), "tiny")
    return main(["train", sys.argv[1]], plugins)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        disturb(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.exit(train())
