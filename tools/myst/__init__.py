"""From the book's MyST pages to notebooks that any notebook program shows well."""
