"""How the trained networks of the book came to be, one recipe a file."""
