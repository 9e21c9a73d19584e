"""Commands of this package: fujimi data generate, info and verify."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fujimi_core.errors import FujimiError
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table

from fujimi_data.generation import generate
from fujimi_data.manifest import load_complete
from fujimi_data.verification import damages


def _configure_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", metavar="FAMILY", help="of pictures, for example visualatom")
    parser.add_argument("--classes", metavar="C", type=int, required=True, help="number of classes")
    parser.add_argument("--instances", metavar="I", type=int, required=True, help="pictures a class")
    parser.add_argument("--pixels", metavar="P", type=int, required=True, help="side of a picture")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="directory for the shards")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument(
        "--samples-per-shard", metavar="N", type=int, default=10_000, help="samples in a shard (default: 10000)"
    )


def _configure_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help="what 'fujimi data generate' made")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _generate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    generator = plugins.generator(arguments.family)
    started = time.perf_counter()
    try:
        with _progress(arguments.classes * arguments.instances) as progress:
            made = generate(
                generator,
                arguments.out,
                classes=arguments.classes,
                instances=arguments.instances,
                pixels=arguments.pixels,
                seed=arguments.seed,
                samples_per_shard=arguments.samples_per_shard,
                progress=progress,
            )
    except ValueError as wrong:
        raise FujimiError(str(wrong)) from None
    rate = made.drawn / (time.perf_counter() - started)
    manifest = made.manifest
    print(
        f"{arguments.out}: {manifest.recipe.samples:,} samples in {len(manifest.shards):,} shards, "
        f"{manifest.nbytes:,} bytes; {made.drawn:,} drawn now, {rate:,.0f} images/s"
    )
    return 0


def _info(arguments: argparse.Namespace, plugins: Plugins) -> int:
    manifest = load_complete(arguments.directory)
    shown = {
        **to_table(manifest.recipe),
        "samples": manifest.recipe.samples,
        "shards": len(manifest.shards),
        "nbytes": manifest.nbytes,
    }
    if arguments.json:
        print(json.dumps(shown, indent=2))
    else:
        print(table(["what", "value"], [[key, _text(value)] for key, value in shown.items()]))
    return 0


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _verify(arguments: argparse.Namespace, plugins: Plugins) -> int:
    found = []
    for damage in damages(arguments.directory):
        found.append(damage)
        if not arguments.json:
            print(damage, flush=True)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(damage) for damage in found], indent=2))
    elif not found:
        manifest = load_complete(arguments.directory)
        print(f"{arguments.directory}: whole, {manifest.recipe.samples:,} samples in {len(manifest.shards):,} shards")
    if found:
        mend = "run the same 'fujimi data generate' again: it keeps what is whole and draws the rest anew"
        print(f"{arguments.directory}: {len(found)} damage(s); {mend}", file=sys.stderr)
    return FujimiError.exit_code if found else 0


@contextmanager
def _progress(samples: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is, on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda newly: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("samples", total=max(0, samples))
        yield lambda newly: bar.advance(task, newly)


COMMANDS = (
    Command(
        path=("data", "generate"),
        summary="draw a dataset of formula-driven pictures",
        configure=_configure_generate,
        run=_generate,
    ),
    Command(path=("data", "info"), summary="tell what a dataset is", configure=_configure_directory, run=_info),
    Command(
        path=("data", "verify"),
        summary="read all of a dataset and list what is damaged",
        configure=_configure_directory,
        run=_verify,
    ),
)
