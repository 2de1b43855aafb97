"""Many small files in a few large ones that are read from front to back: shards, as webdataset has.

A shard is a tar archive. Files that follow each other and agree up to the first dot of their names
are one sample:

    000000.png  000000.txt  000001.png  000001.txt  …

Nothing is looked up in it, so it can come from a disk, a pipe or the network: the next sample is
always what is read next.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Generator

from edudiff import checks

Item = TypeVar("Item")


@runtime_checkable
class Readable(Protocol):
    """An open file, a pipe, an answer from the network: what bytes come out of in their order."""

    def read(self, size: int = -1, /) -> bytes:
        """The next so many bytes."""


@dataclass(frozen=True)
class Sample:
    """What belongs together.

    Attributes:
        key: its name, up to the first dot; in webdataset `sample["__key__"]`.
        files: what comes after that dot, such as "png" or "txt" → the bytes.
    """

    key: str
    files: Mapping[str, bytes]


def write(folder: Path, samples: Iterable[Sample], per_shard: int) -> list[Path]:
    """Write samples to 000000.tar, 000001.tar and so on, in their order.

    Args:
        folder: where to; made if need be.
        samples: their keys must differ.
        per_shard: samples in each but perhaps the last.

    Returns:
        The shards.

    Raises:
        ValueError: if per_shard is below 1, or a key is empty, has a dot, or comes again.
    """
    checks.whole_at_least(1, per_shard=per_shard)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    seen: set[str] = set()
    left = iter(samples)
    while some := list(islice(left, per_shard)):
        paths.append(folder / f"{len(paths):06}.tar")
        with tarfile.open(paths[-1], "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in some:
                if not sample.key or "." in sample.key or sample.key in seen:
                    raise ValueError(f"key: expected a new one without a dot, got {sample.key!r}")
                seen.add(sample.key)
                for ending, content in sample.files.items():
                    entry = tarfile.TarInfo(f"{sample.key}.{ending}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
    return paths


class _Entry(tarfile.TarInfo):
    """The library passes a shard that was cut off between two files over in silence."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Entry":
        try:
            return super().fromtarfile(archive)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("cut off before its end") from error


def read(shards: Iterable[Path | Readable]) -> Iterator[Sample]:
    """All samples of some shards, from front to back, one in memory at a time.

    Args:
        shards: paths, or files opened for reading bytes, which need not be able to go back.

    Raises:
        ValueError: naming the shard, if it is not a tar archive, is cut off, or has the same file
            twice in a sample.
    """
    for shard in shards:
        try:
            for key, found in groupby(_files(shard), key=lambda file: file[0]):
                files: dict[str, bytes] = {}
                for _, ending, content in found:
                    if ending in files:
                        raise tarfile.ReadError(f"{key}.{ending} comes twice")
                    files[ending] = content
                yield Sample(key, files)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{shard}: expected a whole tar archive, got: {error}") from error


def _files(shard: Path | Readable) -> Iterator[tuple[str, str, bytes]]:
    """Key, ending and bytes of every file; folders and links are passed over."""
    path = shard if isinstance(shard, Path) else None
    stream = None if isinstance(shard, Path) else cast(IO[bytes], shard)
    with tarfile.open(path, "r|*", stream, tarinfo=_Entry) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is not None:
                folder, slash, name = entry.name.rpartition("/")
                stem, _, ending = name.partition(".")
                yield folder + slash + stem, ending.lower(), content.read()


def share(shards: Sequence[Item], index: int, count: int) -> list[Item]:
    """The shards of process `index` of `count`.

    Raises:
        ValueError: if not all would get as many: those with fewer would let the others wait.
    """
    if not shards or len(shards) % count:
        raise ValueError(f"shards: expected a multiple of {count}, got {len(shards)}")
    return list(shards[index::count])


def shuffled(items: Iterable[Item], size: int, generator: Generator) -> Iterator[Item]:
    """Mix a stream as far as a buffer reaches.

    Every item takes the place of a random one in the buffer, which comes out.

    Args:
        items: the stream.
        size: of the buffer; 1 leaves the order as it is.
        generator: the source of randomness.

    Raises:
        ValueError: if size is below 1.

    Source:
        In webdataset: `shuffle(bufsize)`.
    """
    checks.whole_at_least(1, size=size)
    buffer: list[Item] = []
    for item in items:
        if len(buffer) < size:
            buffer.append(item)
            continue
        place = int(torch.randint(size, (), generator=generator))
        buffer[place], out = item, buffer[place]
        yield out
    for place in torch.randperm(len(buffer), generator=generator).tolist():
        yield buffer[place]
