import pytest
import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.world import World
from fujimi_train import checkpoint
from fujimi_train.program import Program

ALONE = World(rank=0, mesh=Mesh.of(dp=1))


@pytest.fixture
def make_program(make_job, tiny):
    return lambda **sections: Program(make_job(**sections), tiny, ALONE, device=torch.device("cpu"))


def step(program, number):
    pictures = torch.full((4, 16, 16), number, dtype=torch.uint8)
    return program.step(number, pictures, torch.arange(4) % 3).item()


def test_run_that_stopped_goes_on_bit_for_bit(make_program):
    program = make_program(model={"drop_path": 0.2})
    for number in range(3):
        step(program, number)
    checkpoint.save(program, 3)
    expected = [step(program, number) for number in (3, 4)]
    again = make_program(model={"drop_path": 0.2})
    assert checkpoint.resume(again) == 3
    assert [step(again, number) for number in (3, 4)] == expected


def test_job_that_was_never_saved_begins_at_the_beginning(make_program):
    assert checkpoint.resume(make_program()) == 0


def test_only_the_newest_checkpoint_is_kept(make_program):
    program = make_program()
    checkpoint.save(program, 1)
    path = checkpoint.save(program, 2)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert checkpoint.newest(path.parent) == path


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(make_program, monkeypatch):
    program = make_program()
    before = checkpoint.save(program, 1)

    def full_disk(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(RunError, match=r"cannot write the checkpoint .*step-00000002.*No space left"):
        checkpoint.save(program, 2)
    assert [found.name for found in before.parent.iterdir()] == [before.name]


def test_damaged_checkpoint_is_named(make_program):
    program = make_program()
    path = checkpoint.save(program, 1)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=f"cannot read the checkpoint {path}"):
        checkpoint.resume(program)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": {"learning_rate": 0.5}}, "optimizer.learning_rate = 0.01, the job says 0.5"),
        ({"model": {"drop_path": 0.5}}, "model.drop_path = 0.0, the job says 0.5"),
    ],
)
def test_checkpoint_of_another_job_is_refused(make_program, change, message):
    checkpoint.save(make_program(), 1)
    with pytest.raises(JobError, match=message):
        checkpoint.resume(make_program(**change))


def test_where_data_and_checkpoints_lie_may_change(make_program):
    checkpoint.save(make_program(), 1)
    assert checkpoint.resume(make_program(train={"checkpoint_every": 5}, data={"path": "elsewhere"})) == 1


def test_directory_without_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(RunError, match="train the job first"):
        checkpoint.newest(tmp_path)


def test_another_number_of_samples_a_step_is_refused(make_program, make_job, tiny):
    checkpoint.save(make_program(), 1)
    with fake_world(Mesh.of(dp=2)) as world:
        program = Program(make_job(), tiny, world, device=torch.device("cpu"))
    with pytest.raises(JobError, match=r"with 4 samples a step, 2 rank\(s\) have 8; use as many ranks as before"):
        checkpoint.resume(program)
