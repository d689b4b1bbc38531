"""The density sum over neighbors and its derivatives: in PyTorch, and in numba."""
