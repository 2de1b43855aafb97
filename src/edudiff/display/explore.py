"""Sliders that call Python, for a live kernel."""

from collections.abc import Callable
from typing import Any

import ipywidgets


def explore(fn: Callable[..., Any], **params: Any) -> ipywidgets.Widget:
    """Call `fn` again whenever a knob is moved, and show what it returns.

    It needs a running kernel; the static page shows `frames` instead. Works with ipywidgets 7
    (Colab) and 8.

    Args:
        fn: called with one keyword argument for each knob.
        params: for each argument, its knob: (low, high) or (low, high, step) for a slider, a list
            for a menu, a bool for a checkbox, or any ipywidgets widget.

    Raises:
        ValueError: if there is no knob, or ipywidgets can make none of what was given.
    """
    if not params:
        raise ValueError("params: expected at least one knob such as t=(0, 10), got none")
    widget = ipywidgets.interactive(fn, **params)
    for knob in widget.children[:-1]:
        if hasattr(knob, "continuous_update"):
            knob.continuous_update = False
    return widget
