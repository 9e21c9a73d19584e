"""Commands that work on datasets: fujimi data info, verify, pack and unpack."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from fujimi_core.errors import FujimiError
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table

from fujimi_data.packing import SHARD_NBYTES, pack, unpack
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.manifest import FILE, load_complete
from fujimi_data.shards.verification import damages


def _configure_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help="what 'fujimi data generate' or 'pack' made")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _info(arguments: argparse.Namespace, plugins: Plugins) -> int:
    manifest = load_complete(arguments.directory / FILE)
    shown = {
        **to_table(manifest.origin),
        "samples": manifest.origin.samples,
        "shards": len(manifest.shards),
        "nbytes": manifest.nbytes,
    }
    if arguments.json:
        print(json.dumps(shown, indent=2))
    else:
        print(table(["what", "value"], [[key, _text(value)] for key, value in shown.items()]))
    return 0


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return f"{len(value):,}: {', '.join(map(str, value[:5]))}{', …' if len(value) > 5 else ''}" if value else ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _verify(arguments: argparse.Namespace, plugins: Plugins) -> int:
    found = []
    for damage in damages(arguments.directory):
        found.append(damage)
        if not arguments.json:
            print(damage, flush=True)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(damage) for damage in found], indent=2))
    elif not found:
        manifest = load_complete(arguments.directory / FILE)
        print(f"{arguments.directory}: whole, {manifest.origin.samples:,} samples in {len(manifest.shards):,} shards")
    if found:
        mend = "run the command that made it again: it keeps what is whole and makes the rest anew"
        print(f"{arguments.directory}: {len(found)} damage(s); {mend}", file=sys.stderr)
    return FujimiError.exit_code if found else 0


def _configure_pack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SRC", type=Path, help="directory with one of pictures for each class, or of tar archives"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="directory for the shards")
    parser.add_argument(
        "--shard-bytes",
        metavar="N",
        type=int,
        default=SHARD_NBYTES,
        help=f"above which a shard takes no further sample (default: {SHARD_NBYTES})",
    )
    parser.add_argument(
        "--codec", choices=[each.value for each in Codec], help="to write pictures in (default: as they are)"
    )


def _pack(arguments: argparse.Namespace, plugins: Plugins) -> int:
    try:
        codec = Codec(arguments.codec) if arguments.codec else None
        packed = pack(arguments.source, arguments.out, shard_nbytes=arguments.shard_bytes, codec=codec)
    except ValueError as wrong:
        raise FujimiError(str(wrong)) from None
    manifest = packed.manifest
    print(
        f"{arguments.out}: {manifest.origin.samples:,} samples in {len(manifest.shards):,} shards, "
        f"{manifest.nbytes:,} bytes; {packed.written:,} written now"
    )
    return 0


def _configure_unpack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", type=Path, help="what 'fujimi data generate' or 'pack' made")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="empty or new directory for the files")


def _unpack(arguments: argparse.Namespace, plugins: Plugins) -> int:
    print(f"{arguments.out}: {unpack(arguments.directory, arguments.out):,} samples")
    return 0


COMMANDS = (
    Command(path=("data", "info"), summary="tell what a dataset is", configure=_configure_directory, run=_info),
    Command(
        path=("data", "verify"),
        summary="read all of a dataset and list what is damaged",
        configure=_configure_directory,
        run=_verify,
    ),
    Command(
        path=("data", "pack"),
        summary="pack pictures in directories, or webdataset archives, into shards",
        configure=_configure_pack,
        run=_pack,
    ),
    Command(
        path=("data", "unpack"),
        summary="write the files of a dataset into a directory",
        configure=_configure_unpack,
        run=_unpack,
    ),
)
