"""The maths of diffusion: plain functions on tensors that know no network."""
