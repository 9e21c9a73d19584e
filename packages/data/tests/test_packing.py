import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fujimi_core.errors import FujimiError, RunError
from fujimi_data.packing import pack, unpack
from fujimi_data.shards import png
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.verification import damages
from numpy.typing import NDArray
from PIL import Image

from .conftest import flip


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of pictures, one with a text beside each."""
    root = tmp_path / "folder"
    for number in range(20):
        label = ("ant", "bee", "cat")[number % 3]
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(root / label / f"{number}.png")
        if label == "bee":
            (root / label / f"{number}.txt").write_text(f"bee {number}")
    return root


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive in the manner of webdataset: 10 samples of a picture, a class and JSON."""
    path = tmp_path / "samples-000.tar"
    with tarfile.open(path, "w") as written:
        for number in range(10):
            files = {"png": png.encode(picture(number)), "cls": b"%d" % (number % 4), "json": b'{"n": %d}' % number}
            for extension, content in files.items():
                info = tarfile.TarInfo(f"{number:04d}.{extension}")
                info.size = len(content)
                written.addfile(info, io.BytesIO(content))
    return path


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_directories_are_packed_and_unpacked_byte_by_byte(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder, tmp_path / "out", shard_nbytes=3000)
    assert (packed.written, packed.manifest.origin.samples) == (20, 20)
    assert len(packed.manifest.shards) > 2
    assert not list(damages(tmp_path / "out"))
    assert unpack(tmp_path / "out", tmp_path / "again") == 20
    assert tree(tmp_path / "again") == tree(folder)


def test_packed_samples_have_the_classes_of_their_directories(folder: Path, tmp_path: Path) -> None:
    manifest = pack(folder, tmp_path / "out").manifest
    assert manifest.packing is not None
    assert manifest.packing.classes == ("ant", "bee", "cat")
    for sample in ShardDataset(tmp_path / "out"):
        label, _, number = sample.key.partition("/")
        assert sample.label == sample["cls"] == ("ant", "bee", "cat").index(label)
        assert np.array_equal(sample.picture, picture(int(number)))
        assert ("txt" in sample.files) == (label == "bee")
        assert label != "bee" or sample["txt"] == f"bee {number}"


def test_directories_are_shuffled_so_that_shards_have_all_classes(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "out")
    labels = [sample.label for sample in ShardDataset(tmp_path / "out")]
    assert labels != sorted(labels, key=str)


def test_archives_are_packed_in_their_order(archive: Path, tmp_path: Path) -> None:
    pack(archive, tmp_path / "out", shard_nbytes=2000)
    samples = list(ShardDataset(tmp_path / "out"))
    assert [sample.key for sample in samples] == [f"{number:04d}" for number in range(10)]
    assert [sample.label for sample in samples] == [number % 4 for number in range(10)]
    assert [sample["json"]["n"] for sample in samples] == list(range(10))
    assert unpack(tmp_path / "out", tmp_path / "again") == 10
    with tarfile.open(archive) as given:
        members = {member.name: given.extractfile(member) for member in given}
        assert tree(tmp_path / "again") == {name: file.read() for name, file in members.items() if file is not None}


def test_packed_shards_are_archives_that_can_be_packed_again(archive: Path, tmp_path: Path) -> None:
    pack(archive, tmp_path / "once", shard_nbytes=2000)
    pack(tmp_path / "once", tmp_path / "twice", shard_nbytes=2000)
    assert tree(tmp_path / "once").keys() == tree(tmp_path / "twice").keys()
    for name in ("shard-00000.tar", "shard-00001.tar"):
        once, twice = tree(tmp_path / "once")[name], tree(tmp_path / "twice")[name]
        # all but the digest of what it was packed from
        assert once[: len(once) - 2000] == twice[: len(twice) - 2000]


@pytest.mark.parametrize("codec", [Codec.PNG_FAST, Codec.LZ4, Codec.ZSTD, Codec.NPY])
def test_pictures_can_be_written_in_another_codec(folder: Path, tmp_path: Path, codec: Codec) -> None:
    pack(folder, tmp_path / "out", codec=codec)
    for sample in ShardDataset(tmp_path / "out"):
        assert codec.extension in sample.files
        assert np.array_equal(sample.picture, picture(int(sample.key.partition("/")[2])))


KILLED = """
import os, signal, sys
from pathlib import Path
import fujimi_data.packing as packing
write, calls = packing.write_shard, []
def die(*arguments, **more):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*arguments, **more)
packing.write_shard = die
packing.pack(Path(sys.argv[1]), Path(sys.argv[2]), shard_nbytes=3000)
"""


