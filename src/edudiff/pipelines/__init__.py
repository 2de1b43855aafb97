"""Composition: the maths of diffusion and the networks put together, from words to pictures."""
