import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.checkpoint.exporting import export
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.reader import Checkpoint
from safetensors import safe_open
from safetensors.torch import load_file


@pytest.fixture
def state():
    return {
        "blocks.0.weight": torch.randn(6, 10),
        "flags": torch.tensor([True, False, True]),
        "half": torch.randn(7, 3, 5).bfloat16(),
        "scale": torch.tensor(0.5),
        "steps": torch.tensor([2**40]),
    }


@pytest.fixture
def checkpoint(save, grid, state):
    held = [[] for _ in range(4)]
    for name, whole in state.items():
        for rank, part in enumerate(grid(f"model/{name}", whole, tensor=2 if whole.dim() > 1 else 1, data=2)):
            held[rank].append(part)
    held[1].append((Part.of("optimizer/flags", (3,)), torch.zeros(3)))
    return Checkpoint(save(held))


def test_export_is_read_by_safetensors_itself(checkpoint, state, tmp_path):
    export(checkpoint, tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == state.keys()
    for name, expected in state.items():
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"


def test_another_prefix_exports_other_tensors(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "optimizer.safetensors", prefix="optimizer/")
    assert list(load_file(tmp_path / "optimizer.safetensors")) == ["flags"]


def test_prefix_of_no_tensor_is_refused(checkpoint, tmp_path):
    with pytest.raises(RunError, match="has no tensor whose name begins with 'ema/'"):
        export(checkpoint, tmp_path / "ema.safetensors", prefix="ema/")


def test_export_of_a_damaged_checkpoint_leaves_the_file_before(checkpoint, tmp_path):
    out = tmp_path / "model.safetensors"
    out.write_text("before")
    (checkpoint.path / "rank-000001.safetensors").unlink()
    with pytest.raises(RunError, match="rank-000001"):
        export(checkpoint, out)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "step-00000001"]


def test_export_to_a_directory_that_is_not_there_names_it(checkpoint, tmp_path):
    with pytest.raises(RunError, match=r"cannot write .*nowhere/model.safetensors: No such file or directory$"):
        export(checkpoint, tmp_path / "nowhere" / "model.safetensors")
