"""The trained weights that come with the package, each with the story of its training."""
