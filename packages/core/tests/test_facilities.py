"""Storage, start-up, failures and power: descriptions that do not hold together."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fujimi_core.facilities import Launch, LocalStorage, Power, PowerState, Reliability, Startup, Storage

LOCAL = {"node_bytes": 1e9, "io_node_read_bytes_per_s": 1e9, "io_node_write_bytes_per_s": 1e9}
SHARED = {
    "nodes_per_io_node": 2,
    "io_node_read_bytes_per_s": 1e9,
    "io_node_write_bytes_per_s": 1e9,
    "read_bytes_per_s": 1e9,
    "write_bytes_per_s": 1e9,
    "open_rate_hz": 1e3,
    "create_rate_hz": 1e3,
}


@pytest.mark.parametrize("name", LOCAL)
def test_local_storage_without_room_or_speed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; it must be above 0"):
        LocalStorage(**{**LOCAL, name: 0})


@pytest.mark.parametrize("name", SHARED)
def test_storage_without_speed_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; it must be above 0"):
        Storage(**{**SHARED, name: 0})  # type: ignore[arg-type]


def launch(nodes: int, least_s: float = 1.0, most_s: float = 2.0) -> Launch:
    return Launch(nodes=nodes, least_s=least_s, most_s=most_s)


def state(name: str, arithmetic: float = 1.0, busy_w: float = 100.0) -> PowerState:
    return PowerState(name=name, arithmetic=arithmetic, busy_w=busy_w)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: launch(0), "nodes is 0; it must be above 0"),
        (lambda: launch(1, 3.0), "most_s is 2.0; at least 3.0 is needed"),
        (lambda: Startup(launches=()), "launches are of [] nodes; give at least one, by ascending number of nodes"),
        (lambda: Startup(launches=(launch(2), launch(2))), "launches are of [2, 2] nodes"),
        (lambda: Startup(launches=(launch(2),), program_s=-1), "program_s is -1; at least 0 is needed"),
        (lambda: Reliability(node_mtbf_s=0), "node_mtbf_s is 0; it must be above 0"),
        (lambda: Reliability(node_mtbf_s=1, weibull_shape=0), "weibull_shape is 0; it must be above 0"),
        (lambda: Reliability(node_mtbf_s=1, hang_share=1.5), "hang_share is 1.5; it must be from 0 to 1"),
        (lambda: state("eco", arithmetic=0), "arithmetic is 0; it must be above 0"),
        (lambda: Power(states=(state("a"),), idle_w=0), "idle_w is 0; it must be above 0"),
        (lambda: Power(states=(state("a"), state("a", 0.5)), idle_w=1), "each needs a name of its own"),
        (
            lambda: Power(states=(state("a", 0.5),), idle_w=1),
            "exactly one of the power states ['a'] has arithmetic = 1",
        ),
        (lambda: Power(states=(state("a"), state("b")), idle_w=1), "exactly one of the power states ['a', 'b']"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
