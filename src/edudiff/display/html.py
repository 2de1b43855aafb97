"""The markup that every figure shares: the same in the site, in Jupyter and in Colab."""

from html import escape

from PIL import Image

from edudiff.display.encode import data_uri

STYLE = (
    "<style>"
    ".edudiff-figure{margin:1.2em auto;text-align:center;max-width:100%}"
    ".edudiff-figure img{max-width:100%;height:auto;margin:0 auto;display:block;background:none}"
    ".edudiff-figure.pixels img{image-rendering:pixelated}"
    ".edudiff-figure img[hidden],.edudiff-knobs[hidden]{display:none}"
    ".edudiff-figure figcaption{color:inherit;font-size:.92em;margin:.6em auto 0;max-width:44em}"
    ".edudiff-knobs{margin-top:.4em}"
    ".edudiff-knobs label{display:grid;gap:.8em;align-items:center;margin:0 0 .2em;line-height:1.2;"
    "grid-template-columns:minmax(6em,1fr) minmax(6em,22em) minmax(6em,1fr)}"
    ".edudiff-knobs span{text-align:right}"
    ".edudiff-knobs input{width:100%;height:2.6em;margin:0;accent-color:#2f6fb3}"
    ".edudiff-knobs output{text-align:left;overflow-wrap:anywhere;"
    "font-variant-numeric:tabular-nums}"
    "html[data-theme=dark] .edudiff-figure.plot img,html[theme=dark] .edudiff-figure.plot img,"
    "[data-jp-theme-light=false] .edudiff-figure.plot img{filter:invert(.92) hue-rotate(180deg)}"
    "</style>"
)


class Html:
    """Markup that a notebook shows, with words for where there is none."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, text

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        """The description in words, for a terminal."""
        return self.text


def require_alt(alt: str, what: str = "alt") -> str:
    """Return `alt`, or refuse: a picture without words is closed to those who cannot see it.

    Raises:
        ValueError: if there is no text.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"{what}: expected a sentence that describes the picture, got {alt!r}")
    return alt


def image_tag(image: Image.Image, alt: str, width: int, *, hidden: bool = False) -> str:
    """An `<img>` that carries its own bytes and is `width` screen pixels wide where it fits."""
    height = round(image.height * width / image.width)
    return (
        f'<img src="{data_uri(image)}" alt="{escape(alt)}" width="{width}" height="{height}"'
        f"{' hidden' if hidden else ''}>"
    )


def figure(body: str, caption: str | None, *classes: str) -> str:
    """A `<figure>` in the house style around `body`."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="{" ".join(("edudiff-figure", *classes))}">{STYLE}{body}{words}</figure>'
