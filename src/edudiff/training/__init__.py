"""The loop that trains, and what it needs to survive an interruption."""
