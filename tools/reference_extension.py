"""The pages that the build makes from the code: the equations' tests, and the package's reference.

A local Sphinx extension, named in `_config.yml`. A page `book/api-<room>.md` holds a few words of
its own; the docstrings of the room's modules are added as the page is read, and `book/equations.md`
gets its list in the same way.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import equations

PACKAGE = "edudiff"
ONLY = {"exercises": ("catalogue", "result")}
"""Of a room with many modules for the book's own use: those that readers call."""

MODULE = """## {name}

```{{eval-rst}}
.. automodule:: {path}
   :members:
```
"""
SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Source", "Yields")
BULLET = re.compile(r" *\* ")
MARKUP = re.compile(r"(?P<code>`[^`]+`)|\*(?!\s)|[|\\]|(?<=\w)_+(?!\w)")
"""Code between backticks, or what would be markup; a star before a blank is only a bullet."""
SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
PARAMETERS = "edudiff-parameters"

SETTINGS = {
    "add_module_names": False,
    "autodoc_default_options": {"member-order": "bysource", "no-value": True},
    "autodoc_inherit_docstrings": False,
    "autodoc_preserve_defaults": True,
    "html_domain_indices": False,
    "napoleon_custom_sections": [("Source", "notes_style")],
    "napoleon_use_ivar": True,
    "napoleon_use_rtype": False,
    "python_maximum_signature_line_length": 60,
    "python_use_unqualified_type_names": True,
    "toc_object_entries_show_parents": "hide",
}
log = logging.getLogger(__name__)


def modules(room: str, source: Path) -> Iterator[str]:
    """The names of a room's modules, `edudiff.layers.attention`, those of its own folders last."""
    paths = sorted(
        (source / PACKAGE / room).rglob("*.py"), key=lambda path: (len(path.parts), path)
    )
    for path in paths:
        if path.stem != "__init__" and path.stem in ONLY.get(room, (path.stem,)):
            yield ".".join(path.relative_to(source).with_suffix("").parts)


def reference(room: str, source: Path) -> str:
    """What a page says of a room, in MyST: a heading and the docstrings of every module."""
    return "\n".join(
        MODULE.format(name=path.removeprefix(f"{PACKAGE}."), path=path)
        for path in modules(room, source)
    )


def add_to_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page, as it is read, what is made for it."""
    root = Path(app.srcdir)
    if room := re.fullmatch(r"book/api-(\w+)", page):
        source[0] += "\n" + reference(room[1], root / "src")
    elif page == "book/equations":
        for complaint in equations.complaints(root):
            log.warning(complaint)
        theme = app.config.html_theme_options
        made = equations.listing(root, theme["repository_url"], theme["repository_branch"])
        source[0] += "\n" + made


def as_rst(words: str) -> str:
    """Docstring text, in which only backticks mean anything, as reStructuredText."""

    def mark(found: re.Match[str]) -> str:
        """Code as code, also before an s; a character that would be markup as itself."""
        if code := found["code"]:
            return f"`{code}`\\ " if words[found.end() : found.end() + 1].isalpha() else f"`{code}`"
        return "\\" + found[0]

    return MARKUP.sub(mark, words)


def verbatim(paragraph: list[str]) -> bool:
    """Whether lines are laid out by hand: a formula, a drawing or code, and not a list."""
    return not BULLET.match(paragraph[0]) and any(line.startswith("    ") for line in paragraph)


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Lines between blank ones."""
    for filled, group in itertools.groupby(lines, lambda line: bool(line.strip())):
        if filled:
            yield list(group)


def translated(lines: list[str]) -> Iterator[str]:
    """A docstring's lines as reStructuredText, up to what napoleon makes of the sections."""
    starts = [number for number, line in enumerate(lines) if line.rstrip(":") in SECTIONS]
    above = starts[0] if starts else len(lines)
    for paragraph in paragraphs(lines[:above]):
        if verbatim(paragraph):
            yield from ("::", "", *("    " + line for line in paragraph), "")
        else:
            yield from (*as_rst("\n".join(paragraph)).split("\n"), "")
    yield from as_rst("\n".join(lines[above:])).split("\n")


def translate(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Turn a docstring into reStructuredText, before its sections are read."""
    lines[:] = translated(list(lines))


def leave_types_plain(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, words: TextElement
) -> Element | None:
    """Write the name of a type that the reference does not describe without a link."""
    return words if node.get("refdomain") == "py" else None


def lay_out(found: re.Match[str]) -> str:
    """A signature with its parameters in boxes: Sphinx's list of them is none that HTML knows."""
    lists = {"<dl>": f'<div class="{PARAMETERS}">', "<dd>": "<div>", "</dl>": "</div>"}
    return re.sub("</?d[ld]>", lambda tag: lists.get(tag[0], "</div>"), found[0])


def finish_page(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Change the signatures on what is about to be written as one page."""
    if "body" in context:
        context["body"] = SIGNATURE.sub(lay_out, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all this with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    for style in ("reference.css", "print.css"):
        app.add_css_file(style, priority=900)  # after edudiff.css
    for name, value in SETTINGS.items():
        app.config[name] = value
    app.connect("source-read", add_to_page)
    app.connect("autodoc-process-docstring", translate, priority=100)  # before napoleon
    app.connect("missing-reference", leave_types_plain)
    app.connect("html-page-context", finish_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
