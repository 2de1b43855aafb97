"""Every MyST construct of the book becomes Markdown that any notebook program shows."""

import pytest

FORMULA = "```{math}\n:label: e\nx = 1\n```"
EXERCISE = """\
```{exercise} By hand
:label: page-1
What is $x$?
```
"""


@pytest.mark.parametrize("name", ["note", "tip", "warning", "important"])
def test_an_admonition_becomes_a_quotation_with_a_bold_name(book, name):
    made = book.markdown(f"```{{{name}}}\nFirst.\n\nSecond.\n```")
    assert made == f"> **{name.capitalize()}**\n>\n> First.\n>\n> Second."


def test_words_behind_a_notes_name_belong_to_it(book):
    assert book.markdown("```{note} First.\n```") == "> **Note**\n>\n> First."


def test_an_admonitions_own_title_is_bold(book):
    made = book.markdown("```{admonition} Why *this*\n:class: tip\nFor a reason.\n```")
    assert made == "> **Why *this***\n>\n> For a reason."


def test_a_dropdown_becomes_details_with_a_summary(book):
    made = book.markdown("```{dropdown} If a < b\nThen so.\n```")
    assert made == "<details>\n<summary>If a &lt; b</summary>\n\nThen so.\n\n</details>"


def test_a_dropdown_may_be_open_from_the_start(book):
    assert book.markdown("```{dropdown} More\n:open:\nA.\n```").startswith("<details open>")


def test_directives_nest(book):
    made = book.markdown("````{dropdown} More\n```{tip}\nSee {eq}`e`.\n```\n````\n\n" + FORMULA)
    assert "</summary>\n\n> **Tip**\n>\n> See (1).\n\n</details>" in made


def test_colons_fence_directives_too(book):
    assert book.markdown(":::{note}\nWords.\n:::") == "> **Note**\n>\n> Words."


def test_a_directive_in_a_list_stays_in_its_item(book):
    made = book.markdown("- item\n\n  ```{note}\n  Words.\n  ```")
    assert made == "- item\n\n  > **Note**\n  >\n  > Words."


def test_text_below_a_quotation_does_not_run_into_it(book):
    assert book.markdown("```{note}\nA.\n```\nB.") == "> **Note**\n>\n> A.\n\nB."


def test_a_labelled_formula_carries_its_number(book):
    assert book.markdown(FORMULA) == r"$$ x = 1 \tag{1} $$"


def test_formulas_are_counted_in_the_order_of_the_page(book):
    second = FORMULA.replace(": e", ": f").replace("x", "y")
    made = book.markdown(f"{FORMULA}\n\n```{{math}}\nu = 2\n```\n\n{second}")
    assert made == "$$ x = 1 \\tag{1} $$\n\n$$ u = 2 $$\n\n$$ y = 1 \\tag{2} $$"


def test_formulas_inside_other_directives_are_counted(book):
    second = FORMULA.replace(": e", ": f")
    made = book.markdown(f"````{{note}}\n{FORMULA}\n````\n\n{second}")
    assert made.endswith(r"> $$ x = 1 \tag{1} $$" + "\n\n" + r"$$ x = 1 \tag{2} $$")


def test_rows_of_a_formula_are_aligned(book):
    made = book.markdown("```{math}\na &= b \\\\\nc &= d\n```")
    assert made == r"$$ \begin{aligned} a &= b \\ c &= d \end{aligned} $$"


def test_a_formula_between_dollars_stays_one_on_one_line(book):
    assert book.markdown("$$\nx\n= 1\n$$") == "$$ x = 1 $$"


def test_tex_comments_do_not_swallow_the_formula(book):
    assert book.markdown("$$\na % why\n= 50\\%\n$$") == r"$$ a = 50\% $$"


def test_a_formula_in_a_quotation_holds_no_quotation_marks(book):
    made = book.markdown("```{note}\nFor $a\n+ b$ and\n\n$$\nc\n$$\n```")
    assert made == "> **Note**\n>\n> For $a + b$ and\n>\n> $$ c $$"


def test_a_formulas_number_is_quoted(book):
    assert book.markdown(FORMULA + "\n\nSee {eq}`e`.").endswith("See (1).")


def test_a_formula_on_another_page_is_linked_with_its_page(book):
    book.write(FORMULA, "01-other")
    assert book.markdown("See {eq}`e`.") == "See [(1) in “The page”](01-other.ipynb)."


