"""Trains a job of the tiny network as ``fujimi train`` does; one rank may be told to fail on the way."""

import os
import signal
import sys

from fujimi_core.cli import main
from fujimi_core.plugins import Plugins
from fujimi_train import loop, plugin

FAILURES = {"raise": "no pictures left", "bug": "a bug", "kill": ""}


def fail(how, rank, step):
    """Let a rank fail when it reads the batch of a step."""
    read = loop.next_batch

    def next_batch(loader, job):
        if loader.step == step and os.environ["PMI_RANK"] == str(rank):
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise (loop.RunError if how == "raise" else ValueError)(FAILURES[how])
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
        fail(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.exit(train())
