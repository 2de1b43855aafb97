"""What the commands of `edudiff` do; `edudiff.cli` reads their words."""
