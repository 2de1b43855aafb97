"""Where points, pictures and captions come from."""
