"""What a run meets besides its steps: storage, start-up, failures, power."""

from dataclasses import dataclass

from fujimi_core.checks import above_zero, at_least, within


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStorage:
    """Storage that each node has for itself; nodes share the I/O nodes behind which it lies.

    Args:
        node_bytes: Of each node.
        io_node_read_bytes_per_s: Through one I/O node.
        io_node_write_bytes_per_s: Through one I/O node.
    """

    node_bytes: float
    io_node_read_bytes_per_s: float
    io_node_write_bytes_per_s: float

    def __post_init__(self) -> None:
        above_zero(self, "node_bytes", "io_node_read_bytes_per_s", "io_node_write_bytes_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The file system that all nodes see, and what is local to a node.

    Args:
        nodes_per_io_node: Nodes that reach their files through the same I/O node.
        io_node_read_bytes_per_s: Of the shared file system, through one I/O node that has the data.
        io_node_write_bytes_per_s: Of the shared file system, through one I/O node.
        read_bytes_per_s: What the file system gives at most, however many nodes ask.
        write_bytes_per_s: What it takes at most.
        open_rate_hz: Files a second that its metadata servers find, for all nodes together.
        create_rate_hz: Files a second that they make.
        local: Storage of a node's own; None if there is none.
    """

    nodes_per_io_node: int
    io_node_read_bytes_per_s: float
    io_node_write_bytes_per_s: float
    read_bytes_per_s: float
    write_bytes_per_s: float
    open_rate_hz: float
    create_rate_hz: float
    local: LocalStorage | None = None

    def __post_init__(self) -> None:
        above_zero(self, "nodes_per_io_node", "io_node_read_bytes_per_s", "io_node_write_bytes_per_s")
        above_zero(self, "read_bytes_per_s", "write_bytes_per_s", "open_rate_hz", "create_rate_hz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How long it took to start a process on each of so many nodes.

    Args:
        nodes: How many.
        least_s: At best.
        most_s: At worst.
    """

    nodes: int
    least_s: float
    most_s: float

    def __post_init__(self) -> None:
        above_zero(self, "nodes")
        at_least(self, 0, "least_s")
        at_least(self, self.least_s, "most_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """How long it takes until a program trains.

    Args:
        launches: By number of nodes, ascending.
        program_s: From its start until the program is ready to read and compute.
    """

    launches: tuple[Launch, ...]
    program_s: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 0, "program_s")
        nodes = [launch.nodes for launch in self.launches]
        if not nodes or nodes != sorted(set(nodes)):
            raise ValueError(f"launches are of {nodes} nodes; give at least one, by ascending number of nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How often nodes fail.

    Args:
        node_mtbf_s: Mean time of one node between failures that end the job it works for.
        weibull_shape: Of the time between failures of a job: 1 is the exponential law, in which a failure says nothing
            of the next; below 1 they come in swarms.
        hang_share: Of failures, those in which nothing ends and nobody is told, 0 to 1.
    """

    node_mtbf_s: float
    weibull_shape: float = 1.0
    hang_share: float = 0.0

    def __post_init__(self) -> None:
        above_zero(self, "node_mtbf_s", "weibull_shape")
        within(self, 0, 1, "hang_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerState:
    """A setting of a node's clock and pipelines.

    Args:
        name: As the machine's documents call it.
        arithmetic: Peak of arithmetic in this state over that of the device as it is described.
        busy_w: What a node takes while it trains.
    """

    name: str
    arithmetic: float
    busy_w: float

    def __post_init__(self) -> None:
        above_zero(self, "arithmetic", "busy_w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What nodes take.

    Args:
        states: In which a job can run; exactly one has all of the device's arithmetic.
        idle_w: What a node takes while it waits.
    """

    states: tuple[PowerState, ...]
    idle_w: float

    def __post_init__(self) -> None:
        above_zero(self, "idle_w")
        names = [state.name for state in self.states]
        if len(set(names)) < len(names):
            raise ValueError(f"power states are {names}: each needs a name of its own")
        if sum(state.arithmetic == 1 for state in self.states) != 1:
            raise ValueError(
                f"exactly one of the power states {names} has arithmetic = 1: that of the device described"
            )
