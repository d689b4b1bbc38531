"""A model asked about atoms."""
