import json
import shutil

import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.reader import Checkpoint
from fujimi_parallel.checkpoint.tensor_file import CHUNK_NBYTES
from safetensors import safe_open

PLANS = [(1, 1, 0), (1, 5, 0), (2, 1, 0), (2, 3, 1), (3, 4, 1)]


@pytest.mark.parametrize("saved_by", PLANS)
def test_what_one_plan_saved_every_other_reads(save, grid, elements_of, saved_by):
    """Tensors of more than a chunk, which the borders of the parts do not meet."""
    whole = torch.randn(300, 2001)
    tensor, data, dim = saved_by
    checkpoint = Checkpoint(save([[part] for part in grid("w", whole, tensor=tensor, data=data, dim=dim)]))
    for tensor, data, dim in PLANS:
        for part, expected in grid("w", whole, tensor=tensor, data=data, dim=dim):
            assert torch.equal(checkpoint.read(part), expected)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.float8_e4m3fn,
    ],
)
def test_every_type_comes_back_bit_for_bit(save, grid, dtype):
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (8, 6 * dtype.itemsize), dtype=torch.uint8)
    whole = bits.view(dtype)
    checkpoint = Checkpoint(save([[part] for part in grid("w", whole, tensor=3, data=2, dim=1)]))
    assert checkpoint.dtype("w") == dtype
    again = checkpoint.read(Part.of("w", whole.shape)).reshape(whole.shape)
    assert torch.equal(again.view(torch.uint8), bits)


def test_names_shapes_and_what_else_was_saved(save, whole):
    names = [
        "model/blocks.3.fc1.weight",
        "optimizer/blocks.3.fc1.weight/exp_avg",
        'näme "with" [brackets] ',
        "__metadata__",
    ]
    held = [[(Part.of(name, whole.shape), whole)] for name in names]
    info = {"steps_done": 7, "position": {"epoch": 1, "seen": [1, 2]}, "loss": 0.1, "job": None}
    checkpoint = Checkpoint(save(held, step=7, info=info))
    assert checkpoint.names() == sorted(names)
    assert [checkpoint.shape(name) for name in names] == [(4, 6)] * 4
    assert checkpoint.info == info
    assert (checkpoint.step, checkpoint.ranks) == (7, 4)
    assert checkpoint.path.name == "step-00000007"


def test_scalars_tensors_without_elements_and_parts_without_elements(save):
    empty = torch.empty(0, 5)
    share = Part.of("bias", (2,))
    held = [
        [(Part.of("count", ()), torch.tensor(3)), (Part.of("none", empty.shape), empty)],
        [(share.share(0, 3), torch.empty(0)), (share.share(1, 3), torch.tensor([1.0]))],
        [(share.share(2, 3), torch.tensor([2.0]))],
    ]
    checkpoint = Checkpoint(save(held))
    assert checkpoint.read(Part.of("count", ())).tolist() == [3]
    assert checkpoint.read(Part.of("none", (0, 5))).shape == (0,)
    assert checkpoint.read(share).tolist() == [1.0, 2.0]
    assert checkpoint.read(share.share(0, 3)).tolist() == []


def test_one_rank_may_hold_several_parts_of_a_tensor(save, whole, elements_of):
    """As of a fused projection, of which tensor parallelism takes rows here and there."""
    parts = [Part.of("qkv", (4, 6), block=((row, row + 1), (0, 6))) for row in (0, 2, 1, 3)]
    held = [[(part, elements_of(part, whole)) for part in half] for half in (parts[:2], parts[2:])]
    assert torch.equal(Checkpoint(save(held)).read(Part.of("qkv", (4, 6))), whole.reshape(-1))


def test_replicas_may_all_save(save, whole):
    same = [(Part.of("w", (4, 6)), whole)]
    assert torch.equal(Checkpoint(save([same, same, []])).read(Part.of("w", (4, 6))), whole.reshape(-1))


def test_tensor_is_saved_as_its_elements_lie_not_as_its_memory(save, whole):
    strided = whole.t()
    checkpoint = Checkpoint(save([[(Part.of("w", (6, 4)), strided)]]))
    assert torch.equal(checkpoint.read(Part.of("w", (6, 4))), strided.reshape(-1))


def test_reading_a_part_opens_only_the_files_that_have_it(save, grid):
    whole = torch.arange(60.0).reshape(10, 6)
    path = save([[part] for part in grid("w", whole, tensor=5, data=1)])
    for rank in (0, 2, 3, 4):
        (path / f"rank-{rank:06d}.safetensors").unlink()
    checkpoint = Checkpoint(path)
    assert checkpoint.read(Part.of("w", (10, 6), block=((2, 4), (1, 3)))).tolist() == [13.0, 14.0, 19.0, 20.0]
    with pytest.raises(
        RunError, match=r"cannot read w\[0:2, 0:6\]\[0:12\] from .*rank-000000.safetensors: No such file"
    ):
        checkpoint.read(Part.of("w", (10, 6)))


