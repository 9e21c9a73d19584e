"""The command: what it refuses before it measures, and what it writes."""

import pytest
import torch
from fujimi_core.cli import main
from fujimi_core.machine_file import load
from fujimi_train import supervisor
from fujimi_train.calibration import commands, disk, messages, operators, timing


@pytest.fixture
def quick(monkeypatch):
    """Measures as little as there can be of everything."""
    monkeypatch.setattr(timing, "BUDGET_S", 0.0)
    monkeypatch.setattr(operators, "PRODUCTS", ((64, 64, 64),))  # of one size, whose times cannot contradict each other
    monkeypatch.setattr(operators, "_LARGEST", 2**18)
    monkeypatch.setattr(disk, "NBYTES", 2**16)
    monkeypatch.setattr(messages, "SIZES", (1024, 65536))


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("mine.json", "ends in .toml"),
        ("nowhere/mine.toml", "there is no directory"),
        (".toml/mine.toml", "there is no directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, capsys, monkeypatch, out, said):
    monkeypatch.setattr(commands, "_measure", lambda _: pytest.fail("measured"))
    assert main(["machine", "calibrate", "--out", str(tmp_path / out)]) == 2
    assert said in capsys.readouterr().err


def test_gpus_are_refused_with_the_way_out(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["machine", "calibrate"]) == 2
    assert "CUDA_VISIBLE_DEVICES=" in capsys.readouterr().err


def test_ranks_without_mpiexec_are_told_where_to_get_one(monkeypatch, capsys):
    monkeypatch.setattr(supervisor.shutil, "which", lambda *_, **__: None)
    assert main(["machine", "calibrate", "--ranks", "2"]) == 2
    assert "pip install mpich" in capsys.readouterr().err


def test_noise_is_told_and_great_noise_with_what_to_do(capsys):
    commands._tell_noise([0.01, 0.02, 0.5])
    assert "3 measurements; turns differ by 2.0%, at worst by 50%" in capsys.readouterr().err
    commands._tell_noise([0.01, 0.2, 0.5])
    assert "measure again" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_one_rank_writes_a_machine_file_that_can_be_read(tmp_path, capsys):
    out = tmp_path / "mine.toml"
    assert main(["machine", "calibrate", "--out", str(out)]) == 0
    machine = load(out)
    assert (machine.name, machine.ranks) == ("mine", 1)
    assert f"--machine {out} --nodes 1" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
