"""Files of tokens, read in windows: text for language models.

A file holds nothing but tokens, little-endian, one after the other: what nanoGPT and others write. They have 16 bits if
the file's name ends in ``.u16``, 32 if in ``.u32``; with any other name, such as ``train.bin``, as many as the
vocabulary needs.
"""

import operator
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from fujimi_core.data_spec import SampleOrder
from numpy.typing import NDArray

from fujimi_data.errors import Damage, ShardError
from fujimi_data.order import batch_indices

_TYPES = {".u16": "<u2", ".u32": "<u4"}


def token_type(path: Path, vocabulary: int) -> np.dtype[Any]:
    """Type of the tokens of a file.

    >>> token_type(Path("train.bin"), 50_257).name, token_type(Path("train.bin"), 96_869).name
    ('uint16', 'uint32')

    Args:
        path: Its name may tell.
        vocabulary: How many different tokens there are.
    """
    return np.dtype(_TYPES.get(path.suffix, "<u2" if vocabulary <= 2**16 else "<u4"))


class TokenDataset:
    """Windows of a file of tokens, by number.

    Window i begins at token ``i * sequence`` and has one token more than ``sequence``, the first of the next window. So
    an epoch predicts each token of the file once, the first and those of an incomplete window at the end aside.

    Args:
        path: The file; windows are read when they are asked for. Processes may inherit the dataset by fork, or receive
            it pickled.
        sequence: Tokens that a network sees of a sample, at least 1.
        vocabulary: How many different tokens there are, at least 1.

    Raises:
        ValueError: If a number is out of range.
        ShardError: If the file is missing, too short, or of an odd length.
    """

    def __init__(self, path: Path | str, *, sequence: int, vocabulary: int) -> None:
        if sequence < 1 or vocabulary < 1:
            raise ValueError(f"sequence {sequence}, vocabulary {vocabulary}: both are at least 1")
        self.path = Path(path).absolute()
        self.sequence = sequence
        self.vocabulary = vocabulary
        self._type = token_type(self.path, vocabulary)
        _check_length(self.path, self._type, sequence)
        self._open()
        self._tokens = os.fstat(self._descriptor).st_size // self._type.itemsize

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return (self._tokens - 1) // self.sequence

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        """Read a window.

        Args:
            number: From 0.

        Returns:
            ``sequence + 1`` tokens.

        Raises:
            IndexError: If there is no such window.
            ShardError: If a token of it is not of the vocabulary, or the file was cut since it was opened.
        """
        number = operator.index(number)  # numpy's integers would overflow
        if not 0 <= number < len(self):
            raise IndexError(f"window {number} of {len(self)}")
        first = number * self.sequence
        window = self._read(first, self.sequence + 1)
        wrong = np.flatnonzero(window >= self.vocabulary)
        if len(wrong):
            what = (
                f"token {first + wrong[0]}, read as {self._type.name}, is {window[wrong[0]]}, "
                f"but the last of a vocabulary of {self.vocabulary} is {self.vocabulary - 1}"
            )
            raise self._damage(first + int(wrong[0]), what)
        return window

    def _read(self, first: int, count: int) -> NDArray[np.int64]:
        """Read some tokens; a mapped file that was cut would end the process instead."""
        content = bytearray()
        wanted, offset = count * self._type.itemsize, first * self._type.itemsize
        while len(content) < wanted:
            got = os.pread(self._descriptor, wanted - len(content), offset + len(content))
            if not got:
                raise self._damage(first, f"the file ends within this window; it had {self._tokens} tokens when opened")
            content += got
        return np.frombuffer(content, dtype=self._type).astype(np.int64)

    def _damage(self, position: int, what: str) -> ShardError:
        return ShardError(Damage(shard=str(self.path), offset=position * self._type.itemsize, what=what))


class TokenBatch(NamedTuple):
    """Samples of one rank in one step.

    Args:
        inputs: Tokens, shape (batch, sequence).
        labels: The token after each of them, shape (batch, sequence).
    """

    inputs: NDArray[np.int64]
    labels: NDArray[np.int64]


class TokenLoader:
    """Endless batches of tokens of one rank, beginning at any step; the counterpart of `BatchLoader`.

    A batch is read when it is asked for: there is nothing to decode ahead.

    Args:
        dataset: Where windows are read.
        seed: Of the order.
        global_batch: Samples of all ranks together in a step.
        rank: Of this reader.
        world_size: Readers that share a batch.
        step: First step to give.
        order: Of the samples.

    Raises:
        ValueError: If a number is out of range, or there are more ranks than samples in a batch.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        seed: int,
        global_batch: int,
        rank: int = 0,
        world_size: int = 1,
        step: int = 0,
        order: SampleOrder = SampleOrder.SHUFFLE,
    ) -> None:
        self.step = step
        self._dataset: TokenDataset | None = dataset
        self._seed, self._global_batch = seed, global_batch
        self._rank, self._world_size = rank, world_size
        self._order = order
        self._indices(dataset, step)

    def __enter__(self) -> "TokenLoader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[TokenBatch]:
        return self

    def __next__(self) -> TokenBatch:
        """Batch of ``step``, which then is one more.

        Raises:
            ShardError: As windows of the dataset do.
            StopIteration: If the loader is closed.
        """
        dataset = self._dataset
        if dataset is None:
            raise StopIteration
        windows = np.stack([dataset[int(number)] for number in self._indices(dataset, self.step)])
        self.step += 1
        return TokenBatch(inputs=windows[:, :-1].copy(), labels=windows[:, 1:].copy())

    def seek(self, step: int) -> None:
        """Go on with another step.

        Raises:
            ValueError: If it is below 0.
        """
        if step < 0:
            raise ValueError(f"step {step}; it must be at least 0")
        self.step = step

    def close(self) -> None:
        """Let go of the file."""
        self._dataset = None

    def _indices(self, dataset: TokenDataset, step: int) -> NDArray[np.int64]:
        return batch_indices(
            samples=len(dataset),
            seed=self._seed,
            step=step,
            order=self._order,
            global_batch=self._global_batch,
            rank=self._rank,
            world_size=self._world_size,
        )


def _check_length(path: Path, kind: np.dtype[Any], sequence: int) -> None:
    if what := _what_is_wrong(path, kind, sequence):
        raise ShardError(Damage(shard=str(path), what=what))


def _what_is_wrong(path: Path, kind: np.dtype[Any], sequence: int) -> str | None:
    try:
        nbytes = path.stat().st_size
    except FileNotFoundError:
        return "no such file of tokens"
    except OSError as wrong:
        return f"cannot be read: {wrong.strerror}"
    if not path.is_file():
        return "no file of tokens"
    if nbytes % kind.itemsize:
        return f"{nbytes} bytes are no whole number of tokens of type {kind.name}; it was cut, or is of another type"
    if nbytes < (sequence + 1) * kind.itemsize:
        return f"{nbytes // kind.itemsize} tokens of type {kind.name}; a sequence of {sequence} needs {sequence + 1}"
    return None
