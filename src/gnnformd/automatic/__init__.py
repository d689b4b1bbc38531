"""A configuration chosen from the data."""
