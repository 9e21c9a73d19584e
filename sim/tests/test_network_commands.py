"""fujimi network show and bench: their tables, their JSON, and what they refuse."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.cli import main, parser
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.plugins import Plugins

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ring(plugins: Plugins, machine: Machine) -> Machine:
    """The toy as a torus of 4 x 8 with one link of 1 GB/s in each direction; adding up takes 3 times 1 ns a byte."""
    axes = NetworkAxis(name="x", extent=4, wrap=True), NetworkAxis(name="y", extent=8, wrap=False)
    node = replace(machine.node, interface_bandwidth_bytes_per_s=1e11, injection_bandwidth_bytes_per_s=1e11)
    network = replace(machine.network, topology="torus", axes=axes, hop_latency_s=1e-7)
    sources = {"network.hop_latency_s": "unverified: a guess", "network.axes[0].extent": "Manual, p. 1"}
    made = replace(machine, name="ring", title="A ring", nodes=32, node=node, network=network, sources=sources)

    class Offers:
        @hookimpl
        def fujimi_machines(self) -> Sequence[Machine]:
            return [made]

    plugins.register(Offers(), "ring")
    return made


def network(plugins: Plugins, *words: object) -> int:
    return main(["network", *map(str, words)], plugins)


def printed(plugins: Plugins, capsys: Capture, *words: object) -> str:
    assert network(plugins, *words) == 0
    written = capsys.readouterr()
    assert written.err == ""
    return written.out


# show


def test_show_tells_what_a_job_gets_and_where_each_number_comes_from(plugins: Plugins, capsys: Capture) -> None:
    title, topology, job, box, header, *rows, unverified = printed(
        plugins, capsys, "show", "ring", "--nodes", 11
    ).splitlines()
    assert title == "ring: A ring"
    assert topology == "topology: torus, 32 nodes"
    assert job.startswith("job: 11 nodes as 11, ")
    assert box.endswith("; 1 node idle")
    assert header.split() == ["quantity", "value", "source"]
    cells = {row.split()[0]: row for row in rows}
    assert cells["network.link_bandwidth_bytes_per_s"].split()[1:] == ["1", "GB/s"]
    assert cells["network.hop_latency_s"].endswith("100 ns      unverified: a guess")
    assert cells["network.axes[0]"].split()[1:] == ["x", "4,", "wraps", "Manual,", "p.", "1"]
    assert unverified == f"1 of {len(rows)} values are unverified: no document was found for them"


def test_show_without_nodes_shows_the_whole_network(plugins: Plugins, capsys: Capture) -> None:
    shown = printed(plugins, capsys, "show", "ring")
    assert "job: 32 nodes as 4x8, 9 hops from the first to the farthest\n" in shown
    assert "box: x 4, wraps; y 8; none idle\n" in shown


def test_show_as_json_has_the_same_for_programs(plugins: Plugins, capsys: Capture) -> None:
    shown = json.loads(printed(plugins, capsys, "show", "ring", "--shape", "2x4", "--json"))
    assert list(shown) == ["machine", "title", "topology", "nodes", "job", "quantities"]
    assert (shown["machine"], shown["topology"], shown["nodes"]) == ("ring", "torus", 32)
    assert (shown["job"]["nodes"], shown["job"]["shape"], shown["job"]["idle_nodes"]) == (8, [2, 4], 0)
    hop = {each["key"]: each for each in shown["quantities"]}["network.hop_latency_s"]
    assert hop == {"key": "network.hop_latency_s", "value": 1e-7, "source": "unverified: a guess"}


# bench

KEYS = (
    "collective nodes ranks nbytes algorithm chosen seconds algorithm_bandwidth_bytes_per_s bus_bandwidth_bytes_per_s "
    "limit_bandwidth_bytes_per_s bottleneck bottleneck_share"
)


def words_of(row: str) -> str:
    return " ".join(row.split())


def benched(plugins: Plugins, capsys: Capture, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(printed(plugins, capsys, "bench", *words, "--json"))
    return found


def test_bench_runs_every_size_on_every_number_of_nodes(plugins: Plugins, capsys: Capture) -> None:
    words = ["ring", "--collective", "send", "--bytes", "1kB,…,4kB", "--nodes", "4,32"]
    found = benched(plugins, capsys, *words)
    assert [list(each) for each in found] == [KEYS.split()] * 6
    assert [(each["nodes"], each["nbytes"]) for each in found] == [(n, b) for n in (4, 32) for b in (1000, 2000, 4000)]
    assert [each["seconds"] for each in found] == [pytest.approx(1.1e-6 + b * 1e-9) for b in (1000, 2000, 4000)] * 2


def test_bench_prints_a_table(plugins: Plugins, capsys: Capture) -> None:
    words = ["ring", "--collective", "send", "--bytes", "900,98900", "--nodes", "4"]
    title, header, short, long = printed(plugins, capsys, "bench", *words).splitlines()
    assert title == "a message from rank 0 to rank 1, one way on ring: a prediction"
    assert words_of(header) == "nodes ranks bytes time bytes/time bus at most algorithm most of it share"
    assert words_of(short) == "4 4 900 2 µs 450 MB/s 450 MB/s 1 GB/s send latency 55%"
    assert words_of(long) == "4 4 98,900 100 µs 989 MB/s 989 MB/s 1 GB/s send link +x 99%"


def test_bench_of_all_algorithms_marks_the_one_that_a_job_takes(plugins: Plugins, capsys: Capture) -> None:
    words = ["ring", "--collective", "all_reduce", "--bytes", "1MB", "--shape", "4x8"]
    *_, last = printed(plugins, capsys, "bench", *words, "--algorithm", "all").splitlines()
    assert last == "* what a job takes if it does not name one"
    found = benched(plugins, capsys, *words, "--algorithm", "all")
    assert len(found) > 2
    assert [each["seconds"] for each in found] == sorted(each["seconds"] for each in found)
    (chosen,) = [each for each in found if each["chosen"]]
    assert benched(plugins, capsys, *words) == [chosen]


def test_bench_runs_the_algorithm_that_is_named(plugins: Plugins, capsys: Capture) -> None:
    words = ["--collective", "all_gather", "--bytes", "1MB", "--nodes", "4", "--algorithm", "ring"]
    (found,) = benched(plugins, capsys, "ring", *words)
    assert found["algorithm"] == "ring"
    assert found["chosen"] is None


def test_bench_of_a_barrier_has_no_bytes(plugins: Plugins, capsys: Capture) -> None:
    words = ["ring", "--collective", "barrier", "--nodes", "4,32"]
    header = printed(plugins, capsys, "bench", *words).splitlines()[1]
    assert words_of(header) == "nodes ranks time algorithm most of it share"
    assert [each["nbytes"] for each in benched(plugins, capsys, *words)] == [0, 0]


def test_bench_with_several_ranks_on_a_node(plugins: Plugins, capsys: Capture) -> None:
    words = ["ring", "--collective", "all_reduce", "--bytes", "1MB", "--nodes", "4", "--ranks-per-node", "3"]
    assert [each["ranks"] for each in benched(plugins, capsys, *words)] == [12]


def test_bench_draws_the_most_bytes_on_the_last_nodes(tmp_path: Path, plugins: Plugins, capsys: Capture) -> None:
    path = tmp_path / "heat.json"
    words = ["--collective", "all_reduce", "--bytes", "1MB,1kB", "--nodes", "32,4", "--algorithm", "all"]
    assert network(plugins, "bench", "ring", *words, "--json", "--plot", path) == 0
    written = capsys.readouterr()
    assert written.err == f"plot: {path}\n"
    drawn = json.loads(path.read_text())
    (ran,) = [
        each for each in json.loads(written.out) if (each["nodes"], each["nbytes"]) == (4, 10**6) and each["chosen"]
    ]
    same = "collective", "nodes", "nbytes", "algorithm", "seconds", "bottleneck"
    assert {key: drawn[key] for key in same} == {key: ran[key] for key in same}
    assert drawn["links"]


def test_options_are_these(plugins: Plugins) -> None:
    words = ["network", "bench", "ring", "--collective", "send", "--bytes", "32", "--nodes", "4"]
    arguments = vars(parser(plugins).parse_args(words))
    del arguments["command"]
    assert arguments == {
        "machine": "ring",
        "collective": "send",
        "bytes": [32],
        "nodes": [4],
        "shape": None,
        "algorithm": None,
        "ranks_per_node": None,
        "json": False,
        "plot": None,
    }


# what is refused: in one line on stderr, with exit code 2 and nothing on stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show rin", "Unknown machine: 'rin'. Known: noisy, quad, ring, toy. Did you mean 'ring'?"),
        ("show ring --nodes 33", "machine 'ring' has 32 nodes; 33 cannot be used: ask for 1 to 32"),
        ("show ring --nodes 1,2", "--nodes 1,2: one number is needed"),
        ("show ring --shape 5x5", "5x5"),
        (
            "bench ring --collective all --bytes 32 --nodes 4",
            "Unknown collective: 'all'. Known: all_gather, all_reduce",
        ),
        ("bench ring --collective all --nodes 4", "Unknown collective: 'all'"),
        ("bench ring --collective send --nodes 4", "--collective send needs --bytes"),
        ("bench ring --collective barrier --bytes 4 --nodes 4", "barrier has no bytes: leave --bytes out"),
        ("bench ring --collective send --bytes 4", "give --nodes, for example --nodes 64,4096, or --shape"),
        ("bench ring --collective send --bytes 0 --nodes 4", "--bytes 0: '0' is below 1 byte"),
        ("bench ring --collective send --bytes 4 --nodes 0", "--nodes 0: at least 1 node is needed"),
        ("bench ring --collective send --bytes 4 --nodes 4,64", "machine 'ring' has 32 nodes; 64 cannot be used"),
        ("bench ring --collective send --bytes 4 --nodes 1", "send needs at least 2 ranks, but 1 node of 'ring' has 1"),
        ("bench ring --collective send --bytes 4 --nodes 7 --shape 2x3", "a grid of 2x3 has 6 nodes, not 7"),
        ("bench ring --collective send --bytes 4 --shape 2by3", "--shape 2by3: write extents with an x between"),
        ("bench ring --collective send --bytes 4 --nodes 4 --ranks-per-node 0", "--ranks-per-node 0: write a whole"),
        ("bench ring --collective send --bytes 4 --nodes 4 --algorithm ring", "Unknown algorithm for send: 'ring'"),
        ("bench ring --collective reduce --bytes 4 --nodes 4 --algorithm x", "Unknown algorithm for reduce: 'x'"),
        ("bench ring --collective send --bytes 4 --nodes 4 --plot heat.html", "Unknown kind of file: '.html'"),
        ("bench ring --collective send --bytes 4 --nodes 4 --plot no/heat.png", "there is no directory no; make it"),
    ],
)
def test_wrong_arguments_are_named_with_the_way_out(
    plugins: Plugins, capsys: Capture, words: str, message: str
) -> None:
    assert network(plugins, *words.split()) == 2
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith("fujimi: error: ")
    assert message in line
