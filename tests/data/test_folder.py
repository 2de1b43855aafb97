"""Folders as people have them: every kind of picture, and every kind of broken file."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edudiff.data.folder import METADATA, Example, load, open_folder

SHADES = iter(range(10_000))


def picture(path: Path, size: tuple[int, int] = (12, 8), **options) -> Path:
    """A picture unlike all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = next(SHADES)
    Image.new("RGB", size, (shade % 256, shade // 256, 77)).save(path, **options)
    return path


def noisy_bytes(format: str) -> bytes:
    """A picture that fills many bytes, so that its end can be missing."""
    pixels = np.random.default_rng(next(SHADES)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def describe(root: Path, *rows: dict | str) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (root / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")


def reasons(root: Path) -> dict[str, str]:
    return {problem.name: problem.reason for problem in open_folder(root).problems}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one good picture and no metadata."""
    picture(tmp_path / "cats" / "good.png")
    return tmp_path


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """A folder with one captioned picture, for further lines."""
    picture(tmp_path / "good.png")
    return tmp_path


GOOD = {"file_name": "good.png", "text": "a good one"}


def names(root: Path) -> list[str]:
    return [example.path.relative_to(root).as_posix() for example in open_folder(root).examples]


def test_the_label_is_the_name_of_the_class_folder(root):
    picture(root / "dogs" / "1.jpg")
    folder = open_folder(root)
    assert [example.label for example in folder.examples] == ["cats", "dogs"]
    assert folder.labels == ["cats", "dogs"]


def test_a_picture_outside_the_class_folders_has_no_label(tmp_path):
    picture(tmp_path / "1.png")
    assert open_folder(tmp_path).examples == (Example(tmp_path / "1.png"),)


def test_captions_come_from_the_metadata(captioned):
    picture(captioned / "deep" / "er.png")
    describe(captioned, GOOD, {"file_name": "deep/er.png", "text": "ein Bär", "more": 1})
    assert [(e.caption, e.label) for e in open_folder(captioned).examples] == [
        ("a good one", None),
        ("ein Bär", None),
    ]


def test_examples_with_captions_have_the_order_of_the_lines(captioned):
    for name in "zab":
        picture(captioned / f"{name}.png")
    rows = [{"file_name": f"./{name}.png", "text": name} for name in "zab"]
    describe(captioned, *rows, GOOD)
    assert names(captioned) == ["z.png", "a.png", "b.png", "good.png"]


def test_examples_with_labels_have_the_order_of_their_names(tmp_path):
    for name in ("b/1.png", "a/10.png", "a/9.png", "A/1.png"):
        picture(tmp_path / name)
    assert names(tmp_path) == ["A/1.png", "a/10.png", "a/9.png", "b/1.png"]


def test_every_visible_file_is_an_example_or_a_problem(root):
    (root / "cats" / "notes.txt").write_text("cats are nice")
    (root / "cats" / "broken.png").write_bytes(b"nonsense")
    (root / "README").write_text("mine")
    picture(root / "cats" / "also good.webp")
    folder = open_folder(root)
    listed = {e.path.relative_to(root).as_posix() for e in folder.examples}
    listed |= {problem.name for problem in folder.problems}
    assert listed == {path.relative_to(root).as_posix() for path in root.rglob("*.*")} | {"README"}
    assert len(folder) == 2


def test_hidden_files_are_passed_over(root):
    (root / ".DS_Store").write_bytes(b"x")
    picture(root / ".trash" / "old.png")
    picture(root / "cats" / "._good.png")
    assert open_folder(root).problems == ()
    assert names(root) == ["cats/good.png"]


def test_a_file_that_is_not_a_picture_is_reported(root):
    (root / "cats" / "notes.txt").write_text("cats are nice")
    assert reasons(root) == {"cats/notes.txt": "not a picture"}


def test_a_picture_in_name_only_is_reported(root):
    (root / "cats" / "page.jpg").write_text("<html>404</html>")
    assert reasons(root) == {"cats/page.jpg": "broken: no picture inside"}


def test_an_empty_file_is_reported(root):
    (root / "cats" / "empty.png").touch()
    assert reasons(root) == {"cats/empty.png": "an empty file"}


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.95, 0.5])
def test_a_truncated_picture_is_reported(format, share, root):
    content = noisy_bytes(format)
    (root / f"cut.{format.lower()}").write_bytes(content[: int(share * len(content))])
    (reason,) = reasons(root).values()
    assert reason.startswith("broken: ")


def test_a_picture_with_damaged_bytes_is_reported(root):
    content = bytearray(noisy_bytes("PNG"))
    content[len(content) // 2] ^= 0xFF
    (root / "damaged.png").write_bytes(content)
    assert reasons(root)["damaged.png"].startswith("broken: ")


def test_a_picture_too_large_to_be_true_is_reported(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    picture(root / "cats" / "bomb.png", size=(10, 10))
    picture(root / "cats" / "good.png", size=(5, 5))
    assert "bomb" in reasons(root)["cats/bomb.png"]


def test_a_picture_without_a_known_white_is_reported(root):
    Image.fromarray(np.ones((4, 4), np.float32)).save(root / "measured.tiff")
    assert "floats, whose white is not known" in reasons(root)["measured.tiff"]


def test_a_picture_of_more_than_16_bits_is_reported(root):
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(root / "deep.tiff")
    assert "expected 16 bits, got numbers in [70000, 70000]" in reasons(root)["deep.tiff"]


def test_the_same_picture_again_is_reported(root):
    (root / "dogs").mkdir()
    (root / "dogs" / "copy.png").write_bytes((root / "cats" / "good.png").read_bytes())
    assert reasons(root) == {"dogs/copy.png": "the same picture as cats/good.png"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_reported(root):
    picture(root / "secret.png").chmod(0)
    assert "Permission denied" in reasons(root)["secret.png"]


def test_metadata_of_another_kind_is_reported(root):
    (root / "metadata.csv").write_text("file_name,text\n")
    assert reasons(root) == {"metadata.csv": "captions are read from metadata.jsonl only"}


def test_a_missing_picture_is_reported_with_its_line(captioned):
    describe(captioned, GOOD, {"file_name": "gone.png", "text": "gone"})
    assert reasons(captioned) == {"gone.png": "missing, but line 2 of metadata.jsonl names it"}


def test_a_picture_that_is_named_twice_is_reported_and_keeps_its_first_caption(captioned):
    describe(captioned, GOOD, "", {"file_name": "./good.png", "text": "another"})
    folder = open_folder(captioned)
    assert [example.caption for example in folder.examples] == ["a good one"]
    assert [str(problem) for problem in folder.problems] == [
        "good.png: line 3 of metadata.jsonl names it again, after 1"
    ]


def test_a_picture_that_no_line_names_is_reported(captioned):
    picture(captioned / "nobody.png")
    describe(captioned, GOOD)
    assert reasons(captioned) == {"nobody.png": "no line of metadata.jsonl names it"}


def test_a_broken_picture_with_a_caption_is_reported(captioned):
    (captioned / "bad.png").write_bytes(b"nonsense")
    describe(captioned, GOOD, {"file_name": "bad.png", "text": "bad"})
    assert reasons(captioned) == {"bad.png": "broken: no picture inside"}


BAD_LINES = [
    ("{nonsense", "line 2: expected JSON, got b'{nonsense'"),
    ("[1, 2]", "line 2: expected an object with file_name and text, got b'[1, 2]'"),
    ('{"text": "a"}', "line 2: expected words in 'file_name', got None"),
    ('{"file_name": 3, "text": "a"}', "line 2: expected words in 'file_name', got 3"),
    ('{"file_name": "good.png"}', "line 2: expected words in 'text', got None"),
    ('{"file_name": "good.png", "text": " "}', "line 2: expected words in 'text', got ' '"),
]


@pytest.mark.parametrize("line, reason", BAD_LINES)
def test_a_bad_line_is_reported_and_the_others_are_read(line, reason, captioned):
    describe(captioned, GOOD, line)
    assert reasons(captioned) == {METADATA: reason}


def test_a_line_in_another_encoding_is_reported(captioned):
    bear = '{"file_name": "good.png", "text": "Bär"}'.encode("latin-1")
    (captioned / METADATA).write_bytes(json.dumps(GOOD).encode() + b"\r\n" + bear)
    assert reasons(captioned)[METADATA].startswith("line 2: expected JSON")


def test_metadata_that_windows_wrote_is_read(captioned):
    (captioned / METADATA).write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert open_folder(captioned).problems == ()


@pytest.mark.parametrize("name", ["../outside.png", "a/../../outside.png", "ABSOLUTE", ".."])
def test_metadata_that_names_a_file_outside_is_refused(name, captioned, refusal):
    outside = picture(captioned.parent / "outside.png")
    name = str(outside) if name == "ABSOLUTE" else name
    describe(captioned, GOOD, {"file_name": name, "text": "not yours"})
    with refusal("metadata.jsonl, line 2: expected a file inside, got"):
        open_folder(captioned)


def test_a_folder_that_is_not_there_is_refused(tmp_path, refusal):
    with refusal("nowhere: expected a folder"):
        open_folder(tmp_path / "nowhere")


def test_an_empty_folder_is_refused(tmp_path, refusal):
    with refusal("expected at least one picture, got nothing"):
        open_folder(tmp_path)


def test_a_folder_without_a_usable_picture_is_refused_with_the_reasons(tmp_path, refusal):
    (tmp_path / "notes.txt").write_text("no pictures yet")
    with refusal("expected at least one picture, got notes.txt: not a picture"):
        open_folder(tmp_path)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_the_size_is_the_one_asked_for(size, root):
    found = load(open_folder(root).examples[0], size)
    assert found.shape == (3, size, size)
    assert found.min() >= -1 and found.max() <= 1


def test_a_size_below_one_is_refused(root, refusal):
    with refusal("size: expected a whole number ≥ 1, got 0"):
        load(open_folder(root).examples[0], 0)


def test_a_picture_that_has_gone_since_is_refused(root, refusal):
    (example,) = open_folder(root).examples
    example.path.unlink()
    with refusal("good.png: expected a picture, got FileNotFoundError"):
        load(example, 8)
