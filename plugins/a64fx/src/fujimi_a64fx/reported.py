"""What benchmarks on Fugaku call the algorithms, in the words of this project."""

import math
import re
from collections.abc import Mapping
from importlib.resources import files

from fujimi_core.measurements import Measurement, MeasurementFile, Row

_MEASUREMENTS = files("fujimi_a64fx") / "measurements"

_KINDS: Mapping[str, str] = {
    "allgather": "all_gather",
    "allreduce": "all_reduce",
    "alltoall": "all_to_all",
    "barrier": "barrier",
    "bcast": "broadcast",
    "gather": "gather",
    "reduce": "reduce",
    "reduce_scatter": "reduce_scatter",
    "scatter": "scatter",
}
#: The Bine library: family, variant, what carries the messages, segment in bytes, interfaces.
_BINE_NAME = re.compile(r"(BINE|RECDOUB|RING|BRUCK)-(.+)-(UTOFU|MPI)-(\d+)-(\d+)")
_BINE_VARIANTS: Mapping[str, str] = {
    "L": "whole",
    "B_CONT": "halving",
    "VEC_HALVING_CONT_PERMUTE": "halving",
    "VEC_DOUBLING_CONT_PERMUTE": "halving",
    "BINOMIAL_TREE": "tree",
    "BINOMIAL_TREE_TMPBUF": "tree_buffered",
    "BINOMIAL_TREE_CONT_PERMUTE": "tree",
    "BINOMIAL_TREE_CONT_PERMUTE-INC": "tree",
    "BINOMIAL_TREE_CONT_PERMUTE-DEC": "tree_far",
    "SCATTER_ALLGATHER": "two_trees",
    "REDUCE_SCATTER_GATHER": "two_trees",
    "LOG": "forwarding",
}
#: Fujitsu MPI, by collective and name; those that all collectives share stand under "".
_FUJITSU: Mapping[str, Mapping[str, str]] = {
    "": {
        "recursive_doubling": "recursive_doubling",
        "recursive_halving": "recursive_halving",
        "ring": "ring",
        "bruck": "bruck",
        "modified_bruck": "bruck",
        "binomial": "binomial",
        "neighbor": "neighbor_exchange",
        "pairwise": "pairwise",
        "linear": "linear",
        "basic_linear": "linear",
        "nonoverlapping": "reduce_then_broadcast",
        "rdbc": "reduce_then_broadcast",
        "segmented_ring": "ring",
        "non_overlapping": "reduce_then_scatter",
        "3dtorus": "torus_rings",
        "gtbc": "gather_broadcast",
        "doublespread": "spread",
        "blacc6d": "spread",
        "crp": "spread",
        "simple": "pulled",
        "use_bcast": "whole_broadcast",
        "pipeline": "chain",
        "split_binary_tree": "split_binary",
        "trix3": "trinary_x3",
        "trix6": "trinary_x6",
        "trinaryx3": "trinary_x3",
        "trinaryx6": "trinary_x6",
        "bintree3d": "axis_trees",
    },
    "all_gather": {"linear": "gather_broadcast"},
    "reduce": {"binary": "in_order_binary/65536", "in_order_binary": "in_order_binary/65536"},
}
#: Segments with which the benchmark ran algorithms that need one: up to so many bytes, so long.
_SEGMENTS: Mapping[str, tuple[tuple[float, int], ...]] = {
    "all_reduce": ((393_216, 4096), (6_291_456, 16_384), (math.inf, 65_536)),
    "reduce": ((49_152, 1024), (393_216, 4096), (6_291_456, 16_384), (math.inf, 65_536)),
    "broadcast": ((24_576, 1024), (49_152, 8192), (393_216, 4096), (50_331_648, 16_384), (math.inf, 65_536)),
}
_SEGMENTED = ("trinary_x3", "trinary_x6", "axis_trees")

_IMB: Mapping[str, str] = {
    "PingPong": "send",
    "Allreduce": "all_reduce",
    "Reduce": "reduce",
    "Allgather": "all_gather",
    "Gather": "gather",
    "Scatter": "scatter",
    "Alltoall": "all_to_all",
    "Bcast": "broadcast",
    "Barrier": "barrier",
}
#: Benchmarks that report the bytes of one rank's part; here the whole buffer counts.
_OF_PARTS = ("all_gather", "gather", "scatter", "all_to_all")


