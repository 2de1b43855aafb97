"""Tar shards: what is written is read, from a stream too, and what is broken is named."""

import gzip
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest
import torch
import webdataset

from edudiff.data import shards
from edudiff.data.shards import Sample

SAMPLES = [Sample(f"{k:03}", {"png": bytes([k]) * 700, "txt": b"shape %d" % k}) for k in range(10)]


@pytest.fixture
def written(tmp_path: Path) -> list[Path]:
    return shards.write(tmp_path / "new", SAMPLES, per_shard=4)


def tar(path: Path, *entries: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_what_is_written_is_read_in_its_order(written):
    assert [path.name for path in written] == ["000000.tar", "000001.tar", "000002.tar"]
    assert [len(list(shards.read([path]))) for path in written] == [4, 4, 2]
    assert list(shards.read(written)) == SAMPLES


def test_webdataset_reads_them(written):
    theirs = webdataset.WebDataset([str(path) for path in written], shardshuffle=False)
    found = [Sample(each["__key__"], {"png": each["png"], "txt": each["txt"]}) for each in theirs]
    assert found == SAMPLES


def test_those_that_webdataset_writes_are_read(tmp_path):
    path = tmp_path / "theirs.tar"
    with webdataset.TarWriter(str(path), encoder=False) as theirs:
        for each in SAMPLES:
            theirs.write({"__key__": each.key, **each.files})
    assert list(shards.read([path])) == SAMPLES


def test_any_tar_program_reads_them(written):
    with tarfile.open(written[0]) as archive:
        assert archive.getnames()[:3] == ["000.png", "000.txt", "001.png"]


def test_the_same_samples_give_the_same_bytes(written, tmp_path):
    again = shards.write(tmp_path / "again", SAMPLES, per_shard=4)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_the_key_ends_at_the_first_dot_of_the_name_and_keeps_its_folders(tmp_path):
    path = tar(tmp_path / "a.tar", ("v1.0/x/7.seg.PNG", b"s"), ("v1.0/x/7.txt", b"t"))
    assert list(shards.read([path])) == [Sample("v1.0/x/7", {"seg.png": b"s", "txt": b"t"})]


def test_folders_and_links_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("0.png", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        archive.addfile(tarfile.TarInfo("0.txt"))
    assert list(shards.read([tmp_path / "a.tar"])) == [Sample("0", {"txt": b""})]


def test_a_pipe_that_cannot_go_back_is_enough(written):
    end, beginning = os.pipe()
    content = written[0].read_bytes()
    with open(beginning, "wb") as into, open(end, "rb") as out:
        threading.Thread(target=lambda: (into.write(content), into.close())).start()
        assert list(shards.read([out])) == SAMPLES[:4]


def test_the_next_sample_is_there_before_the_rest_is_read(written):
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            content = super().read(size)
            self.taken += len(content)
            return content

    stream = Counting(shards.write(written[0].parent / "one", SAMPLES * 1, 10)[0].read_bytes())
    first = next(shards.read([stream]))
    assert first == SAMPLES[0] and stream.taken < len(stream.getvalue())


def test_a_compressed_shard_is_read_too(written, tmp_path):
    (tmp_path / "0.tar.gz").write_bytes(gzip.compress(written[0].read_bytes()))
    assert list(shards.read([tmp_path / "0.tar.gz"])) == SAMPLES[:4]


@pytest.mark.parametrize("length", [0, 100, 512, 600, 1536, 1600, 2048, 4096])
def test_a_shard_that_was_cut_off_anywhere_is_refused_by_name(length, written, refusal):
    written[1].write_bytes(written[1].read_bytes()[:length])
    with refusal("000001.tar: expected a whole tar archive, got"):
        list(shards.read(written))


def test_what_is_no_tar_archive_is_refused(tmp_path, refusal):
    (tmp_path / "0.tar").write_bytes(b"not a tar archive at all" * 100)
    with refusal("0.tar: expected a whole tar archive"):
        list(shards.read([tmp_path / "0.tar"]))


def test_the_same_file_twice_in_a_sample_is_refused(tmp_path, refusal):
    path = tar(tmp_path / "a.tar", ("0.txt", b"a"), ("0.txt", b"b"))
    with refusal("a.tar: .* 0.txt comes twice"):
        list(shards.read([path]))


@pytest.mark.parametrize("keys", [["a.b"], [""], ["a", "b", "a"]])
def test_a_key_that_could_not_be_read_back_is_refused(keys, tmp_path, refusal):
    with refusal("key: expected a new one without a dot"):
        shards.write(tmp_path, [Sample(key, {"txt": b""}) for key in keys], per_shard=2)


def test_every_shard_belongs_to_one_process():
    names = list("abcdef")
    assert [shards.share(names, index, 3) for index in range(3)] == [
        ["a", "d"],
        ["b", "e"],
        ["c", "f"],
    ]


@pytest.mark.parametrize("names", ["abc", ""])
def test_shards_that_cannot_be_shared_equally_are_refused(names, refusal):
    with refusal(f"shards: expected a multiple of 2, got {len(names)}"):
        shards.share(list(names), 0, 2)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_shuffling_loses_and_doubles_nothing(size, generator):
    assert sorted(shards.shuffled(range(100), size, generator)) == list(range(100))


def test_a_buffer_of_one_leaves_the_order(generator):
    assert list(shards.shuffled(range(20), 1, generator)) == list(range(20))


def test_nothing_comes_out_before_the_buffer_is_full(generator):
    order = list(shards.shuffled(range(500), 50, generator))
    assert all(item <= place + 50 for place, item in enumerate(order))
    assert order != sorted(order)


def test_a_buffer_for_all_makes_every_first_item_as_likely():
    firsts = torch.zeros(5)
    for seed in range(1000):
        firsts[next(shards.shuffled(range(5), 5, torch.Generator().manual_seed(seed)))] += 1
    assert (firsts - 200).abs().max() < 60


def test_a_buffer_below_one_is_refused(generator, refusal):
    with refusal("size: expected a whole number ≥ 1, got 0"):
        list(shards.shuffled([1], 0, generator))
