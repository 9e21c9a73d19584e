import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fujimi_data.errors import ShardError
from fujimi_data.shards.dataset import ShardDataset

from ..conftest import flip


class Counting(http.server.SimpleHTTPRequestHandler):
    """Serves files and puts down which were asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *message: object) -> None:
        pass


@pytest.fixture
def served(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """URL of the dataset, and what was asked for."""
    asked: list[str] = []
    kind = type("Handler", (Counting,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_url_is_read_shard_by_shard_and_each_once(
    served: tuple[str, list[str]], directory: Path, tmp_path: Path
) -> None:
    url, asked = served
    expected = [sample.picture for sample in ShardDataset(directory)]
    dataset = ShardDataset(url, cache=tmp_path / "cache")
    assert np.array_equal(dataset[6].picture, expected[6])
    assert sorted(set(asked)) == ["/dataset.index", "/dataset.json", "/shard-00001.tar"]
    assert all(np.array_equal(sample.picture, picture) for sample, picture in zip(dataset, expected, strict=True))
    again = ShardDataset(url + "/", cache=tmp_path / "cache")
    assert len(list(again)) == 12
    gets = [path for path in asked if path.startswith("/shard")]
    assert sorted(set(gets)) == [f"/shard-0000{n}.tar" for n in range(3)]
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_threads_fetch_a_shard_once(directory: Path, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for path in directory.iterdir():
        files.pipe_file(f"/threads/{path.name}", path.read_bytes())
    dataset = ShardDataset("memory://threads", cache=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        labels = list(pool.map(lambda number: dataset[number % 12].label, range(48)))
    assert labels == [number % 4 for number in range(12)] * 4


def test_what_is_not_there_is_named(served: tuple[str, list[str]], directory: Path, tmp_path: Path) -> None:
    url, _ = served
    (directory / "shard-00001.tar").unlink()
    dataset = ShardDataset(url, cache=tmp_path / "cache")
    assert dataset[0].label == 0
    with pytest.raises(ShardError, match=f"{url}/shard-00001.tar: missing"):
        dataset[6]
    with pytest.raises(ShardError, match=f"{url}/nothing/dataset.json: missing"):
        ShardDataset(f"{url}/nothing", cache=tmp_path / "cache")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"http://127\.0\.0\.1:9/dataset\.json: cannot be fetched"):
        ShardDataset("http://127.0.0.1:9", cache=tmp_path)


def test_an_unknown_kind_of_url_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"cannot be fetched: .*gopher"):
        ShardDataset("gopher://here/data", cache=tmp_path)


def test_a_url_needs_a_cache() -> None:
    with pytest.raises(ShardError, match="give cache"):
        ShardDataset("https://example.org/data")


def test_damage_at_the_source_is_noticed(served: tuple[str, list[str]], directory: Path, tmp_path: Path) -> None:
    url, _ = served
    flip(directory / "shard-00001.tar", 600)
    with pytest.raises(ShardError, match=r"shard-00001\.tar: sample 00001_00001 at byte 0"):
        ShardDataset(url, cache=tmp_path / "cache")[5]


@pytest.fixture
def remote(directory: Path, request: pytest.FixtureRequest) -> tuple[str, Callable[[str, bytes], None]]:
    """URL of the dataset in memory, and a function that writes a file there."""
    memory = fsspec.filesystem("memory")
    name = request.node.name
    for path in directory.iterdir():
        memory.pipe_file(f"/{name}/{path.name}", path.read_bytes())
    return f"memory://{name}", lambda file, content: memory.pipe_file(f"/{name}/{file}", content)


Remote = tuple[str, Callable[[str, bytes], None]]


def test_a_dataset_that_was_not_finished_is_asked_for_again(remote: Remote, directory: Path, tmp_path: Path) -> None:
    url, write = remote
    whole = (directory / "dataset.json").read_bytes()
    write("dataset.json", json.dumps({**json.loads(whole), "shards": []}).encode())
    with pytest.raises(ShardError, match="not finished"):
        ShardDataset(url, cache=tmp_path / "cache")
    write("dataset.json", whole)
    assert ShardDataset(url, cache=tmp_path / "cache")[3].label == 3


def test_a_shard_that_is_cut_elsewhere_is_not_kept(remote: Remote, directory: Path, tmp_path: Path) -> None:
    url, write = remote
    whole = (directory / "shard-00001.tar").read_bytes()
    write("shard-00001.tar", whole[:1024])
    dataset = ShardDataset(url, cache=tmp_path / "cache")
    with pytest.raises(ShardError, match=rf"{url}/shard-00001\.tar: has 1024 bytes, the dataset says {len(whole)}"):
        dataset[6]
    write("shard-00001.tar", whole)
    assert dataset[6].label == 2


def test_samples_of_a_shard_that_cannot_be_fetched_are_skipped(remote: Remote, tmp_path: Path) -> None:
    url, _ = remote
    fsspec.filesystem("memory").rm(f"{url.removeprefix('memory:/')}/shard-00001.tar")
    dataset = ShardDataset(url, cache=tmp_path / "cache", on_error="skip")
    assert [sample.label for sample in dataset] == [0, 1, 2, 3, 0, 2, 3]
    assert {damage.shard for damage in dataset.skipped} == {f"{url}/shard-00001.tar"}
