"""PyTorch as an engine."""

import numpy as np
import torch

from gnnformd.graph.build import build_graph
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.model.torch_engine import TorchEngine
from tests.inference.test_system import molecules
from tests.model.conftest import FIELD


def test_pairs_beyond_the_cutoff_are_passed_over():
    torch.manual_seed(0)
    model = build_model(GamdSettings(width=8, cutoff=3.4), 2).double().eval()  # its forces jump at the cutoff
    frame = molecules()
    wide, near = (build_graph(frame, model.cutoff + margin, FIELD) for margin in (1.0, 0.0))
    assert wide.edge_count > near.edge_count
    engine = TorchEngine(model)
    engine.set_neighbors(wide)
    expected = model(near).forces.detach().numpy()
    found = engine.evaluate(frame.positions, frame.cell).forces
    assert np.abs(found - expected).max() < 1e-10 * np.abs(expected).max()
