"""Exercises that say what is wrong: `check("forward-diffusion.2", sigma)`."""

from edudiff.exercises.catalogue import EXERCISES, check
from edudiff.exercises.result import Result, Status

__all__ = ["EXERCISES", "Result", "Status", "check"]
