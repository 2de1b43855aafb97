"""A scene as a collection of pictures would hold it: drawn small, cut off, wide or tall.

Stable Diffusion XL learns from all of these, and is told with each picture how it came to be: that
is its micro-conditioning. All lengths here are in pixels, heights before widths.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from edudiff import checks
from edudiff.data.drawing import draw
from edudiff.data.scenes import Scene

SQUARE, WIDE, TALL = (64, 64), (64, 96), (96, 64)
BUCKETS = (SQUARE, WIDE, TALL)
"""(height, width) of the pictures of each bucket. The short side is always the same: the objects
then are as large as in a square, and need not be learnt again."""

SMALL_SHARE, CROPPED_SHARE = 0.2, 0.2
"""How many pictures are drawn small, and how many are cut off; one in 25 is both."""

SMALLEST, LARGEST = 8, 128
MOST_SHOWN = 1.75
"""Of a picture that is cut off, the whole was at most so many times as high and as wide."""

BEST_SCORE, WORST_SCORE = 6.0, 2.0


@dataclass(frozen=True)
class View:
    """How a picture of a scene came to be.

    Attributes:
        height: of the picture.
        width: of the picture.
        original: in how many pixels the short side of the scene was drawn; even, at least 8.
        shown: to how many pixels that side was brought before the picture was cut out of it; even,
            and at least the picture's own short side.
        top: row of the whole at which the picture begins.
        left: column of the whole at which it begins.

    Raises:
        ValueError: if a side is no multiple of 16, a number is odd or out of range, or the picture
            does not lie within the whole.
    """

    height: int = 64
    width: int = 64
    original: int = 64
    shown: int = 64
    top: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        checks.whole_at_least(16, height=self.height, width=self.width)
        checks.whole_at_least(SMALLEST, original=self.original)
        checks.whole_at_least(self.short, shown=self.shown)
        for name in ("height", "width"):
            if getattr(self, name) % 16:
                raise ValueError(f"{name}: expected a multiple of 16, got {getattr(self, name)}")
        for name in ("original", "shown"):
            side = getattr(self, name)
            if any(size % 1 for size in self._sides(side)):
                raise ValueError(f"{name}: expected an even number, got {side}")
        whole = self._sides(self.shown)
        for name, corner, room in (
            ("top", self.top, whole[0] - self.height),
            ("left", self.left, whole[1] - self.width),
        ):
            if not 0 <= corner <= room:
                raise ValueError(f"{name}: expected 0 to {room:g}, got {corner}")

    @property
    def short(self) -> int:
        """The picture's short side."""
        return min(self.height, self.width)

    def _sides(self, short: int) -> tuple[float, float]:
        """Height and width of the whole scene when its short side has so many pixels."""
        return short * self.height / self.short, short * self.width / self.short

    @property
    def original_size(self) -> tuple[int, int]:
        """Height and width in which the whole scene was drawn."""
        height, width = self._sides(self.original)
        return int(height), int(width)

    @property
    def time_ids(self) -> tuple[int, ...]:
        """The six numbers SDXL is told: original size, crop corner, size of the picture.

        Source:
            Podell et al. 2023 (arXiv:2307.01952), sections 2.2 and 2.3. In diffusers:
            `original_size + crops_coords_top_left + target_size`.
        """
        return (*self.original_size, self.top, self.left, self.height, self.width)

    @property
    def aesthetic_score(self) -> float:
        """From 2, drawn very small or cut off, to 6: whole and with all its pixels.

        It stands in for the network that scored SDXL's pictures; here a rule can say what it is
        that spoils a picture: each lost pixel of the short side, and each that is cut off.
        """
        lost = max(0, self.short - self.original) / (self.short - SMALLEST)
        cut_off = (self.shown - self.short) / ((MOST_SHOWN - 1) * self.short)
        return BEST_SCORE - (BEST_SCORE - WORST_SCORE) * min(1.0, max(lost, cut_off))

    @property
    def refiner_ids(self) -> tuple[float, ...]:
        """The five numbers SDXL's refiner is told: original size, crop corner, aesthetic score."""
        return (*map(float, self.time_ids[:4]), self.aesthetic_score)


