"""A machine that was measured is one to simulate on."""

import pytest
from fujimi_core.machine_file import load
from fujimi_core.machine_text import machine_toml
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Kernel
from fujimi_train.calibration.description import Here, Measured, describe
from fujimi_train.calibration.fitting import Timed

HERE = Here(name="mine", processor="Abacus", ranks=2, threads=1, memory_bytes=2**34, backend="mpi", when="2026-01-02")


def timed(op, shapes, seconds, *, flops=0, nbytes=0):
    kernel = Kernel(op=f"aten.{op}", shapes=shapes, dtype="float32", flops=flops, nbytes=nbytes)
    return Timed(kernel=kernel, seconds=seconds)


def test_a_step_on_a_machine_of_slow_hosts_takes_what_its_operators_cost(small, simulate, tmp_path):
    """Arithmetic, memory and messages of this machine take as good as no time; each operator costs a millisecond."""
    attention, heads = "_scaled_dot_product_flash_attention_for_cpu", [(1, 2, 64, 64)] * 3
    products = [timed("mm", ((m, m), (m, m)), 2 * m**3 / 1e16, flops=2 * m**3) for m in (64, 1024)]
    measured = Measured(
        products={"float32": products},
        additions=[timed("add", (), nbytes / 1e16, nbytes=nbytes) for nbytes in (10**4, 10**6, 10**8)],
        elementwise=[timed("gelu", ((1000,),), 1e-12)],
        attention=[timed(attention, heads, 1e-12), timed(attention + "_backward", heads, 3e-12)],
        overhead_s=1e-3,
        step=[products[0].kernel],
        step_s=1e-3,
        all_reduces=[(nbytes, 1e-9 + nbytes / 1e16) for nbytes in (10**4, 10**6)],
        messages=[(nbytes, 1e-9 + nbytes / 1e16) for nbytes in (10**4, 10**6)],
    )
    file = tmp_path / "mine.toml"
    file.write_text(machine_toml(describe(measured, HERE, Plugins.installed(strict=True).kernel_seconds)))
    (point,) = simulate(small, file, "1")["points"]
    assert point["ranks"] == 2
    operators = sum(part["count"] for part in point["breakdown"] if part["name"].startswith("aten."))
    assert operators > 100
    assert point["step_s"] == pytest.approx(operators * 1e-3, rel=1e-3)


def test_every_machine_is_written_as_it_was_read(tmp_path):
    machines = Plugins.installed(strict=True).machines()
    assert "fugaku" in machines
    for name, machine in machines.items():
        file = tmp_path / f"{name}.toml"
        file.write_text(machine_toml(machine), encoding="utf-8")
        assert load(file) == machine
