"""The directive `quiz`: a question whose choices unfold, each with what is to be said of it.

Part of the local Sphinx extension. A choice is a native `<details>`, so that it can be opened with
a mouse, a finger or the keyboard, without a script, in a page read from the disk.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from myst.book import numbered
from myst.quizzes import Choice, parse
from myst.refusals import Refusal


class Question(nodes.General, nodes.Element):
    """The whole block, `name` its anchor: words first, then the choices."""


class QuestionWords(nodes.General, nodes.TextElement):
    """What is asked."""


class Answer(nodes.General, nodes.Element):
    """A choice: words first, then feedback."""


class AnswerWords(nodes.General, nodes.TextElement):
    """What a choice says."""


class Quiz(SphinxDirective):
    """A question with its choices; see `myst.quizzes.parse` for what stands inside."""

    has_content = True
    required_arguments = 0
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make the block, or say what is wrong with it."""
        question = self.arguments[0] if self.arguments else ""
        first = self.content_offset + 1
        try:
            choices = parse(question, "\n".join(self.content), self.lineno, first)
        except Refusal as refusal:
            raise self.error(str(refusal)) from refusal
        count = self.env.new_serialno("quiz") + 1
        number = numbered(Path(self.env.docname).name, count)
        block = Question(name=f"question-{number.replace('.', '-')}")  # unlike any other page's
        label = nodes.strong("", f"Question {number}. ")
        block += QuestionWords("", "", label, *self._inline(question))
        block += [self._answer(choice) for choice in choices]
        return [block]

    def _inline(self, text: str) -> list[nodes.Node]:
        words, messages = self.state.inline_text(text, self.lineno)
        return [*words, *messages]

    def _answer(self, choice: Choice) -> Answer:
        answer = Answer(kind="right" if choice.right else "wrong")
        letter = nodes.inline("", f"{choice.letter}. ", classes=["edudiff-letter"])
        words = nodes.inline("", "", *self._inline(choice.words))
        answer += AnswerWords("", "", letter, words)
        said = f"**{choice.verdict}** {choice.feedback.strip()}".split("\n")
        offset = choice.line - self.lineno
        self.state.nested_parse(StringList(said, "quiz"), offset, answer)
        return answer


def open_question(writer: Any, node: Question) -> None:
    """A group that a screen reader calls by its question."""
    attributes = {"role": "group", "aria-labelledby": node["name"]}
    writer.body.append(writer.starttag(node, "div", CLASS="edudiff-quiz", **attributes))


def open_question_words(writer: Any, node: QuestionWords) -> None:
    """The question, which is the group's name."""
    writer.body.append(writer.starttag(node, "p", "", ids=[node.parent["name"]]))


def open_answer(writer: Any, node: Answer) -> None:
    """Closed until asked for."""
    writer.body.append(writer.starttag(node, "details", CLASS=f"edudiff-{node['kind']}"))


def open_answer_words(writer: Any, node: AnswerWords) -> None:
    """The part of a choice that is always seen."""
    writer.body.append(writer.starttag(node, "summary", ""))


def closing(tag: str) -> Any:
    """What ends an element."""
    return lambda writer, node: writer.body.append(f"</{tag}>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and how it is written."""
    app.add_node(Question, html=(open_question, closing("div")))
    app.add_node(QuestionWords, html=(open_question_words, closing("p")))
    app.add_node(Answer, html=(open_answer, closing("details")))
    app.add_node(AnswerWords, html=(open_answer_words, closing("summary")))
    app.add_directive("quiz", Quiz)
    app.add_css_file("quiz.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
