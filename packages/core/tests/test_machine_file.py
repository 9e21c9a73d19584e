"""Machine files: every number beside its source, and files that are no machines."""

from pathlib import Path

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.machine_file import load

FILE = """\
name = "toy"
title = "2 racks of abaci"
nodes = { value = 8, source = "toy manual, p. 1" }

[node]
devices = { value = 1, source = "toy manual, p. 2" }
interfaces = { value = 1, source = "toy manual, p. 2" }
interface_bandwidth_bytes_per_s = { value = "1 GB/s", source = "toy manual, p. 2" }
injection_bandwidth_bytes_per_s = { value = "1 GB/s", source = "unverified" }

[node.device]
name = "8-bead abacus"
memory_bytes = { value = "1 GiB", source = "toy manual, p. 3" }
memory_bandwidth_bytes_per_s = { value = 1e9, source = "toy manual, p. 3" }
memory_efficiency = { value = 0.5, source = "unverified: a guess" }
peak_flops_per_s = { value = { float32 = "1 TFLOP/s", float16 = 2e12 }, source = "toy manual, p. 4" }
gemm_efficiency = { value = 0.9, source = "toy manual, p. 5" }
gemm_half_extent = { value = 100, source = "toy manual, p. 5" }
kernel_overhead_s = { value = "1 us", source = "toy manual, p. 6" }

[network]
topology = "ring"
link_bandwidth_bytes_per_s = { value = "1 GB/s", source = "toy manual, p. 7" }
hop_latency_s = { value = "100 ns", source = "toy manual, p. 7" }
message_latency_s = { value = "1 us", source = "toy manual, p. 7" }
[network.axes]
source = "toy manual, p. 8"
value = [{ name = "x", extent = 8, wrap = true }]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def toy(tmp_path: Path) -> Machine:
    return load(write(tmp_path, FILE))


def test_values_are_read_with_their_units(toy: Machine) -> None:
    assert toy.nodes == 8
    assert toy.node.device.memory_bytes == 2**30
    assert toy.node.device.peak_flops_per_s == {"float32": 1e12, "float16": 2e12}
    assert toy.network.hop_latency_s == pytest.approx(1e-7)
    assert toy.network.axes == (NetworkAxis(name="x", extent=8, wrap=True),)


def test_sources_are_kept_by_the_dotted_key_of_their_value(toy: Machine) -> None:
    assert toy.sources["nodes"] == "toy manual, p. 1"
    assert toy.sources["node.device.memory_efficiency"] == "unverified: a guess"
    assert toy.sources["node.device.peak_flops_per_s.float16"] == "toy manual, p. 4"  # one source for a whole table
    assert toy.sources["network.axes[0].extent"] == "toy manual, p. 8"


def test_what_a_run_meets_besides_its_steps_is_optional_and_sourced_like_all_else(tmp_path: Path, toy: Machine) -> None:
    assert (toy.storage, toy.startup, toy.reliability, toy.power) == (None, None, None, None)
    more = '[reliability]\nnode_mtbf_s = { value = "1,000 h", source = "unverified: a guess" }\n'
    told = load(write(tmp_path, FILE + more))
    assert told.reliability is not None
    assert told.reliability.node_mtbf_s == 3.6e6
    assert told.sources["reliability.node_mtbf_s"] == "unverified: a guess"
    with pytest.raises(MachineError, match=r"reliability\.node_mtbf_s has no source"):
        load(write(tmp_path, FILE + '[reliability]\nnode_mtbf_s = "1,000 h"\n'))


def test_names_need_no_source_even_if_they_begin_with_a_digit(toy: Machine) -> None:
    assert toy.title == "2 racks of abaci"
    assert "title" not in toy.sources
    assert "node.device.name" not in toy.sources


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('{ value = 8, source = "toy manual, p. 1" }', "8", "nodes"),
        ('{ value = 8, source = "toy manual, p. 1" }', '{ value = 8, source = "" }', "nodes"),
        ('{ value = "1 us", source = "toy manual, p. 6" }', '"1 us"', "node.device.kernel_overhead_s"),
        ('{ value = "1 us", source = "toy manual, p. 6" }', '".5 us"', "node.device.kernel_overhead_s"),
        ('{ value = "100 ns", source = "toy manual, p. 7" }', '" 100 ns"', "network.hop_latency_s"),
        (
            '{ value = { float32 = "1 TFLOP/s", float16 = 2e12 }, source = "toy manual, p. 4" }',
            '{ float32 = "+1 TFLOP/s" }',
            "node.device.peak_flops_per_s.float32",
        ),
        ('source = "toy manual, p. 8"\nvalue', "value", "network.axes.value[0].extent"),
    ],
)
def test_number_without_a_source_does_not_get_in(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in FILE
    path = write(tmp_path, FILE.replace(old, new))
    with pytest.raises(MachineError) as refused:
        load(path)
    assert str(refused.value) == f'{path}: {key} has no source; write {{ value = …, source = "document, page" }}'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("topology", "topolgy", "Did you mean 'network.topology'?"),
        ('topology = "ring"', "", "network.topology is missing"),
        ("value = 8,", 'value = "8 nodes",', "nodes: Expected `int`, got `str`"),
        ("value = 8,", "value = 0,", "nodes is 0; it must be above 0"),
        ('value = "1 us", source = "toy manual, p. 6"', 'value = "1 u", source = "p. 6"', "kernel_overhead_s: '1 u'"),
        ("value = 0.5", "value = 5", "memory_efficiency is 5.0; it must be from 0 to 1"),
    ],
)
def test_file_that_describes_no_machine_is_refused_with_its_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write(tmp_path, FILE.replace(old, new))
    with pytest.raises(MachineError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00", b"x = " + b"[" * 5_000])
def test_file_that_is_no_toml_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "toy.toml"
    path.write_bytes(content)
    for wrong in (path, tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(MachineError) as refused:
            load(wrong)
        assert str(refused.value).startswith(f"cannot read the machine file {wrong}: ")


def test_file_over_a_base_says_only_what_is_different(tmp_path: Path) -> None:
    base = write(tmp_path, FILE)
    other = tmp_path / "other.toml"
    other.write_text(
        'name = "other"\n[node]\ndevices = { value = 1, source = "other manual" }\n'
        '[node.device]\npeak_flops_per_s = { value = { float32 = 3e12 }, source = "other manual" }\n'
    )
    machine, was = load(other, base=base), load(base)
    assert (machine.name, machine.title) == ("other", was.title)
    assert machine.node.device.peak_flops_per_s == {"float32": 3e12}, "what has a source is replaced whole"
    assert machine.node.device.memory_bytes == was.node.device.memory_bytes
    assert machine.sources["node.devices"] == "other manual"
    assert machine.sources["node.device.memory_bytes"] == "toy manual, p. 3"
