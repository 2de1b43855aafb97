"""Bricks: tensor in, tensor out; they know nothing of noise."""
