import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.data_spec import SampleOrder
from fujimi_data.errors import ShardError
from fujimi_data.order import batch_indices
from fujimi_data.tokens import TokenDataset, TokenLoader


@pytest.fixture
def write(tmp_path: Path):
    """Writes tokens as they are told, into a file of some name."""

    def write(tokens, kind="<u2", name="train.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(np.asarray(tokens).astype(kind).tobytes())
        return path

    return write


def windows(tokens, sequence):
    return [tokens[i : i + sequence + 1] for i in range(0, len(tokens) - sequence, sequence)]


@pytest.mark.parametrize("length", [9, 12, 13, 14])
def test_windows_follow_each_other_and_share_one_token(write, length: int) -> None:
    tokens = list(range(100, 100 + length))
    dataset = TokenDataset(write(tokens), sequence=4, vocabulary=200)
    assert [dataset[number].tolist() for number in range(len(dataset))] == windows(tokens, 4)


@pytest.mark.parametrize(
    ("name", "vocabulary", "kind"),
    [
        ("train.bin", 65_536, "<u2"),
        ("train.bin", 65_537, "<u4"),
        ("train", 96_869, "<u4"),
        ("train.u16", 96_869, "<u2"),
        ("train.u32", 300, "<u4"),
    ],
)
def test_name_or_vocabulary_tells_the_type(write, name: str, vocabulary: int, kind: str) -> None:
    tokens = [1, 258, 3, vocabulary - 1 if kind == "<u4" else 65_535, 5]
    dataset = TokenDataset(write(tokens, kind, name), sequence=4, vocabulary=vocabulary)
    assert dataset[0].tolist() == tokens
    assert dataset[0].dtype == np.int64


def test_batches_are_the_windows_of_the_order_and_labels_come_one_token_later(write) -> None:
    tokens = np.random.default_rng(0).integers(0, 50, 1000)
    dataset = TokenDataset(write(tokens), sequence=7, vocabulary=50)
    sharing = {"seed": 5, "global_batch": 10, "rank": 1, "world_size": 2}
    expected = windows(tokens.tolist(), 7)
    with TokenLoader(dataset, **sharing, step=40) as loader:
        for step in range(40, 60):
            assert loader.step == step
            inputs, labels = next(loader)
            indices = batch_indices(samples=len(expected), step=step, **sharing)
            assert inputs.tolist() == [expected[i][:-1] for i in indices]
            assert labels.tolist() == [expected[i][1:] for i in indices]
            assert {(array.shape, array.dtype, array.flags.c_contiguous) for array in (inputs, labels)} == {
                ((5, 7), np.dtype(np.int64), True)
            }


def test_a_loader_goes_on_with_any_step_in_any_order(write) -> None:
    tokens = list(range(1, 82))
    dataset = TokenDataset(write(tokens), sequence=4, vocabulary=100)
    with TokenLoader(dataset, seed=0, global_batch=5, order=SampleOrder.SEQUENTIAL) as loader:
        loader.seek(2)
        assert loader.step == 2
        assert next(loader).inputs[:, 0].tolist() == [41, 45, 49, 53, 57]
        with pytest.raises(ValueError, match="step -1"):
            loader.seek(-1)
        assert loader.step == 3


def test_an_epoch_predicts_every_token_but_the_first_once(write) -> None:
    dataset = TokenDataset(write(range(1, 42)), sequence=4, vocabulary=42)
    with TokenLoader(dataset, seed=0, global_batch=10) as loader:
        assert sorted(next(loader).labels.flatten().tolist()) == list(range(2, 42))


def test_a_closed_loader_ends(write) -> None:
    loader = TokenLoader(TokenDataset(write(range(9)), sequence=4, vocabulary=9), seed=0, global_batch=1)
    next(iter(loader))
    loader.close()
    assert list(loader) == []


def test_token_outside_of_the_vocabulary_is_named_with_file_and_position(write) -> None:
    path = write([0, 1, 2, 3, 4, 5, 70, 7, 80], "<u4", "train.u32")
    dataset = TokenDataset(path, sequence=4, vocabulary=50)
    assert dataset[0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ShardError) as caught:
        dataset[1]
    assert str(caught.value) == (
        f"{path}: at byte 24: token 6, read as uint32, is 70, but the last of a vocabulary of 50 is 49"
    )
    with TokenLoader(dataset, seed=0, global_batch=2) as loader, pytest.raises(ShardError, match="token 6"):
        next(loader)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 tokens of type uint16; a sequence of 4 needs 5"),
        (bytes(8), "4 tokens of type uint16; a sequence of 4 needs 5"),
        (bytes(11), "11 bytes are no whole number of tokens of type uint16; it was cut, or is of another type"),
    ],
)
def test_file_of_a_wrong_length_is_refused_by_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(content)
    with pytest.raises(ShardError) as caught:
        TokenDataset(path, sequence=4, vocabulary=50)
    assert str(caught.value) == f"{path}: {message}"