def test_rank_files_are_safetensors_that_say_which_part_is_which(save, grid, whole):
    path = save([grid("model/w", whole, tensor=2, data=2, dim=1), [(Part.of("flag", ()), torch.tensor(True))]])
    with safe_open(path / "rank-000000.safetensors", "pt") as file:
        assert sorted(file.keys()) == [
            f"model/w[0:4, {columns}][{flat}]" for columns in ("0:3", "3:6") for flat in ("0:6", "6:12")
        ]
        assert file.get_tensor("model/w[0:4, 3:6][6:12]").tolist() == [15.0, 16.0, 17.0, 21.0, 22.0, 23.0]
    with safe_open(path / "index.safetensors", "pt") as file:
        assert file.get_slice("parts/model/w").get_shape() == [4, 8]


def test_types_of_unequal_width_are_aligned_in_a_file(save):
    held = [
        (Part.of(f"{dtype}", (3,)), torch.ones(3, dtype=dtype)) for dtype in (torch.bool, torch.bfloat16, torch.float64)
    ]
    path = save([held])
    with safe_open(path / "rank-000000.safetensors", "pt") as file:
        assert all(file.get_tensor(key).sum() == 3 for key in [part.label for part, _ in held])


def test_flipped_bit_anywhere_in_a_file_is_found_before_its_bytes_are_used(save, whole):
    path = save([[(Part.of("w", (4, 6)), whole)]])
    file = path / "rank-000000.safetensors"
    content = file.read_bytes()
    for at in range(len(content) - 96, len(content)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(
            RunError, match=r"rank-000000.safetensors is damaged, or of another run: w\[0:4, 0:6\]\[0:24\]"
        ):
            Checkpoint(path).read(Part.of("w", (4, 6), block=((1, 2), (1, 2))))


@pytest.mark.parametrize("name", ["index.safetensors", "manifest.json"])
def test_flipped_bit_anywhere_in_index_or_manifest_is_found(save, whole, name):
    path = save([[(Part.of("w", (4, 6)), whole)]], info={"steps_done": 5})
    file = path / name
    content = file.read_bytes()
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        file.write_bytes(changed)
        if name == "manifest.json" and same_json(content, changed):
            continue
        with pytest.raises(RunError, match="step-00000001"):
            Checkpoint(path).read(Part.of("w", (4, 6)))


def same_json(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_damage_outside_of_the_chunks_that_are_read_does_not_matter(save):
    whole = torch.arange(3 * CHUNK_NBYTES // 4)
    path = save([[(Part.of("w", whole.shape), whole)]])
    file = path / "rank-000000.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    checkpoint = Checkpoint(path)
    assert checkpoint.read(Part.of("w", whole.shape, flat=(0, 9))).tolist() == list(range(9))
    with pytest.raises(RunError, match="is damaged"):
        checkpoint.read(Part.of("w", whole.shape, flat=(len(whole) - 9, len(whole))))


def test_file_that_is_cut_off_is_named(save, whole):
    path = save([[(Part.of("w", (4, 6)), whole)]])
    file = path / "rank-000000.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"rank-000000.safetensors is cut off: it ends within w\[0:4, 0:6\]\[0:24\]"):
        Checkpoint(path).read(Part.of("w", (4, 6)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rank-000000.safetensors", r"rank-000000.safetensors is damaged, or of another run: w\["),
        ("index.safetensors", "cannot read .*index.safetensors: it is of another run"),
    ],
)
def test_file_of_another_run_is_refused(save, whole, tmp_path, name, message):
    other = save([[(Part.of("w", (4, 6)), whole + 1), (Part.of("more", ()), torch.tensor(1))]], step=1)
    path = save([[(Part.of("w", (4, 6)), whole)]], step=2)
    shutil.copy(other / name, path / name)
    with pytest.raises(RunError, match=message):
        Checkpoint(path).read(Part.of("w", (4, 6)))


def test_tensor_that_was_not_saved_is_named_with_those_like_it(save, whole):
    checkpoint = Checkpoint(save([[(Part.of("model/weight", (4, 6)), whole)]]))
    with pytest.raises(RunError, match="step-00000001 has no tensor 'model/wieght'; it has model/weight"):
        checkpoint.shape("model/wieght")
    with pytest.raises(RunError, match=r"has no tensor 'bias'$"):
        checkpoint.read(Part.of("bias", ()))


def test_another_shape_than_was_saved_is_refused(save, whole):
    checkpoint = Checkpoint(save([[(Part.of("w", (4, 6)), whole)]]))
    with pytest.raises(RunError, match=r"has w in shape \(4, 6\), not \(6, 4\)"):
        checkpoint.read(Part.of("w", (6, 4)))


def test_elements_that_replicas_hid_from_the_commit_are_missed_when_read(save, whole):
    """12 elements of 24 are missing, but parts that overlap count for 24."""
    rows = [Part.of("w", (4, 6), block=(borders, (0, 6))) for borders in ((0, 2), (0, 1), (1, 2))]
    checkpoint = Checkpoint(save([[(part, whole[slice(*part.block[0])]) for part in rows]]))
    with pytest.raises(
        RunError, match=r"step-00000001 is not complete: element 12 of w\[0:4, 0:6\]\[0:24\] was saved by no"
    ):
        checkpoint.read(Part.of("w", (4, 6)))
