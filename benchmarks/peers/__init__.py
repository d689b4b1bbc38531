"""Other packages that learn forces, trained and timed on the same frames; see ``python -m benchmarks.peers --help``."""
