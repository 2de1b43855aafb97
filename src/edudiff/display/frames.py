"""Sliders over pictures drawn beforehand: plain HTML that needs no kernel and no library."""

import itertools
import json
from collections.abc import Sequence, Sized
from html import escape
from typing import Any

from PIL import Image
from torch import Tensor

from edudiff.display import html
from edudiff.display.encode import Picture, to_image
from edudiff.display.figures import kind, shown_width

FRAME_DPI = 110

SCRIPT = """<script>(() => {
for (const figure of document.querySelectorAll("figure.edudiff-frames:not([data-ready])")) {
  figure.dataset.ready = "yes";
  const images = [...figure.querySelectorAll("img")];
  const notes = [...figure.querySelectorAll(".edudiff-note")];
  const knobs = [...figure.querySelectorAll("input")];
  const update = () => {
    let index = 0;
    for (const knob of knobs) {
      const values = JSON.parse(knob.dataset.values);
      index = index * values.length + Number(knob.value);
      knob.setAttribute("aria-valuetext", values[knob.value]);
      knob.nextElementSibling.textContent = values[knob.value];
    }
    for (const each of [images, notes]) each.forEach((e, i) => { e.hidden = i !== index; });
  };
  knobs.forEach((knob) => knob.addEventListener("input", update));
  figure.querySelector(".edudiff-knobs").hidden = false;
  update();
}
})();</script>"""


def frames(
    images: Tensor | Sequence[Picture] | Sequence[Sequence[Picture]],
    alts: Sequence[str] | Sequence[Sequence[str]],
    label: str | tuple[str, str],
    *,
    values: Sequence[Any] | tuple[Sequence[Any], Sequence[Any]] | None = None,
    start: int | tuple[int, int] = 0,
    notes: Sequence[str] | Sequence[Sequence[str]] | None = None,
    caption: str | None = None,
    scale: int | None = None,
) -> html.Html:
    """A slider that changes the picture, or two sliders over a grid of pictures.

    It works by touch, mouse and keyboard, in the site (also offline), in Jupyter and in Colab.
    Where scripts are off, the picture at `start` stands there by itself.

    Args:
        images: pictures for one slider; or rows of pictures, `images[i][j]`, for two.
        alts: what each picture shows, in the same arrangement.
        label: what the slider changes; or the two labels, of i and of j.
        values: what each stop is called, shown beside the slider; or two such lists. Counts from
            1 if not given.
        start: the stop to begin with; or the two stops.
        notes: a line to print below each picture, in the same arrangement; none if not given.
        caption: what to notice, printed below.
        scale: screen pixels per pixel, for pictures; chosen by size if not given.

    Raises:
        ValueError: if there are fewer than two stops, arrangements do not match, pictures differ
            in size, a text is missing or `start` is outside.
    """
    labels = (label,) if isinstance(label, str) else tuple(label)
    two = len(labels) == 2
    if len(labels) not in (1, 2):
        raise ValueError(f"label: expected one or two labels, got {label!r}")
    sizes = _sizes(images, two)
    flat_images, flat_alts = _flatten(images, sizes, "images"), _flatten(alts, sizes, "alts")
    stops = _stops(values, sizes)
    starts = tuple(start) if isinstance(start, tuple) else (start,) * len(sizes)
    if len(starts) != len(sizes) or not all(0 <= s < n for s, n in zip(starts, sizes, strict=True)):
        raise ValueError(f"start: expected stops inside the sizes {sizes}, got {start!r}")
    flat_notes = [] if notes is None else _flatten(notes, sizes, "notes")
    for text in (*labels, *flat_alts):
        html.require_alt(text, "label and alts")
    pictures = [to_image(picture, dpi=FRAME_DPI) for picture in flat_images]
    if len({picture.size for picture in pictures}) != 1:
        got = sorted({picture.size for picture in pictures})
        raise ValueError(f"images: expected pictures of one size, got sizes {got}")
    first = starts[0] * sizes[1] + starts[1] if two else starts[0]
    width = shown_width(flat_images[0], pictures[0], scale, FRAME_DPI)
    body = _stage(pictures, flat_alts, width, first) + _notes(flat_notes, first)
    body += _knobs(labels, stops, starts)
    classes = ("edudiff-frames", *kind(flat_images[0], pictures[0]))
    return html.Html(html.figure(body + SCRIPT, caption, *classes), flat_alts[first])


def _sizes(images: Tensor | Sequence[Any], two: bool) -> tuple[int, ...]:
    if two and not all(isinstance(row, Sized) for row in images):
        raise ValueError("images: expected rows of pictures for two sliders, got a single row")
    sizes = (len(images), len(images[0])) if two and len(images) else (len(images),)
    if min(sizes) < 2 or len(sizes) != 1 + two:
        raise ValueError(f"images: expected at least 2 stops for each slider, got {sizes}")
    return sizes


def _flatten(rows: Tensor | Sequence[Any], sizes: tuple[int, ...], what: str) -> list[Any]:
    if len(rows) != sizes[0] or (len(sizes) == 2 and any(len(row) != sizes[1] for row in rows)):
        raise ValueError(f"{what}: expected an arrangement of sizes {sizes}, got another")
    return list(itertools.chain.from_iterable(rows)) if len(sizes) == 2 else list(rows)


def _stops(values: Any, sizes: tuple[int, ...]) -> list[list[str]]:
    if values is None:
        return [[str(i + 1) for i in range(size)] for size in sizes]
    lists = list(values) if len(sizes) == 2 else [values]
    if [len(each) for each in lists] != list(sizes):
        got = [len(each) for each in lists]
        raise ValueError(f"values: expected one name for each stop, {list(sizes)}, got {got}")
    return [[str(value) for value in each] for each in lists]


def _stage(pictures: list[Image.Image], alts: list[str], width: int, first: int) -> str:
    return "".join(
        html.image_tag(picture, alt, width, hidden=index != first)
        for index, (picture, alt) in enumerate(zip(pictures, alts, strict=True))
    )


def _notes(notes: list[str], first: int) -> str:
    """One line of text for each stop, read aloud when it changes."""
    lines = "".join(
        f'<div class="edudiff-note"{"" if index == first else " hidden"}>{escape(note)}</div>'
        for index, note in enumerate(notes)
    )
    return f'<div aria-live="polite">{lines}</div>' if lines else ""


def _knobs(labels: tuple[str, ...], stops: list[list[str]], starts: tuple[int, ...]) -> str:
    rows = "".join(
        f"<label><span>{escape(label)}</span>"
        f'<input type="range" min="0" max="{len(names) - 1}" value="{start}" autocomplete="off" '
        f'aria-label="{escape(label)}" aria-valuetext="{escape(names[start])}" '
        f'data-lm-suppress-shortcuts="true" data-values="{escape(json.dumps(names))}">'
        f"<output>{escape(names[start])}</output></label>"
        for label, names, start in zip(labels, stops, starts, strict=True)
    )
    return f'<div class="edudiff-knobs" hidden>{rows}</div>'