def view(seed: int, bucket: tuple[int, int] = SQUARE) -> View:
    """The view of a scene's seed: mostly whole and sharp, some drawn small, some cut off.

    How large a drawing was that needed no enlarging is told, and means nothing.

    Raises:
        ValueError: if there is no such bucket.
    """
    if bucket not in BUCKETS:
        raise ValueError(f"bucket: expected one of {BUCKETS}, got {bucket!r}")
    rng = random.Random(f"view {seed}")  # not what a scene of the same seed was drawn with
    height, width = bucket
    short = min(bucket)
    small, cropped = rng.random() < SMALL_SHARE, rng.random() < CROPPED_SHARE
    original = _even(rng, SMALLEST, short - 8) if small else _even(rng, short, LARGEST)
    shown = _even(rng, short + short // 8, int(MOST_SHOWN * short)) if cropped else short
    top = int(rng.random() * (shown * height / short - height + 1))
    left = int(rng.random() * (shown * width / short - width + 1))
    return View(height, width, original, shown, top, left)


def _even(rng: random.Random, low: int, high: int) -> int:
    return low + 2 * int(rng.random() * ((high - low) // 2 + 1))


def spread_out(scene: Scene, height: float, width: float) -> Scene:
    """The scene on a canvas of another shape: places move apart, shapes stay as they are.

    What stands inside or in front of something moves together with it.

    Args:
        scene: a scene of a square.
        height: of the canvas, in sides of that square, at least 1.
        width: as the height.

    Returns:
        A scene whose canvas reaches from ½ − width / 2 to ½ + width / 2, and so for the height. In
        shares of the picture's sides a lone object's place is what it was.
    """
    things = scene.objects
    together = scene.relation in ("inside", "in front of")
    leaders = [things[-1] if together else thing for thing in things]
    moved = tuple(
        replace(
            thing,
            x=thing.x + (width - 1) * (leader.x - 0.5),
            y=thing.y + (height - 1) * (leader.y - 0.5),
        )
        for thing, leader in zip(things, leaders, strict=True)
    )
    return replace(scene, objects=moved)


def draw_views(scenes: Sequence[Scene], views: Sequence[View]) -> Float[Tensor, " b 3 h w"]:
    """Draw each scene as its view says.

    A drawing is smooth at any size, so one that needs no enlarging is drawn in the size in which
    it is shown: that is what reducing a larger one would give. One drawn smaller is enlarged
    bicubically, and is blurred.

    Args:
        scenes: what to draw.
        views: one for each scene, all of pictures of one size.

    Returns:
        Pictures in [-1, 1].

    Raises:
        ValueError: if there are none, not as many views as scenes, or views of several sizes.
    """
    checks.whole_at_least(1, scenes=len(scenes))
    if len(views) != len(scenes):
        raise ValueError(f"views: expected {len(scenes)}, one a scene, got {len(views)}")
    sizes = {(view.height, view.width) for view in views}
    if len(sizes) > 1:
        raise ValueError(f"views: expected pictures of one size, got {sorted(sizes)}")
    height, width = sizes.pop()
    pictures = torch.empty(len(scenes), 3, height, width)
    for size in {min(view.original, view.shown) for view in views}:
        rows = [row for row, view in enumerate(views) if min(view.original, view.shown) == size]
        pictures[rows] = _of_one_size([scenes[row] for row in rows], [views[row] for row in rows])
    return pictures


def _of_one_size(scenes: Sequence[Scene], views: Sequence[View]) -> Tensor:
    """Views whose drawings have equally many pixels to a side of the scene."""
    first = views[0]
    high, wide = first.height / first.short, first.width / first.short
    size = min(first.original, first.shown)
    longest = int(size * max(high, wide))
    corner = torch.tensor([0.5 - wide / 2, 0.5 - high / 2])
    window = torch.cat([corner, corner + longest / size]).expand(len(scenes), 4)
    spread = [spread_out(scene, high, wide) for scene in scenes]
    finer = 2 if size < 16 else 1  # so few pixels are not drawn, but reduced from twice as many
    whole = avg_pool2d(draw(spread, finer * longest, windows=window), finer)
    whole = whole[:, :, : int(size * high), : int(size * wide)]
    return torch.cat(
        [_cut(picture[None], view) for picture, view in zip(whole, views, strict=True)]
    )


def _cut(whole: Tensor, view: View) -> Tensor:
    """Bring a drawing to the size in which it is shown, and cut the picture out."""
    high, wide = view.shown * view.height // view.short, view.shown * view.width // view.short
    if whole.shape[2:] != (high, wide):
        whole = interpolate(whole, (high, wide), mode="bicubic", align_corners=False).clamp(-1, 1)
    return whole[:, :, view.top : view.top + view.height, view.left : view.left + view.width]
