"""How many of the things in a picture are drawn so well that their silhouette has a name?"""

from jaxtyping import Float
from torch import Tensor

from edudiff.data.scenes import SMALL_WORLD, World
from edudiff.evaluation.sight import look


def clear_outlines(pictures: Float[Tensor, " b 3 h w"], world: World = SMALL_WORLD) -> list[float]:
    """Of all that stands out from the background, the share whose silhouette can be named.

    No prompt is asked: a clean circle counts where a star was wanted. A torn or bulging outline has
    no name, see `sight.look`, and a piece that came off is one thing more without one. So the share
    says how well things are drawn, whatever they are.

    Args:
        pictures: square, 32 to 256 pixels a side, in [-1, 1].
        world: whose shapes may be named.

    Returns:
        A share for each picture, 0 where nothing is to be seen.

    Raises:
        ValueError: what `sight.look` raises.
    """
    every = (sight.objects for sight in look(pictures, world))
    return [sum(thing.shape is not None for thing in some) / max(1, len(some)) for some in every]