def test_missing_file_and_directory_are_refused_by_their_names(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "train.bin", "no such file of tokens"), (tmp_path, "no file of tokens")):
        with pytest.raises(ShardError) as caught:
            TokenDataset(path, sequence=4, vocabulary=50)
        assert str(caught.value) == f"{path}: {what}"


def test_file_below_a_file_cannot_be_read(write) -> None:
    with pytest.raises(ShardError, match=r"train\.bin/more: cannot be read: Not a directory"):
        TokenDataset(write(range(9)) / "more", sequence=4, vocabulary=50)


def test_file_that_is_cut_under_the_reader_is_named(write) -> None:
    path = write(range(40))
    dataset = TokenDataset(path, sequence=4, vocabulary=40)
    os.truncate(path, 25)
    assert dataset[1].tolist() == [4, 5, 6, 7, 8]
    with pytest.raises(ShardError) as caught:
        dataset[3]
    assert str(caught.value) == (f"{path}: at byte 24: the file ends within this window; it had 40 tokens when opened")


def test_dataset_is_pickled_without_its_file(write) -> None:
    dataset = TokenDataset(write(np.arange(50_000) % 60), sequence=4, vocabulary=60)
    content = pickle.dumps(dataset)
    assert len(content) < 1000
    assert pickle.loads(content)[9].tolist() == dataset[9].tolist()


@pytest.mark.parametrize("number", [-1, 2])
def test_window_that_is_not_there_is_refused(write, number: int) -> None:
    dataset = TokenDataset(write(range(9)), sequence=4, vocabulary=9)
    with pytest.raises(IndexError, match=f"window {number} of 2"):
        dataset[number]


@pytest.mark.parametrize("changes", [{"sequence": 0}, {"vocabulary": 0}])
def test_sizes_below_one_are_refused(write, changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="both are at least 1"):
        TokenDataset(write(range(9)), **{"sequence": 4, "vocabulary": 9, **changes})


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"world_size": 5}, "leaves nothing to some of 5 ranks"), ({"rank": 1}, "rank 1 of 1"), ({"step": -1}, "step -1")],
)
def test_numbers_out_of_range_are_refused_at_once(write, changes: dict[str, int], match: str) -> None:
    dataset = TokenDataset(write(range(9)), sequence=4, vocabulary=9)
    with pytest.raises(ValueError, match=match):
        TokenLoader(dataset, **{"seed": 0, "global_batch": 4, **changes})


def test_integers_of_numpy_and_another_working_directory_change_nothing(write, monkeypatch) -> None:
    path = write(np.arange(1024 * 110) % 65_521, name="train.u16")
    monkeypatch.chdir(path.parent)
    dataset = TokenDataset("train.u16", sequence=1024, vocabulary=65_536)
    monkeypatch.chdir("/")
    for number in (np.uint8(100), np.uint16(100), np.int16(100)):
        assert np.array_equal(dataset[number], dataset[100])
    assert np.array_equal(pickle.loads(pickle.dumps(dataset))[100], dataset[100])
