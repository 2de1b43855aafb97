"""The package behind the edudiff book: image generation, written to be read."""

__version__ = "0.1.0"
