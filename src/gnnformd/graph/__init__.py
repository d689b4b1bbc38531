"""From Frame to AtomicGraph: neighbor search, kinds of bond, features and batches."""
