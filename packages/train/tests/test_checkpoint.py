import pytest
import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel.checkpoint import Checkpoint, whole
from fujimi_parallel.world import World
from fujimi_train import checkpoint
from fujimi_train.checkpoint import Saver
from fujimi_train.program import Program
from fujimi_train.stability import StabilityState

ALONE = World(rank=0, mesh=Mesh.of(dp=1))
NOTHING = StabilityState()
REMEMBERED = StabilityState(
    losses=(1.5, 0.1), skipped_in_a_row=2, rolled_back_to=4, rollbacks=1, passed_over=((4, 6), (9, 9))
)


@pytest.fixture
def make_program(make_job, tiny):
    return lambda **sections: Program(make_job(**sections), tiny, ALONE, device=torch.device("cpu"))


def step(program, number):
    pictures = torch.full((4, 16, 16), number, dtype=torch.uint8)
    return program.step(number, pictures, torch.arange(4) % 3).item()


def save(program, steps_done, stability=NOTHING):
    saver = Saver(program)
    saver.start(steps_done, stability)
    assert saver.pending == steps_done
    saver.wait()
    path = saver.commit()
    assert saver.pending is None
    return path


def test_run_that_stopped_goes_on_bit_for_bit(make_program):
    program = make_program(model={"drop_path": 0.2})
    for number in range(3):
        step(program, number)
    save(program, 3)
    expected = [step(program, number) for number in (3, 4)]
    again = make_program(model={"drop_path": 0.2})
    assert checkpoint.resume(again) == (3, NOTHING)
    assert [step(again, number) for number in (3, 4)] == expected


def test_program_goes_on_while_what_it_was_is_saved(make_program):
    program = make_program()
    step(program, 0)
    before = {piece.name: piece.values.detach().clone() for piece in program.pieces}
    saver = Saver(program)
    saver.start(1, StabilityState())
    step(program, 1)
    saver.wait()
    saved = checkpoint.load_model(saver.commit())
    assert saved.keys() == before.keys()
    assert all(torch.equal(saved[name], value) for name, value in before.items())
    assert not any(torch.equal(saved[piece.name], piece.values) for piece in program.pieces)


def test_what_is_remembered_of_bad_steps_is_kept(make_program):
    save(make_program(), 7, REMEMBERED)
    assert checkpoint.resume(make_program()) == (7, REMEMBERED)


def test_state_of_the_optimizer_that_a_checkpoint_lacks_is_forgotten(make_program):
    program = make_program()
    path = save(program, 1)  # its first step was left out
    expected = [step(make_program(), 1)]
    step(program, 0)
    checkpoint.restore(program, Checkpoint(path))
    assert not any(program.optimizer.state[piece.values] for piece in program.pieces)
    assert [step(program, 1)] == expected


def test_job_that_was_never_saved_begins_at_the_beginning(make_program):
    assert checkpoint.resume(make_program()) == (0, NOTHING)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_only_the_newest_checkpoints_are_kept(make_program, kept):
    program = make_program(train={"keep_checkpoints": kept})
    saved = [save(program, number) for number in range(1, 6)]
    assert whole(saved[0].parent) == saved[-kept:]
    assert sorted(saved[0].parent.iterdir()) == saved[-kept:]
    assert checkpoint.newest(saved[0].parent) == saved[-1]
    assert checkpoint.steps_saved(saved[0].parent) == 5


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(make_program):
    program = make_program()
    before = save(program, 1)
    (before.parent / "step-00000002.partial").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot write .*step-00000002"):
        save(program, 2)
    assert checkpoint.newest(before.parent) == before
    assert checkpoint.resume(make_program())[0] == 1


def test_damaged_checkpoint_is_named(make_program):
    path = save(make_program(), 1)
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 1', '"step": 2'))
    with pytest.raises(RunError, match=f"{manifest} is damaged"):
        checkpoint.resume(make_program())
    assert checkpoint.steps_saved(path.parent) == 0


def test_damaged_parameters_are_named(make_program):
    path = save(make_program(), 1)
    file = path / "rank-000000.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=str(file)):
        checkpoint.resume(make_program())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {"learning_rate": 0.5}}, "optimizer.learning_rate = 0.01, the job says 0.5"),
        ({"model": {"drop_path": 0.5}}, "model.drop_path = 0.0, the job says 0.5"),
        ({"train": {"steps": 9}}, "train.steps = 6, the job says 9"),
    ],
)
def test_checkpoint_of_another_job_is_refused(make_program, change, message):
    save(make_program(), 1)
    with pytest.raises(JobError, match=message):
        checkpoint.resume(make_program(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"path": "elsewhere"}},
        {"train": {"checkpoint_every": 5, "keep_checkpoints": 7, "hang_limit_s": 5.0}},
        {"train": {"batch_per_rank": None, "global_batch": 4}},
        {"parallel": {"zero": 2, "recompute": "full", "microbatch": 2}},
        {"stability": {"on_nan": "skip"}},
    ],
)
def test_what_makes_no_other_run_of_it_may_change(make_program, change):
    save(make_program(), 1)
    assert checkpoint.resume(make_program(**change))[0] == 1


def test_directory_without_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(RunError, match="train the job first"):
        checkpoint.newest(tmp_path)


def test_another_number_of_samples_a_step_is_refused(make_program):
    save(make_program(), 1)
    with pytest.raises(
        JobError, match=r"with 4 samples a step, this plan on 1 rank\(s\) has 8; set train.global_batch = 4"
    ):
        checkpoint.resume(make_program(train={"batch_per_rank": 8}))
