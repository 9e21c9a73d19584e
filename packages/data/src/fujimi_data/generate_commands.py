"""Commands that draw pictures: fujimi data generate and show."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fujimi_core.errors import FujimiError
from fujimi_core.offers import Command, Generator, Option
from fujimi_core.plugins import Plugins
from fujimi_core.tables import table

from fujimi_data import estimate
from fujimi_data.generation import Generation, generate, recipe_of
from fujimi_data.part import parse, part_of
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.manifest import FILE, Recipe


def _configure_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", metavar="FAMILY", help="of pictures; 'fujimi data families' lists them")
    parser.add_argument("--classes", metavar="C", type=int, required=True, help="number of classes")
    parser.add_argument("--instances", metavar="I", type=int, required=True, help="pictures a class")
    parser.add_argument("--pixels", metavar="P", type=int, required=True, help="side of a picture")
    parser.add_argument("--out", metavar="DIR", type=Path, help="directory for the shards")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the random numbers (default: 0)")
    _add_option(parser)
    parser.add_argument(
        "--codec",
        choices=[each.value for each in Codec],
        default=Codec.PNG.value,
        help="of the pictures (default: png, the smallest; png-fast and npy.lz4 read faster)",
    )
    parser.add_argument(
        "--samples-per-shard", metavar="N", type=int, help="samples in a shard (default: what gives up to 250 MB)"
    )
    parser.add_argument(
        "--part", metavar="K/N", help="make part K of N (default: as mpiexec, srun or a Slurm array says, else all)"
    )
    parser.add_argument("--estimate", action="store_true", help="tell what it would take, and make nothing")


def _add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--option", metavar="KEY=VALUE", action="append", default=[], help="of the family; may be given several times"
    )


def _generate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    generator = plugins.generator(arguments.family)
    try:
        recipe = recipe_of(
            generator,
            classes=arguments.classes,
            instances=arguments.instances,
            pixels=arguments.pixels,
            seed=arguments.seed,
            options=options_of(generator, arguments.option),
            codec=Codec(arguments.codec),
            samples_per_shard=arguments.samples_per_shard,
        )
        if arguments.estimate:
            print(_estimated(generator, recipe))
            return 0
        if arguments.out is None:
            raise ValueError("--out is missing: give a directory, or --estimate")
        return _make(generator, recipe, arguments)
    except ValueError as wrong:
        raise FujimiError(str(wrong)) from None


def _make(generator: Generator, recipe: Recipe, arguments: argparse.Namespace) -> int:
    part = parse(arguments.part) if arguments.part else part_of(os.environ)
    started = time.perf_counter()
    wanted = sum(len(recipe.numbers(position)) for position in part.shards(recipe.shards))
    with _progress(wanted) as progress:
        made = generate(generator, recipe, arguments.out, part=part, progress=progress)
    rate = made.drawn / (time.perf_counter() - started)
    share = "" if part.of == 1 else f"part {part.number}/{part.of}: "
    print(f"{arguments.out}: {share}{_made(made, recipe)}; {made.drawn:,} drawn now, {rate:,.0f} images/s")
    return 0


def _made(made: Generation, recipe: Recipe) -> str:
    if made.missing:
        return f"{recipe.shards - made.missing:,} of {recipe.shards:,} shards are there, the rest is other parts'"
    manifest = made.manifest
    return f"{recipe.samples:,} samples in {len(manifest.shards):,} shards, {manifest.nbytes:,} bytes"


def _estimated(generator: Generator, recipe: Recipe) -> str:
    found = estimate.estimate(generator, recipe)
    rows = [
        ["samples", f"{recipe.samples:,}"],
        ["samples in a shard", f"{recipe.samples_per_shard:,}"],
        ["bytes", f"{found.nbytes:,.0f}"],
        ["files (inodes)", f"{found.inodes:,}"],
        ["core-hours on this machine", f"{found.core_h:,.2f}"],
        ["images/s of a core", f"{recipe.samples / found.core_h / 3600:,.0f}"],
    ]
    return table(["what", "value"], rows)


def options_of(generator: Generator, given: Sequence[str]) -> dict[str, Option]:
    """Read options that were given as ``KEY=VALUE``, each of the type that its default has.

    Raises:
        ValueError: If one is not of the form, not the family's, or of another type.
    """
    options: dict[str, Option] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"option {text!r} is not of the form KEY=VALUE")
        options[name] = _value(value, generator.options.get(name))
    return generator.complete(options)


def _value(text: str, default: Option | None) -> Option:
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    for kind in (int, float):
        try:
            return kind(text) if isinstance(default, int | float) else text
        except ValueError:
            continue
    return text


def _configure_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="DIR|FAMILY", help="a dataset, or a family of pictures")
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("sheet.png"), help="(default: sheet.png)")
    parser.add_argument("--classes", metavar="C", type=int, default=8, help="rows of the sheet (default: 8)")
    parser.add_argument("--instances", metavar="I", type=int, default=8, help="pictures in a row (default: 8)")
    parser.add_argument("--pixels", metavar="P", type=int, default=128, help="side of a picture (default: 128)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of a family's random numbers (default: 0)")
    _add_option(parser)


def _show(arguments: argparse.Namespace, plugins: Plugins) -> int:
    # Pillow and numba are only needed now
    from fujimi_data import contact_sheet

    rows, columns, pixels = arguments.classes, arguments.instances, arguments.pixels
    try:
        if (Path(arguments.what) / FILE).exists():
            if arguments.option or arguments.seed:
                raise ValueError(f"{arguments.what} is a dataset, drawn already: --option and --seed are for families")
            picture = contact_sheet.of_dataset(Path(arguments.what), classes=rows, instances=columns, pixels=pixels)
        else:
            generator = plugins.generator(arguments.what)
            recipe = recipe_of(
                generator,
                classes=rows,
                instances=columns,
                pixels=pixels,
                seed=arguments.seed,
                options=options_of(generator, arguments.option),
                samples_per_shard=1,
            )
            picture = contact_sheet.of_family(generator, recipe)
    except ValueError as wrong:
        raise FujimiError(str(wrong)) from None
    contact_sheet.save(picture, arguments.out)
    print(f"{arguments.out}: a class in each of up to {rows} rows, up to {columns} pictures of it")
    return 0


def _configure_families(parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def _families(arguments: argparse.Namespace, plugins: Plugins) -> int:
    rows = [
        [name, generator.summary, ", ".join(f"{key}={_shown(value)}" for key, value in generator.options.items())]
        for name, generator in sorted(plugins.generators().items())
    ]
    print(table(["family", "what", "options and their defaults"], rows))
    return 0


def _shown(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
    Command(
        path=("data", "families"),
        summary="list the families of formula-driven pictures",
        configure=_configure_families,
        run=_families,
    ),
    Command(path=("data", "show"), summary="draw a sheet of pictures", configure=_configure_show, run=_show),
)
