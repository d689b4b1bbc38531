"""Scripts that print the numbers of docs/results.md."""
