import errno
from pathlib import Path

import pytest
from PIL import Image

from edudiff.commands import picture_file

PICTURE = Image.effect_noise((20, 10), 50).convert("RGBA")


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.jpg", "a.jpeg", "a.webp"])
def test_a_picture_is_written_in_the_format_of_its_name(name, tmp_path):
    picture_file.check(tmp_path / name)
    picture_file.save(PICTURE, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.size == (20, 10)
        assert image.format.lower() == picture_file.FORMATS[(tmp_path / name).suffix.lower()]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_looking_whether_one_can_write_leaves_nothing_and_keeps_what_is_there(tmp_path):
    (tmp_path / "a.png").write_text("before")
    picture_file.check(tmp_path / "a.png")
    picture_file.check(tmp_path / "b.png")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.png", "before")]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.png.gz"])
def test_a_name_that_is_not_a_picture_s_is_refused(name, tmp_path, refusal):
    with refusal(f"--out: expected a name ending in .png, .jpg, .jpeg, .webp, got .*{name}"):
        picture_file.check(tmp_path / name)


def test_a_folder_is_refused_whatever_its_name(tmp_path, refusal):
    (tmp_path / "a.png").mkdir()
    with refusal("--out: expected the name of a picture, got a folder"):
        picture_file.check(tmp_path / "a.png")


def test_a_folder_that_is_not_there_is_refused(tmp_path, refusal):
    with refusal("--out: expected a folder that exists, got .*nowhere"):
        picture_file.check(tmp_path / "nowhere" / "a.png")


def test_a_place_where_nobody_can_write_is_refused(tmp_path, monkeypatch, refusal):
    def forbidden(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", forbidden)  # root may write everywhere
    with refusal("--out: cannot write to .*: Permission denied"):
        picture_file.check(tmp_path / "a.png")


@pytest.mark.parametrize("before", [None, "an older picture"])
def test_a_full_disk_leaves_what_was_there(before, tmp_path, monkeypatch):
    out = tmp_path / "a.png"
    if before is not None:
        out.write_text(before)

    def half(self, file, format, **options):
        file.write(b"half a picture")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="a.png: No space left on device. Nothing was written"):
        picture_file.save(PICTURE, out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(self, file, format, **options):
        file.write(b"half a picture")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        picture_file.save(PICTURE, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_was_taken_by_a_folder_meanwhile_leaves_nothing(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match="Nothing was written"):
        picture_file.save(PICTURE, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_settings_are_written_inside_a_png_and_nowhere_else(tmp_path):
    settings = {"prompt": "a star", "seed": 3}
    for name in ("a.png", "a.jpg", "a.webp"):
        picture_file.save(PICTURE, tmp_path / name, settings)
    assert picture_file.read_settings(tmp_path / "a.png") == settings
    for name in ("a.jpg", "a.webp"):
        assert b"a star" not in (tmp_path / name).read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.tobytes() == PICTURE.tobytes()


def test_settings_that_cannot_be_read_again_leave_nothing(tmp_path, refusal):
    with refusal("settings: expected names among prompt, .*got 'steps'"):
        picture_file.save(PICTURE, tmp_path / "a.png", {"steps": 3})
    assert list(tmp_path.iterdir()) == []
