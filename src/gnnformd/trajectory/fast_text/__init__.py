"""Numbers in rows of text, read at machine speed."""
