"""Citations by author and year, from a BibTeX file."""

from pathlib import Path
from typing import TypeAlias

from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, PybtexError, parse_file
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style

from myst.refusals import Refusal

References: TypeAlias = dict[str, Entry]


def load(path: Path) -> References:
    """Read a BibTeX file; where there is none, there are no references.

    Raises:
        Refusal: if the file cannot be read, or an entry has no author or no year.
    """
    if not path.exists():
        return {}
    try:
        entries = dict(parse_file(str(path)).entries)
    except PybtexError as error:
        raise Refusal(getattr(error, "lineno", None) or 1, str(error)) from error
    for key, entry in entries.items():
        if "year" not in entry.fields or not entry.persons.get("author"):
            raise Refusal(1, f"the entry {key!r} needs an author and a year to be cited by")
    return entries


def authors(entry: Entry) -> str:
    """One family name, two joined by "and", or the first of many and "et al."."""
    names = [
        str(Text(" ").join([*person.rich_prelast_names, *person.rich_last_names]))
        for person in entry.persons["author"]
    ]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def address(entry: Entry) -> str | None:
    """Where the work can be read: by DOI, else at arXiv, else at the address it gives."""
    fields = entry.fields
    if "doi" in fields:
        return "https://doi.org/" + fields["doi"].removeprefix("https://doi.org/")
    if "eprint" in fields:
        return "https://arxiv.org/abs/" + fields["eprint"]
    return fields.get("url")


def _linked(words: str, entry: Entry) -> str:
    where = address(entry)
    return f"[{words}]({where})" if where else words


def textual(entries: list[Entry]) -> str:
    """As part of the sentence: "Ho et al. (2020)"."""
    cited = [_linked(f"{authors(entry)} ({entry.fields['year']})", entry) for entry in entries]
    return " and ".join(filter(None, [", ".join(cited[:-1]), cited[-1]]))


def parenthetical(entries: list[Entry]) -> str:
    """Beside the sentence: "(Ho et al., 2020)"."""
    cited = [_linked(f"{authors(entry)}, {entry.fields['year']}", entry) for entry in entries]
    return f"({'; '.join(cited)})"


def listed(entries: References) -> str:
    """A list of references in full, by author and year."""
    keys = sorted(entries, key=lambda key: (authors(entries[key]), entries[key].fields["year"]))
    ordered = BibliographyData({key: entries[key] for key in keys})
    backend = Backend()
    formatted = (entry.text.render(backend) for entry in Style().format_bibliography(ordered))
    return "\n".join(f"- {' '.join(text.split())}" for text in formatted)
