"""What Acme offers, one function for each hook."""

from collections.abc import Sequence
from importlib.resources import files

from fujimi_core import Machine, hookimpl, machine_file
from fujimi_core.offers import Command, Generator

from fujimi_acme import moire, peak


@hookimpl
def fujimi_machines() -> Sequence[Machine]:
    """Offer the machine in Acme's machine room."""
    return [machine_file.load(files("fujimi_acme") / "machines" / "acme-cube.toml")]


@hookimpl
def fujimi_generators() -> Sequence[Generator]:
    """Offer moire patterns."""
    return [Generator(name="acme-moire", summary="gratings laid over each other", render=moire.render)]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer ``fujimi acme peak``."""
    return [
        Command(
            path=("acme", "peak"),
            summary="print what all devices of a machine reach together",
            configure=peak.configure,
            run=peak.run,
        )
    ]
