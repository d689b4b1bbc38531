"""A step of a training: what stays the same is computed once for each frame, and for that frame alone."""

import torch

from gnnformd.training.batches import Portion
from gnnformd.training.lightning_module import ForceFitting
from gnnformd.training.loss import Scales
from gnnformd.training.settings import TrainingSettings
from tests.model.density.test_model import trained, water


def test_frames_keep_their_own_part_without_parameters():
    frames = [water(k) for k in range(2)]
    model = trained(frames[0]).eval()
    fitting = ForceFitting(model, TrainingSettings(rotations=False), Scales(1.0, 1.0, 1.0))
    asked = []
    compute = model.fixed_part
    model.fixed_part = lambda graph: asked.append(graph) or compute(graph)
    for _ in range(2):
        for kind in ("training", "validation"):
            for index, graph in enumerate(frames):
                known = fitting._predict(graph, Portion((index,), (1.0,), 0), fitting._fixed[kind])
                torch.testing.assert_close(known.forces, model(graph).forces, rtol=1e-12, atol=1e-10)
    assert len(asked) == 4  # each frame once in training, once in validation