def measurement_files() -> list[MeasurementFile]:
    """Measurements of Fugaku that come with this package."""
    return [
        MeasurementFile(
            name="fugaku_collectives",
            machine="fugaku",
            source="HLC-Lab/pico results (De Sensi et al., Bine Trees, SC25): medians, 1 rank a node",
            path=_MEASUREMENTS / "fugaku_collectives.csv",
            columns=(
                "collective",
                "nodes_shape",
                "ranks_per_node",
                "buffer_bytes",
                "datatype",
                "algorithm",
                "median_s",
            ),
            read=_collective,
        ),
        MeasurementFile(
            name="fugaku_imb",
            machine="fugaku",
            source="RIKEN R-CCS, Performance of MPI (fugaku-doc), 2021-11 and 2022-04: Intel MPI Benchmarks",
            path=_MEASUREMENTS / "fugaku_imb.csv",
            columns=("benchmark", "nodes", "procs", "shape", "bytes", "seconds"),
            read=_imb,
        ),
    ]


def algorithm_name(collective: str, reported: str, nbytes: int) -> str | None:
    """Name of a reported algorithm here: empty if the library chose, None if there is none.

    >>> algorithm_name("all_reduce", "BINE-B_CONT-UTOFU-1048576-3", 2**23)
    'bine_halving_x3/1048576'
    >>> algorithm_name("broadcast", "default-trinaryx6", 2**23)
    'trinary_x6/16384'
    """
    if bine := _BINE_NAME.fullmatch(reported):
        return _bine(*bine.groups())
    plain = reported.removeprefix("default-").replace("-", "_")
    if plain in ("", "default"):
        return ""
    name = _FUJITSU.get(collective, {}).get(plain) or _FUJITSU[""].get(plain)
    if name in _SEGMENTED:
        bounds = _SEGMENTS.get(collective, _SEGMENTS["broadcast"])
        name += f"/{next(segment for bound, segment in bounds if nbytes <= bound)}"
    return name


def _bine(family: str, variant: str, layer: str, segment: str, lanes: str) -> str | None:
    if family == "BRUCK":
        return "bruck"
    if family == "RING":
        return "torus_rings_put"
    if variant not in _BINE_VARIANTS:
        return None
    over = "_mpi" if layer == "MPI" else ""
    # The exchange of whole buffers ignores its segments.
    pieces = f"/{segment}" if int(segment) and variant != "L" else ""
    return f"{'bine' if family == 'BINE' else 'doubling'}_{_BINE_VARIANTS[variant]}{over}_x{lanes}{pieces}"


def _collective(row: Row) -> Measurement:
    if row["collective"] not in _KINDS:
        raise ValueError(f"collective is {row['collective']!r}; known: {', '.join(_KINDS)}")
    kind, nbytes = _KINDS[row["collective"]], int(row["buffer_bytes"])
    shape = tuple(int(extent) for extent in row["nodes_shape"].split("x"))
    nodes = math.prod(shape)
    name = algorithm_name(kind, row["algorithm"], nbytes)
    return Measurement(
        collective=kind,
        nodes=nodes,
        shape=shape,
        ranks_per_node=int(row["ranks_per_node"]),
        nbytes=nbytes,
        dtype=row["datatype"],
        reported=row["algorithm"],
        algorithm=name or "",
        modelled=name is not None,
        seconds=float(row["median_s"]),
        fitted=nodes <= 8,
    )


def _imb(row: Row) -> Measurement | None:
    """Rows of collectives with equal parts and of the ping-pong; an empty buffer is no measurement of a collective."""
    kind = _IMB.get(row["benchmark"])
    nodes, processes, nbytes = int(row["nodes"]), int(row["procs"]), int(row["bytes"] or 0)
    if kind is None or (nbytes == 0 and kind not in ("send", "barrier")):
        return None
    shape = tuple(int(extent) for extent in re.findall(r"\d+(?!D)", row["shape"]))
    return Measurement(
        collective=kind,
        nodes=nodes,
        shape=shape if math.prod(shape) == nodes else (),
        ranks_per_node=processes // nodes,
        nbytes=nbytes * processes if kind in _OF_PARTS else nbytes,
        seconds=float(row["seconds"]),
        fitted=nodes <= 2,
    )
