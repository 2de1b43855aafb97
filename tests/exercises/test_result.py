import pytest

from edudiff.exercises.result import Result, Status


@pytest.fixture(params=list(Status), ids=lambda status: status.name)
def result(request):
    return Result(request.param, "exercise toy.1", "a < b & c", code="x = '<b>'", printed="<i>")


def test_the_heading_says_in_words_what_the_colour_says(result):
    assert f"{result.status.value}</strong>" in result._repr_html_()


def test_the_words_of_a_student_are_never_taken_for_markup(result):
    page = result._repr_html_()
    assert "a &lt; b &amp; c" in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "&lt;i&gt;" in page and "<i>" not in page


def test_a_screen_reader_announces_it_without_its_sign(result):
    page = result._repr_html_()
    assert 'role="status"' in page
    assert '<span aria-hidden="true">' in page


def test_a_terminal_shows_the_same_words(result):
    for words in (result.status.value, "exercise toy.1", "a < b & c", "x = '<b>'", "<i>"):
        assert words in str(result)
    assert repr(result) == str(result)


def test_what_is_empty_is_not_shown():
    result = Result(Status.PASS, "exercise toy.1", "fine", printed=" \n")
    assert "<pre" not in result._repr_html_()
    assert str(result).count("\n") == 1


def test_only_a_pass_passed():
    assert [s for s in Status if Result(s, "", "").passed] == [Status.PASS]
