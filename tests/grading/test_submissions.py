import os

import pytest

from edudiff.grading import submissions
from edudiff.grading.submissions import Submission


@pytest.fixture
def folder(tmp_path):
    for name in ("bob.ipynb", "alice/4.ipynb", "alice/deep/3.ipynb", "carol/essay.pdf", "note.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


def test_a_student_is_a_file_or_a_folder(folder):
    found, others = submissions.find(folder)
    assert {each.student: [p.name for p in each.files] for each in found} == {
        "alice": ["4.ipynb", "3.ipynb"],
        "bob": ["bob.ipynb"],
        "carol": [],
    }
    assert [path.name for path in others] == ["note.txt"]


def test_what_jupyter_leaves_behind_is_no_submission(folder):
    for place in (folder, folder / "alice"):
        (place / ".ipynb_checkpoints").mkdir()
        (place / ".ipynb_checkpoints" / "x-checkpoint.ipynb").write_text("{}")
    found, _ = submissions.find(folder)
    assert [each.student for each in found] == ["alice", "bob", "carol"]
    assert len(found[0].files) == 2


def test_two_students_of_one_name_are_refused(folder, refusal):
    (folder / "alice.ipynb").write_text("{}")
    with refusal("expected one student of each name, got two 'alice'"):
        submissions.find(folder)


def test_no_folder_and_an_empty_folder_are_refused(tmp_path, refusal):
    with refusal("submissions: expected a folder with notebooks"):
        submissions.find(tmp_path / "nothing")
    with refusal("submissions: expected notebooks"):
        submissions.find(tmp_path)


def test_a_file_that_is_too_large_is_not_even_read(tmp_path, refusal):
    path = tmp_path / "huge.ipynb"
    with path.open("wb") as file:
        file.truncate(200 * 10**6)
    with refusal("expected at most 20 MB, got 200 MB"):
        submissions.read(path, 20 * 10**6)


def test_links_folders_and_pipes_are_refused(tmp_path, refusal):
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name in ("link", "folder", "pipe"):
        with refusal("expected an ordinary file"):
            submissions.read(tmp_path / f"{name}.ipynb", 100)


@pytest.mark.parametrize(("data", "why"), [(b" \n", "empty"), (b"\xff\xfe\x00", "expected text")])
def test_what_is_no_text_is_refused(tmp_path, data, why, refusal):
    path = tmp_path / "x.ipynb"
    path.write_bytes(data)
    with refusal(why):
        submissions.read(path, 100)


def test_a_byte_order_mark_is_no_harm(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert submissions.read(path, 100) == "{}"


def test_a_fingerprint_changes_with_the_file_and_with_the_settings(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text("{}")
    mine = Submission("x", (path,))
    before = submissions.fingerprint(mine, 100, "a")
    assert before == submissions.fingerprint(mine, 100, "a")
    assert before != submissions.fingerprint(mine, 100, "b")
    path.write_text("[]")
    assert before != submissions.fingerprint(mine, 100, "a")
