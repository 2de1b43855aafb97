"""The house style: one palette, one set of axes, readable on paper, screen and projector."""

from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#22262e"
"""Text and axes."""

PALETTE = ("#2f6fb3", "#d2622a", "#3c8d5a", "#8a4fa8", "#b0882c", "#5b6573")
"""Blue, orange, green, violet, ochre, grey: told apart by lightness too, and safe when inverted."""

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.alpha": 0.5,
    "grid.color": "#c9ced6",
    "grid.linewidth": 0.6,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def use_house_style() -> None:
    """Draw in the house style from now on.

    Matplotlib looks its settings up at each call, also after a figure was made: legends, lines and
    words that a cell adds later need them as well.
    """
    matplotlib.rcParams.update(STYLE)


def axes(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.4, 3.6), **options: Any
) -> tuple[Figure, Any]:
    """A new figure and its axes in the house style, which stays in force for the whole notebook.

    The figure is not registered with pyplot, so that it appears where `show` puts it, once.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        size: width and height of the whole figure, in inches of 100 screen pixels.
        options: passed to `matplotlib.figure.Figure.subplots`, such as `sharey=True`.

    Returns:
        The figure, and one Axes or an array of them, as matplotlib's `subplots` does.
    """
    use_house_style()
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)
