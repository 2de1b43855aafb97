"""Networks, one per file, named as the papers name them."""
