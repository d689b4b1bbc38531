"""Step 3: make a graph of a frame: atoms are nodes, pairs closer than a cutoff are edges.

python graph.py
"""

from pathlib import Path

from gnnformd.graph.build import build_graph
from gnnformd.reference.systems import ARGON
from gnnformd.trajectory.read import read_frames

frame = next(read_frames(Path("data/argon")))
graph = build_graph(frame, cutoff=4.4, force_field=ARGON)
distances = graph.edge_vectors().norm(dim=1)
print(
    f"{graph.atom_count} atoms, {graph.edge_count} directed edges from {distances.min():.2f} to {distances.max():.2f}"
)
