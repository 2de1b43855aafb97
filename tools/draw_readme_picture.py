"""Draw the README's picture: run the first page of the book and keep four of its frames."""

from pathlib import Path

import jupytext

from edudiff import display
from edudiff.display.encode import to_image

ROOT = Path(__file__).resolve().parent.parent
STEPS_SHOWN = (0, 60, 89, 100)


def main() -> None:
    """Write `book/figures/noise-to-word.png`."""
    page = jupytext.read(ROOT / "book" / "intro.md", fmt="md:myst")
    names: dict = {}
    for cell in page.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "book/intro.md", "exec"), names)
    panels = [to_image(names["draw"](names["path"][k]), dpi=100) for k in STEPS_SHOWN]
    target = ROOT / "book" / "figures" / "noise-to-word.png"
    target.parent.mkdir(exist_ok=True)
    display.grid(panels, columns=2).convert("P", colors=32).save(target, optimize=True)
    print(f"wrote {target.relative_to(ROOT)}, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
