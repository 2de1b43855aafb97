"""A graph of boxes and wires, as node editors such as ComfyUI draw a pipeline."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from edudiff.display.style import INK, PALETTE, axes

WIDTH, LANE, LINE, GAP_X, GAP_Y = 2.05, 0.1, 0.2, 0.2, 0.42
"""Of a box, of a wire that passes by, of a line of text, between boxes, between rows: in inches."""

LONGEST = 28
"""Letters of a line; what is longer is cut off, and three dots say so."""

Wire = tuple[str, str, str]
Point = tuple[float, float]


class Place(NamedTuple):
    """Where a box is, or a wire passes by: left and top, width and height, in inches."""

    x: float
    y: float
    width: float
    height: float


def rows(names: Sequence[str], wires: Sequence[Wire]) -> dict[str, int]:
    """For each box how far down it is: above all that need it, and no higher than it must be.

    Args:
        names: of all boxes.
        wires: (from, to, what it carries).

    Raises:
        ValueError: if a wire's end is no box, or wires go round in a circle.
    """
    above = dict.fromkeys(names, 0)  # the longest way from a box to where nothing follows
    for source, target, _ in wires:
        if not {source, target} <= set(above):
            raise ValueError(f"wires: expected ends among {sorted(above)}, got {source, target}")
    for _ in range(len(above) + 1):
        moved = False
        for source, target, _ in wires:
            if above[source] <= above[target]:
                above[source], moved = above[target] + 1, True
        if not moved:
            return {name: max(above.values()) - number for name, number in above.items()}
    raise ValueError("wires: expected none that lead back to where they began, got a circle")


def draw(boxes: Mapping[str, Sequence[str]], wires: Sequence[Wire]) -> Figure:
    """Draw boxes from top to bottom, and wires in one colour for each thing that they carry.

    Args:
        boxes: for each box its lines of text, the first being its title.
        wires: (from, to, what it carries), of up to six kinds.

    Returns:
        A figure, to be shown by `display.show`.

    Raises:
        ValueError: without boxes, for one without text, for more than six kinds of wire, and what
            `rows` raises.
    """
    kinds = list(dict.fromkeys(kind for *_, kind in wires))
    if not boxes or not all(boxes.values()):
        raise ValueError(
            "boxes: expected at least one, each with a title, got none or an empty one"
        )
    if len(kinds) > len(PALETTE):
        raise ValueError(f"wires: expected at most {len(PALETTE)} kinds, got {len(kinds)}")
    places, ways = _arrange(boxes, wires)
    wide = max(place.x + place.width for place in places.values()) + LANE
    high = max(place.y + place.height for place in places.values()) + LANE
    figure, ax = axes(size=(wide, high + 0.35))
    ax.set(xlim=(0, wide), ylim=(high, 0))
    ax.axis("off")
    colours = dict(zip(kinds, PALETTE, strict=False))
    for kind, colour in colours.items():
        ax.plot([], [], color=colour, label=kind)
    for points, (*_, kind) in zip(_routes(places, ways), wires, strict=True):
        codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
        line = PathPatch(Path(points, codes), facecolor="none", edgecolor=colours[kind], lw=1.8)
        ax.add_patch(line)
    for name, lines in boxes.items():
        _draw_box(ax, places[name], lines)
    if kinds:
        figure.legend(loc="outside lower center", ncols=len(kinds))
    return figure


def _arrange(
    boxes: Mapping[str, Sequence[str]], wires: Sequence[Wire]
) -> tuple[dict[str, Place], list[list[str]]]:
    """A place for each box and each passing wire, and for each wire what it goes through."""
    depth, ways = rows(list(boxes), wires), []
    table: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, row in depth.items():
        table[row].append(name)
    for index, (source, target, _) in enumerate(wires):
        passed = {
            row: f"wire {index}, row {row}" for row in range(depth[source] + 1, depth[target])
        }
        for row, name in passed.items():
            table[row].append(name)
        ways.append([source, *passed.values(), target])
    widths = {name: WIDTH if name in boxes else LANE for each in table for name in each}
    longest = max(_width(each, widths) for each in table)
    places: dict[str, Place] = {}
    y = LANE
    for each in table:
        before = {name: [w[w.index(name) - 1] for w in ways if name in w[1:]] for name in each}
        each.sort(key=lambda name: _middle([places[b] for b in before[name]], longest))
        high = max(_height(boxes.get(name, ())) for name in each)
        x = LANE + (longest - _width(each, widths)) / 2
        for name in each:
            tall = _height(boxes[name]) if name in boxes else high
            places[name] = Place(x, y + (high - tall) / 2, widths[name], tall)
            x += widths[name] + GAP_X
        y += high + GAP_Y
    return places, ways


def _width(names: Sequence[str], widths: Mapping[str, float]) -> float:
    return sum(widths[name] + GAP_X for name in names) - GAP_X


def _height(lines: Sequence[str]) -> float:
    return LINE * (len(lines) + 0.7)


def _middle(places: Sequence[Place], otherwise: float) -> float:
    return fmean(place.x + place.width / 2 for place in places) if places else otherwise


def _routes(places: Mapping[str, Place], ways: Sequence[Sequence[str]]) -> list[list[Point]]:
    """The points of each wire's curves; wires at one side of a box stand side by side."""
    leaving, arriving = (
        {name: [i for i, way in enumerate(ways) if way[end] == name] for name in places}
        for end in (0, -1)
    )
    routes = []
    for index, way in enumerate(ways):
        start, stop = places[way[0]], places[way[-1]]
        out = sorted(leaving[way[0]], key=lambda i: places[ways[i][1]].x)
        into = sorted(arriving[way[-1]], key=lambda i: places[ways[i][-2]].x)
        points = [(_port(start, out, index), start.y + start.height)]
        for passed in (places[name] for name in way[1:-1]):
            x = passed.x + passed.width / 2
            points += _bend(points[-1], (x, passed.y))
            points += _bend(points[-1], (x, passed.y + passed.height))
        routes.append(points + _bend(points[-1], (_port(stop, into, index), stop.y)))
    return routes


def _port(place: Place, wires: Sequence[int], index: int) -> float:
    return place.x + place.width * (wires.index(index) + 1) / (len(wires) + 1)


def _bend(begin: Point, end: Point) -> list[Point]:
    half = (begin[1] + end[1]) / 2
    return [(begin[0], half), (end[0], half), end]


def _draw_box(ax: Any, place: Place, lines: Sequence[str]) -> None:
    style = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(
        place[:2], *place[2:], boxstyle=style, facecolor="white", edgecolor=INK, zorder=2
    )
    ax.add_patch(box)
    for index, line in enumerate(lines):
        weight = "bold" if index == 0 else "normal"
        spot = (place.x + 0.07, place.y + LINE * (index + 0.85))
        seen = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
        ax.text(*spot, seen, fontsize=8.5, weight=weight, va="center", zorder=3)