def test_a_killed_run_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "out")], check=False)
    kept = sorted(path.name for path in (tmp_path / "out").glob("shard-*.tar"))
    assert kept == ["shard-00000.tar", "shard-00001.tar"]
    assert 0 < pack(folder, tmp_path / "out", shard_nbytes=3000).written < 20
    pack(folder, tmp_path / "whole", shard_nbytes=3000)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_full_disk_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".shard-00000.tar.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left on device"):
        pack(folder, tmp_path / "out")


def test_a_cut_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as read:
        places = [member.offset for member in read]
    for place in (places[12], places[13] + 700):
        content = archive.read_bytes()
        archive.write_bytes(content[:place])
        with pytest.raises(FujimiError, match=r"samples-000\.tar"):
            pack(archive, tmp_path / "out")
        archive.write_bytes(content)


def test_an_archive_with_a_damaged_header_is_refused(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as read:
        place = [member.offset for member in read][12]
    flip(archive, place + 3)
    with pytest.raises(FujimiError, match=rf"no header at byte {place}: the archive is damaged"):
        pack(archive, tmp_path / "out")


def test_a_name_that_leads_out_of_the_directory_is_not_written(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as written:
        info = tarfile.TarInfo("../escaped.txt")
        written.addfile(info, io.BytesIO(b""))
    pack(tmp_path / "a.tar", tmp_path / "out")
    with pytest.raises(FujimiError, match=r"'\.\./escaped\.txt' leads out of"):
        unpack(tmp_path / "out", tmp_path / "again")
    assert not (tmp_path / "escaped.txt").exists()


def test_a_directory_that_is_not_empty_is_not_unpacked_into(archive: Path, tmp_path: Path) -> None:
    pack(archive, tmp_path / "out")
    with pytest.raises(FujimiError, match="is not empty"):
        unpack(tmp_path / "out", tmp_path)


@pytest.mark.parametrize("kind", ["nothing", "empty", "no extension", "no picture", "label"])
def test_what_cannot_be_packed_is_named(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    messages = {
        "nothing": "no such directory or tar archive",
        "empty": "has neither tar archives nor directories of pictures",
        "no extension": r"source/ant/readme has no extension",
        "no picture": r"sample ant/a\.png is no picture",
        "label": r"its \.cls file is no number: b'ant'",
    }
    if kind != "nothing":
        (source / "ant").mkdir(parents=True)
    if kind == "no extension":
        (source / "ant" / "readme").write_text("")
    if kind == "no picture":
        (source / "ant" / "a.png").write_text("")
    if kind == "label":
        (source / "ant").rmdir()
        with tarfile.open(source / "a.tar", "w") as written:
            info = tarfile.TarInfo("a.cls")
            info.size = 3
            written.addfile(info, io.BytesIO(b"ant"))
    with pytest.raises(FujimiError, match=messages[kind]):
        pack(source, tmp_path / "out", codec=Codec.LZ4 if kind == "no picture" else None)


def test_another_source_is_another_dataset(folder: Path, archive: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "out")
    with pytest.raises(FujimiError, match=r"holds another dataset, with source imagefolder \(not webdataset\)"):
        pack(archive, tmp_path / "out")


def test_the_manifest_can_be_read_by_people(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "out")
    shown = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert shown["packing"]["classes"] == ["ant", "bee", "cat"]


def save(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number)).save(path)


def test_names_with_dots_are_samples_of_their_own(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for number in range(5):
        save(root / "cat" / f"cat.{number}.png", number)
    save(root / "cat" / "50%.1.5.png", 5)
    save(root / "dog" / "a.mask.png", 7)
    save(root / "dog" / "a.png", 6)
    (root / "empty").mkdir()
    pack(root, tmp_path / "out")
    samples = {sample.key: sample for sample in ShardDataset(tmp_path / "out")}
    assert sorted(samples) == ["cat/50%25%2E1%2E5", *(f"cat/cat%2E{number}" for number in range(5)), "dog/a"]
    assert all(np.array_equal(samples[f"cat/cat%2E{number}"].picture, picture(number)) for number in range(5))
    assert list(samples["dog/a"].files) == ["png", "mask.png", "cls"]
    assert np.array_equal(samples["dog/a"].picture, picture(6))
    unpack(tmp_path / "out", tmp_path / "again")
    assert tree(tmp_path / "again") == tree(root)
    assert (tmp_path / "again" / "empty").is_dir()


def test_linked_directories_are_packed(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "more" / "99.png", 99)
    (folder / "ant" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (folder / "ant" / ".hidden").mkdir()
    (folder / "ant" / ".hidden" / "1.png").write_text("")
    assert pack(folder, tmp_path / "out").written == 21
    assert "ant/more/99" in {sample.key for sample in ShardDataset(tmp_path / "out")}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.png", r"ant/new\.png is no file that can be read"),
        (".", r"ant/new\.png is a link to a directory that it lies in"),
    ],
)
def test_links_that_lead_nowhere_or_back_are_named(folder: Path, tmp_path: Path, target: str, message: str) -> None:
    (folder / "ant" / "new.png").symlink_to(target)
    with pytest.raises(FujimiError, match=message):
        pack(folder, tmp_path / "out")


def test_what_would_be_left_out_of_directories_is_named(folder: Path, archive: Path, tmp_path: Path) -> None:
    save(folder / "stray.png", 1)
    with pytest.raises(FujimiError, match=r"stray\.png is in no directory of a class"):
        pack(folder, tmp_path / "out")
    (folder / "stray.png").unlink()
    (folder / "ant" / "0.cls").write_text("7")
    with pytest.raises(FujimiError, match=r"ant/0\.cls: its directory tells its class"):
        pack(folder, tmp_path / "out")
    (folder / "ant" / "0.cls").unlink()
    archive.rename(folder / archive.name)
    with pytest.raises(FujimiError, match=r"tar archives, such as samples-000\.tar, and directories, such as ant"):
        pack(folder, tmp_path / "out")


def member(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


SPARSE = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([member("b.png", type=tarfile.LNKTYPE, linkname="a.png")], r"b\.png is a link"),
        ([member("b.png", type=tarfile.SYMTYPE, linkname="a.png")], r"b\.png is a link"),
        ([member("b.png", b"x", pax_headers=SPARSE)], r"b\.png is stored without its zeros"),
        ([member("readme")], "readme has no extension"),
        ([member("a.png")], r"has a\.png twice"),
        ([member("b.png"), member("a.cls", b"1")], r"has sample 'a' a second time: .* \(tar --sort=name\)"),
        ([member("b.png"), member("b.cls", b"1")], "1 of 2 samples have no .cls file, the first is 'a'"),
    ],
)
def test_what_would_be_left_out_of_archives_is_named(
    tmp_path: Path, more: list[tuple[tarfile.TarInfo, bytes]], message: str
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as written:
        for info, content in [member("./sub", type=tarfile.DIRTYPE), member("._a.png"), member("a.png"), *more]:
            written.addfile(info, io.BytesIO(content))
    with pytest.raises(FujimiError, match=message):
        pack(tmp_path / "a.tar", tmp_path / "out")


def test_joined_archives_are_refused(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content + bytes(10_240))
    assert pack(archive, tmp_path / "padded").written == 10
    archive.write_bytes(content + content)
    with pytest.raises(FujimiError, match="more follows after the archive's end"):
        pack(archive, tmp_path / "out")


def test_several_pictures_of_a_sample_keep_their_names_in_another_codec(tmp_path: Path) -> None:
    root = tmp_path / "root"
    save(root / "ant" / "a.png", 1)
    save(root / "ant" / "a.seg.png", 2)
    depth = np.linspace(0, 300, 120, dtype=np.float32).reshape(12, 10)
    np.save(root / "ant" / "a.depth.npy", depth)
    pack(root, tmp_path / "out", codec=Codec.LZ4)
    (sample,) = ShardDataset(tmp_path / "out")
    assert sorted(sample.files) == ["cls", "depth.npy", "npy.lz4", "seg.npy.lz4"]
    assert np.array_equal(sample.picture, picture(1))
    assert np.array_equal(sample["seg.npy.lz4"], picture(2))
    assert np.array_equal(sample["depth.npy"], depth)
    save(root / "ant" / "a.jpg", 3)
    with pytest.raises(FujimiError, match=r"sample ant/a has two pictures that would be ant/a\.npy\.lz4"):
        pack(root, tmp_path / "other", codec=Codec.LZ4)


def test_a_damaged_header_of_an_array_is_named(tmp_path: Path) -> None:
    (tmp_path / "root" / "ant").mkdir(parents=True)
    np.save(tmp_path / "root" / "ant" / "a.npy", np.zeros((4, 4), dtype=np.uint8))
    path = tmp_path / "root" / "ant" / "a.npy"
    path.write_bytes(path.read_bytes().replace(b"{", b"("))
    with pytest.raises(FujimiError, match=r"sample ant/a\.npy is no picture that can be read: .*header"):
        pack(tmp_path / "root", tmp_path / "out", codec=Codec.PNG)
