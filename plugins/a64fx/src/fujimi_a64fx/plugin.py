"""What this package offers: the machine fugaku."""

from collections.abc import Sequence
from importlib.resources import files

from fujimi_core import machine_file
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine


@hookimpl
def fujimi_machines() -> Sequence[Machine]:
    """Offer Fugaku, as its file describes it."""
    return [machine_file.load(files("fujimi_a64fx") / "machines" / "fugaku.toml")]
