"""A list of claims, what a page prints about each, and cells that have to find the same."""

from collections import Counter
from collections.abc import Iterable, Mapping

from edudiff import checks

VERDICTS = ("right", "imprecise", "wrong", "not checkable here")
"""What may be said of a claim. The last: neither code nor a published text can decide it here."""


class Disagreement(AssertionError):
    """What a cell found is not what the page prints."""


class FactCheck:
    """The verdicts that a page prints, and those of them that its cells have found.

    Args:
        printed: for each verdict the numbers of the claims that have it.

    Attributes:
        verdicts: number → verdict, in the order of the numbers.
        found: number → verdict, for every claim that `decide` was asked about.

    Raises:
        ValueError: for an unknown verdict, or a claim with two.
    """

    def __init__(self, printed: Mapping[str, Iterable[int]]) -> None:
        known = {name: name for name in VERDICTS}
        pairs = [
            (number, checks.choose("verdict", verdict, known))
            for verdict, numbers in printed.items()
            for number in numbers
        ]
        twice = [number for number, times in Counter(n for n, _ in pairs).items() if times > 1]
        if twice:
            raise ValueError(f"printed: expected one verdict for each claim, got two for {twice}")
        self.verdicts = dict(sorted(pairs))
        self.found: dict[int, str] = {}

    def decide(self, number: int, verdict: str, because: str) -> None:
        """Print what a cell has found about a claim.

        Args:
            number: which claim.
            verdict: what the cell's numbers say; computed, never written down.
            because: the numbers.

        Raises:
            Disagreement: if the page prints another verdict.
            ValueError: for a claim that the page does not have, or one that was decided already.
        """
        if number not in self.verdicts:
            raise ValueError(f"number: expected one of the page's claims, got {number}")
        if number in self.found:
            raise ValueError(f"number: expected a claim that is still open, got {number}")
        printed = self.verdicts[number]
        if verdict != printed:
            raise Disagreement(f"claim {number}: the page prints {printed}, found {verdict}")
        self.found[number] = verdict
        print(f"{number:2}  {verdict}: {because}")

    def summary(self) -> str:
        """How many claims have each verdict, and how many of those cells have found."""
        printed, found = Counter(self.verdicts.values()), Counter(self.found.values())
        lines = [f"{name:20} {printed[name]:2}, by cells {found[name]:2}" for name in VERDICTS]
        total = f"{'together':20} {len(self.verdicts):2}, by cells {len(self.found):2}"
        return "\n".join([*lines, total])
