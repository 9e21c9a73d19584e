"""Arguments that commands on a job have in common."""

import argparse


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Let keys of the job be replaced; `fujimi_core.job.load` takes them."""
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="replace a key of the job; may be repeated"
    )
