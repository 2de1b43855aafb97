"""What the theme cannot be told by configuration: links to the notebooks, times, cleaner markup.

A local Sphinx extension, named in `_config.yml`.
"""

import re
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from docutils.nodes import reference
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

import chapter_times

COLAB = "https://colab.research.google.com/github"

UNWANTED_MARKUP = re.compile(
    r' role="(?:doc-biblioentry|list)"'  # roles that do not fit the elements they stand on
    r'| aria-label="Toggle hidden content"(?=>\s*<p)'  # contradicts the words inside
)
FORMULA = re.compile(r'([(“]?)(<span class="math [^>]*>[^<]*</span>)([,.;:!?)”]*)')
UNWANTED_FILES = re.compile("thebe", re.IGNORECASE)
"""Live code inside the page: not used here, and its home is another host."""

RUN = """<p class="edudiff-run">
<a class="edudiff-colab" href="{colab}">Open in Colab</a>
<a href="{notebook}" download>Download the notebook</a>
</p>"""


round_brackets = partial(BracketStyle, left="(", right=")")


@dataclass
class RoundAuthorYear(AuthorYearReferenceStyle):
    """Citations as the notebooks have them: "Ho et al. (2020)"."""

    bracket_textual: BracketStyle = field(default_factory=round_brackets)
    bracket_parenthetical: BracketStyle = field(default_factory=round_brackets)


def colab_address(repository: str, branch: str, name: str) -> str:
    """Where Colab opens `notebooks/<name>.ipynb` of a GitHub repository, at a branch or tag."""
    owner, project = repository.rstrip("/").split("/")[-2:]
    return f"{COLAB}/{owner}/{project}/blob/{branch}/notebooks/{name}.ipynb"


def add_links(body: str, colab: str, notebook: str) -> str:
    """Put the two links below the page's title."""
    return body.replace("</h1>", "</h1>\n" + RUN.format(colab=colab, notebook=notebook), 1)


def tie(formula: re.Match[str]) -> str:
    """Keep a formula and the punctuation around it on one line, as browsers do with words."""
    before, _, after = formula.groups()
    whole = formula.group()
    return f'<span class="edudiff-tied">{whole}</span>' if before or after else whole


def finish_page(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Change what is about to be written as one page."""
    theme = app.config.html_theme_options
    repository, name = theme["repository_url"], Path(pagename).name
    source = {"type": "link", "icon": "fa-solid fa-code", "tooltip": "Source on GitHub"}
    context["header_buttons"] = [{**source, "url": repository}]
    for kind in ("script_files", "css_files"):
        files = context.get(kind, [])
        context[kind] = [file for file in files if not UNWANTED_FILES.search(str(vars(file)))]
    if "body" not in context:
        return
    context["body"] = FORMULA.sub(tie, UNWANTED_MARKUP.sub("", context["body"]))
    if (Path(app.srcdir) / "notebooks" / f"{name}.ipynb").exists():
        colab = colab_address(repository, theme["repository_branch"], name)
        notebook = context["pathto"](f"notebooks/{name}.ipynb", resource=True)
        context["body"] = add_links(context["body"], colab, notebook)


def add_times(app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page, as it is read, how long chapters take."""
    source[0] = chapter_times.complete(page, source[0], Path(app.srcdir))


def number_by_file_name(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number chapter 06 as 6 even while there is no 05; Sphinx would count what is there.

    Returns:
        The chapters whose number changed; Sphinx writes them again.
    """
    changed = []
    for page, numbers in env.toc_secnumbers.items():
        named = re.match(r"(\d+)-", Path(page).name)
        counted = next((number for number in numbers.values() if number), None)
        if named is None or counted is None or counted[0] == int(named[1]):
            continue
        own = int(named[1])
        changed.append(page)
        for anchor, number in numbers.items():
            numbers[anchor] = number and (own, *number[1:])  # None where nothing is numbered
        for things in env.toc_fignumbers.get(page, {}).values():
            things.update({label: (own, *number[1:]) for label, number in things.items()})
        for node in [env.titles[page], *env.tocs[page].findall(reference)]:
            if node.get("secnumber"):
                node["secnumber"] = (own, *node["secnumber"][1:])
    return changed


def copy_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Lay the notebooks beside the pages, so that they can be had without GitHub."""
    if error is None and app.builder.name == "html":
        target = Path(app.outdir) / "notebooks"
        shutil.copytree(Path(app.srcdir) / "notebooks", target, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all this with Sphinx."""
    app.setup_extension("quiz_directive")
    register_plugin("sphinxcontrib.bibtex.style.referencing", "round_author_year", RoundAuthorYear)
    app.connect("source-read", add_times)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("env-get-updated", number_by_file_name, priority=900)  # after Sphinx has counted
    app.connect("build-finished", copy_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
