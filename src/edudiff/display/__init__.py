"""Figures, grids and sliders, each with words for those who cannot see it."""

from edudiff.display.explore import explore
from edudiff.display.figures import grid, images, show
from edudiff.display.frames import frames
from edudiff.display.style import INK, PALETTE, axes, use_house_style

__all__ = [
    "INK",
    "PALETTE",
    "axes",
    "explore",
    "frames",
    "grid",
    "images",
    "show",
    "use_house_style",
]
