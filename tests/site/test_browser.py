"""The pages as a reader meets them, in Chromium."""

from pathlib import Path

AXE = Path(__file__).resolve().parents[2] / ".web-assets" / "tests" / "axe-core" / "axe.min.js"

OPEN_EVERYTHING = """() => {
  document.querySelectorAll("details").forEach((element) => { element.open = true; });
  document.querySelectorAll(".toggle-button-hidden").forEach((button) => button.click());
}"""
# Formulas are left out: what MathJax draws is hidden from screen readers, which get MathML, and axe
# reads no MathML. It would take a heading that is a formula for an empty one.
FIND_FAULTS = """async (options) => {
  const exclude = [...document.querySelectorAll("mjx-math, th:has(mjx-container)")];
  const { violations } = await axe.run({ include: [document], exclude }, options);
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, html }) =>
    ({ id, help, where: target.join(" "), html })));
}"""
# What is half faded in has too little contrast only for that moment.
END_MOVEMENT = """() => document.getAnimations().forEach((movement) => movement.finish())"""
UNSET_FORMULAS = """() => [...document.querySelectorAll("article .math")]
  .filter((formula) => !formula.querySelector("mjx-container:not(:has(mjx-merror))"))
  .map((formula) => formula.textContent)"""
VISIBLE_PICTURES = """(figure) => [...figure.querySelectorAll("img")]
  .map((image, index) => image.checkVisibility() ? index : -1).filter((index) => index >= 0)"""


def test_a_served_page_opens_without_complaint(page, look, served):
    with look(served(page)) as seen:
        assert seen.complaints == []


def test_a_page_opens_from_the_disk_without_complaint(page, look):
    with look(page.path.as_uri()) as seen:
        assert seen.complaints == []


def test_formulas_are_set(page_with_formulas, look, served):
    with look(served(page_with_formulas)) as seen:
        assert seen.page.evaluate(UNSET_FORMULAS) == []


def test_sliders_move_the_picture_by_keyboard_and_say_so(page_with_sliders, look, served):
    with look(served(page_with_sliders)) as seen:
        for figure in seen.page.locator("figure:has(input[type=range])").all():
            for slider in figure.locator("input[type=range]").all():
                before, said = figure.evaluate(VISIBLE_PICTURES), words_of(slider)
                slider.focus()
                forward = slider.evaluate("(slider) => Number(slider.value) < Number(slider.max)")
                seen.page.keyboard.press("ArrowRight" if forward else "ArrowLeft")
                after = figure.evaluate(VISIBLE_PICTURES)
                assert len(before) == len(after) == 1 and before != after
                assert words_of(slider) not in (None, "", said)
        assert seen.complaints == []


def words_of(slider):
    return slider.get_attribute("aria-valuetext")


def test_without_scripts_a_slider_is_one_picture(page_with_sliders, look):
    with look(page_with_sliders.path.as_uri(), java_script_enabled=False) as seen:
        for figure in seen.page.locator("figure:has(input[type=range])").all():
            assert sum(image.is_visible() for image in figure.locator("img").all()) == 1
            assert not figure.locator("input").first.is_visible()


def faults(seen, options):
    seen.page.evaluate(OPEN_EVERYTHING)
    seen.page.evaluate(END_MOVEMENT)
    seen.page.evaluate(AXE.read_text(encoding="utf-8"))
    return seen.page.evaluate(FIND_FAULTS, options)


def test_axe_finds_no_barrier(page, look, served):
    with look(served(page), color_scheme="light") as seen:
        assert faults(seen, {}) == []


def test_axe_finds_enough_contrast_in_the_dark(page, look, served):
    with look(served(page), color_scheme="dark") as seen:
        assert seen.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert faults(seen, {"runOnly": ["color-contrast"]}) == []


def test_nothing_is_wider_than_a_telephone(page, look, served):
    with look(served(page), viewport={"width": 390, "height": 844}) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_its_title_is_seen_when_all_pages_are_printed_as_one(chapter, look):
    """The theme hides a page's first title on paper; `tools/single_page.py` has no other."""
    with look(chapter.path.as_uri()) as seen:
        seen.page.evaluate("document.querySelector('article').classList.add('edudiff-page')")
        seen.page.emulate_media(media="print")
        assert seen.page.locator("article h1").first.is_visible()
