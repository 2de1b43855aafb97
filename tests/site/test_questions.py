"""Questions unfold for everybody: with keys, without scripts, on paper."""

import pytest


def groups(seen):
    return seen.page.locator(".edudiff-quiz").all()


def choices(group):
    return group.locator("details").all()


def is_open(choice):
    return choice.get_attribute("open") is not None


def test_a_chapter_asks_three_questions_or_more(chapter):
    if not chapter.path.stem[0].isdigit():
        pytest.skip("a page without a number")
    assert len(chapter.markup.select("article .edudiff-quiz")) >= 3


def test_a_question_is_a_group_with_a_name_of_its_own(page_with_questions):
    markup = page_with_questions.markup
    names = [markup.find(id=each["aria-labelledby"]) for each in markup.select(".edudiff-quiz")]
    said = [name.strong.get_text() for name in names]
    assert all(each.startswith("Question ") for each in said)
    assert len(set(said)) == len(said)


def test_every_question_has_one_right_choice_that_says_so(page_with_questions):
    for group in page_with_questions.markup.select(".edudiff-quiz"):
        said = [each.find_next_sibling("p").strong.text for each in group.select("summary")]
        assert sorted(said) == ["Not quite."] * (len(said) - 1) + ["Right."]


def test_without_scripts_keys_open_a_choice_and_paper_shows_what_is_open(page_with_questions, look):
    with look(page_with_questions.path.as_uri(), java_script_enabled=False) as seen:
        for group in groups(seen):
            first, second, *_ = [choice.locator("p").first for choice in choices(group)]
            assert not first.is_visible()
            group.locator("summary").first.focus()
            seen.page.keyboard.press("Enter")
            assert first.is_visible()
            seen.page.emulate_media(media="print")
            assert first.is_visible() and not second.is_visible()
            seen.page.emulate_media(media="screen")
            seen.page.keyboard.press("Space")
            assert not first.is_visible()


def test_the_tab_key_goes_from_choice_to_choice(page_with_questions, look):
    with look(page_with_questions.path.as_uri()) as seen:
        group = groups(seen)[0]
        group.locator("summary").first.focus()
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        assert [is_open(choice) for choice in choices(group)][:2] == [False, True]
