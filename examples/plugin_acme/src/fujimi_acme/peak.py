"""The command fujimi acme peak: all devices of a machine together."""

import argparse
import json
import sys

from fujimi_core import Machine, Plugins
from fujimi_core.tables import table
from fujimi_core.units import format_quantity


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("machine", metavar="MACHINE", help="one that 'fujimi machine list' prints")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace, plugins: Plugins) -> int:
    """Print the peaks.

    Raises:
        MachineError: If no plugin offers the machine; Fujimi prints the message and exits with 2.
    """
    peaks = total_peaks(plugins.machine(arguments.machine))
    if arguments.json:
        text = json.dumps(peaks)
    else:
        text = table(["type", "peak"], [[dtype, format_quantity(peak, "FLOP/s")] for dtype, peak in peaks.items()])
    sys.stdout.write(f"{text}\n")
    return 0


def total_peaks(machine: Machine) -> dict[str, float]:
    """Peak of all devices together, by element type [FLOP/s]."""
    return {dtype: machine.ranks * peak for dtype, peak in machine.node.device.peak_flops_per_s.items()}
