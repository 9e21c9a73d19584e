import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.checkpoint.directory import newest, whole
from fujimi_parallel.checkpoint.parts import Part


@pytest.fixture
def save_step(save):
    return lambda step, keep=9: save([[(Part.of("w", ()), torch.tensor(step))]], step=step, keep=keep)


def test_directory_without_checkpoints_has_no_newest(tmp_path):
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


def test_newest_is_the_one_that_was_saved_last(save_step, tmp_path):
    paths = [save_step(step) for step in (9, 10, 123_456_789)]
    assert whole(tmp_path) == paths
    assert newest(tmp_path) == paths[-1]


def test_what_is_not_a_whole_checkpoint_is_passed_over(save_step, tmp_path):
    path = save_step(1)
    for name in ("step-00000002.partial", "step-00000001.old.partial", "logs", "step-2"):
        (tmp_path / name).mkdir()
    assert whole(tmp_path) == [path]


def test_only_so_many_are_kept(save_step, tmp_path):
    paths = [save_step(step, keep=2) for step in (1, 2, 3, 4)]
    assert sorted(tmp_path.iterdir()) == paths[2:]


def test_fewer_than_before_may_be_kept(save_step, tmp_path):
    for step in (1, 2, 3):
        save_step(step)
    path = save_step(4, keep=1)
    assert list(tmp_path.iterdir()) == [path]


def test_run_that_went_back_replaces_what_it_saved_from_there_on(save_step, tmp_path):
    paths = {step: save_step(step) for step in (100, 200, 300)}
    again = save_step(200)
    assert whole(tmp_path) == [paths[100], again]
    assert newest(tmp_path) == again
    assert save_step(200) == newest(tmp_path)


def test_checkpoint_without_a_manifest_is_named(save_step, tmp_path):
    (save_step(1) / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"cannot read the checkpoint .*step-00000001: .*remove it to go on without"):
        newest(tmp_path)


def test_manifest_of_another_version_is_refused(save_step, tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr("fujimi_parallel.checkpoint.directory._VERSION", 2)
        later.setattr("fujimi_parallel.checkpoint.directory.Manifest.__init__.__kwdefaults__", {"version": 2})
        save_step(1)
    with pytest.raises(RunError, match="has format 2, this program reads 1"):
        newest(tmp_path)