def test_a_figure_becomes_a_picture_found_from_the_notebooks_folder(book):
    made = book.markdown("```{figure} picture.png\n:alt: A [small] dot\n:width: 50%\nA dot.\n```")
    assert made == "![A \\[small\\] dot](../book/picture.png)\n\nA dot."


def test_a_page_is_linked_by_its_notebook(book):
    book.write("", "01-other")
    assert book.markdown("See {doc}`01-other`.") == "See [The page](01-other.ipynb)."


def test_a_page_without_a_notebook_is_linked_on_the_site(book):
    book.write("", "words", code="")
    expected = "See [some words](https://org.example/book/book/words.html)."
    assert book.markdown("See {doc}`some words <words>`.") == expected


def test_a_section_is_linked_by_its_title(book):
    made = book.markdown("(here)=\n## A part\n\nSee {ref}`here` and {ref}`this\none <here>`.")
    assert made == '<a id="here"></a>\n\n## A part\n\nSee [A part](#here) and [this one](#here).'


def test_a_section_of_another_page_is_linked_there(book):
    book.write("(here)=\n## A section", "01-other")
    assert book.markdown("{ref}`here`") == "[A section](01-other.ipynb#here)"


def test_an_exercise_is_referred_to_by_number_and_title(book):
    made = book.cells("See {ref}`page-1`.\n\n" + EXERCISE)
    assert "See Exercise 2.1 (By hand)." in made[0].source


def test_a_figure_is_referred_to_by_its_caption(book):
    figure = "```{figure} picture.png\n:alt: A dot\n:name: dot\nThe dot.\n```"
    assert book.markdown(f"{figure}\n\n{{ref}}`dot`").endswith("[The dot.](#dot)")


def test_many_authors_are_cited_by_the_first(book):
    made = book.markdown("As {cite:t}`ho2020` show.")
    assert made == "As [Ho et al. (2020)](https://arxiv.org/abs/2006.11239) show."


def test_authors_who_are_not_all_named_are_cited_by_the_first(book):
    assert book.markdown("{cite:t}`others2025`") == "Name et al. (2025)"


def test_two_authors_are_cited_by_both_with_their_accents(book):
    made = book.markdown("{cite:t}`two1957`")
    assert made == "[Fréchet and van der Waerden (1957)](https://doi.org/10.1000/x)"


def test_a_company_is_cited_whole_and_without_a_link_if_it_has_none(book):
    assert book.markdown("Noted {cite:p}`plain2024`.") == "Noted (A Company, 2024)."


def test_several_works_are_cited_in_one_pair_of_brackets(book):
    made = book.markdown("So {cite:p}`plain2024,\nho2020`.")
    assert made == "So (A Company, 2024; [Ho et al., 2020](https://arxiv.org/abs/2006.11239))."


def test_several_works_are_named_one_after_the_other(book):
    made = book.markdown("{cite:t}`plain2024, plain2024, plain2024`")
    assert made == "A Company (2024), A Company (2024) and A Company (2024)"


def test_a_bibliography_lists_what_the_page_cites(book):
    made = book.markdown("{cite:t}`ho2020`\n\n```{bibliography}\n```")
    *_, listed = made.split("\n")
    assert listed.startswith("- Jonathan Ho, Ajay Jain, and Pieter Abbeel")
    assert "https://arxiv.org/abs/2006.11239" in listed


def test_comments_are_dropped(book):
    assert book.markdown("Before.\n% a note to myself\nAfter.") == "Before.\n\nAfter."


def test_a_listing_is_left_alone(book):
    listing = "````markdown\n```{unknown}\n{eq}`nothing`\n% no comment\n```\n````"
    assert book.markdown(listing) == listing


def test_inline_code_is_left_alone(book):
    text = "Write `{eq}` or ``{eq}`x` `` or `[a](b.md)`."
    assert book.markdown(text) == text


def test_braces_in_formulas_and_dollars_in_sentences_are_left_alone(book):
    text = "With $x_{{t}}$ and $[^1](2)$, for \\$5\nor 6$."
    assert book.markdown(text) == text


def test_links_to_the_outside_are_left_alone(book):
    text = "See [there](https://example.org/a_(b)) or <https://example.org>."
    assert book.markdown(text) == text
