"""How long many nodes take to read and write files."""

import math

import numpy as np
from fujimi_core.facilities import LocalStorage, Startup, Storage


def io_nodes(storage: Storage, nodes: int) -> int:
    """I/O nodes that serve so many neighbouring nodes."""
    return math.ceil(nodes / storage.nodes_per_io_node)


def read_s(storage: Storage, nodes: int, *, nbytes: float, files: float) -> float:
    """Nodes read different parts of the shared file system.

    Args:
        storage: What it is.
        nodes: That read.
        nbytes: Of all of them together.
        files: That they open, all of them together.
    """
    through = min(storage.read_bytes_per_s, io_nodes(storage, nodes) * storage.io_node_read_bytes_per_s)
    return nbytes / through + files / storage.open_rate_hz


def read_same_s(storage: Storage, nodes: int, *, nbytes: float, files: float) -> float:
    """All nodes read the same; each I/O node fetches it once and hands it out.

    Args:
        storage: What it is.
        nodes: That read.
        nbytes: What each of them reads.
        files: That each of them opens.
    """
    fetched_s = io_nodes(storage, nodes) * nbytes / storage.read_bytes_per_s
    handed_out_s = min(nodes, storage.nodes_per_io_node) * nbytes / storage.io_node_read_bytes_per_s
    return max(fetched_s, handed_out_s) + nodes * files / storage.open_rate_hz


def write_s(storage: Storage, nodes: int, *, nbytes: float, files: float) -> float:
    """Nodes write different files.

    Args:
        storage: What it is.
        nodes: That write.
        nbytes: Of all of them together.
        files: That they create, all of them together.
    """
    through = min(storage.write_bytes_per_s, io_nodes(storage, nodes) * storage.io_node_write_bytes_per_s)
    return nbytes / through + files / storage.create_rate_hz


def stage_s(storage: Storage, local: LocalStorage, nodes: int, *, nbytes: float, files: float) -> float:
    """Each node copies the same files to its local storage.

    Args:
        storage: Where they are.
        local: Where they go.
        nodes: That copy.
        nbytes: What each copies.
        files: Of how many files.
    """
    sharing = min(nodes, storage.nodes_per_io_node)
    written_s = sharing * nbytes / local.io_node_write_bytes_per_s
    return max(read_same_s(storage, nodes, nbytes=nbytes, files=files), written_s)


def read_local_s(storage: Storage, local: LocalStorage, nodes: int, *, nbytes: float) -> float:
    """Nodes read different files of their own.

    Args:
        storage: Says how many nodes share an I/O node.
        local: What they read.
        nodes: That read.
        nbytes: Of all of them together.
    """
    return nbytes / (io_nodes(storage, nodes) * local.io_node_read_bytes_per_s)


def launch_s(startup: Startup, nodes: int) -> tuple[float, float]:
    """Least and most time to start processes: linear between what was measured and beyond, as before below it.

    >>> from fujimi_core.facilities import Launch
    >>> measured = [Launch(nodes=10, least_s=1, most_s=2), Launch(nodes=20, least_s=2, most_s=4)]
    >>> launch_s(Startup(launches=tuple(measured)), 40)
    (4.0, 8.0)

    Args:
        startup: What was measured.
        nodes: On how many.
    """
    known = startup.launches
    at = max(nodes, known[0].nodes)
    if len(known) > 1 and at > known[-1].nodes:
        before, last = known[-2:]
        share = (at - last.nodes) / (last.nodes - before.nodes)
        least_s = last.least_s + share * (last.least_s - before.least_s)
        return least_s, max(least_s, last.most_s + share * (last.most_s - before.most_s))
    sizes = [launch.nodes for launch in known]
    least, most = [launch.least_s for launch in known], [launch.most_s for launch in known]
    return float(np.interp(at, sizes, least)), float(np.interp(at, sizes, most))
