"""What is said of the answers that linkcheck got."""

import json

import pytest

from check_links import read, report


def answer(status, uri="https://x.org", info="", line=3):
    return {"filename": "book/a.md", "lineno": line, "status": status, "uri": uri, "info": info}


def test_links_that_work_are_counted(capsys):
    assert report([answer("working"), answer("working"), answer("redirected")])
    assert capsys.readouterr().out == "1 redirected, 2 working\n"


@pytest.mark.parametrize("status", ["broken", "ignored", "timeout", "local", "a new word"])
def test_whatever_gives_no_good_answer_fails_and_is_listed(status, capsys):
    assert not report([answer("working"), answer(status, info="503")])
    assert f"book/a.md:3: {status}: https://x.org 503" in capsys.readouterr().out


def test_a_page_that_refuses_programs_is_listed_but_does_not_fail(capsys):
    assert report([answer("broken", info="403 Client Error: Forbidden for url")])
    assert "book/a.md:3: refused: https://x.org 403" in capsys.readouterr().out


def test_a_link_to_a_page_that_is_gone_is_not_excused():
    assert not report([answer("broken", info="404 Client Error: Not Found for url: /403")])


def test_answers_are_read_one_a_line(tmp_path):
    (tmp_path / "output.json").write_text(json.dumps(answer("working")) + "\n")
    assert read(tmp_path / "output.json") == [answer("working")]


@pytest.mark.parametrize("text", [None, ""])
def test_no_answers_at_all_are_refused(text, tmp_path, refusal):
    if text is not None:
        (tmp_path / "output.json").write_text(text)
    with refusal("expected an answer for every link, got none"):
        read(tmp_path / "output.json")
