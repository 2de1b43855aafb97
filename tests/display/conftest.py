"""Reading the markup that figures are made of."""

import base64
import io
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from PIL import Image

Tags = list[dict[str, str | None]]


class _Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(autouse=True)
def _matplotlib_as_it_was() -> Iterator[None]:
    """The house style stays in force once used; the next test starts without it."""
    with matplotlib.rc_context():
        yield


@pytest.fixture
def tags() -> Callable[[str, str], Tags]:
    """`tags(markup, "img")` → the attributes of every such element, in order."""

    def collect(markup: str, name: str) -> Tags:
        collector = _Collector()
        collector.feed(markup)
        collector.close()
        return [attributes for tag, attributes in collector.found if tag == name]

    return collect


@pytest.fixture
def decoded() -> Callable[[str], np.ndarray]:
    """The pixels inside a `data:` address."""

    def decode(address: str) -> np.ndarray:
        head, _, body = address.partition(";base64,")
        assert head == "data:image/webp"
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(body, validate=True))))

    return decode
