"""The trained weights that come with the package, each with the story of its training.

And `locate`, which chooses between them and the full-size ones.
"""

from edudiff.checkpoints.choice import locate

__all__ = ["locate"]
