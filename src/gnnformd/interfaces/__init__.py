"""Models in other programs."""
