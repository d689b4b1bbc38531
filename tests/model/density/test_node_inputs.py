"""What neighbors send: every type is told apart from every other one."""

from pathlib import Path

import pytest
import torch

import gnnformd.model.files.model_file as model_file
from gnnformd.model.density.node_inputs import MOST_CHANNELS, NodeInputs, spread_directions
from gnnformd.model.files.model_card import ModelCard
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings


@pytest.mark.parametrize(
    ("types", "channels"), [(2, None), (6, None), (16, None), (17, None), (40, None), (7, 4), (3, 2)]
)
def test_each_type_is_seen_and_told_apart_from_the_others(types: int, channels: int | None) -> None:
    inputs = NodeInputs("embedding", types, channels).double()
    each = torch.eye(types, dtype=torch.float64)
    inputs.measure(each)
    sent = inputs.sent(each)
    assert sent.shape == (types, channels or min(types, MOST_CHANNELS))
    torch.testing.assert_close(sent.norm(dim=1), torch.ones(types, dtype=torch.float64), rtol=1e-12, atol=0)
    cosines = sent @ sent.T - torch.eye(types, dtype=torch.float64)
    assert cosines.abs().max() < 0.51


def test_a_type_that_is_not_in_the_data_is_seen_too() -> None:
    inputs = NodeInputs("embedding", 6, None).double()
    inputs.measure(torch.eye(6, dtype=torch.float64)[:2])
    assert torch.linalg.matrix_rank(inputs.projection) == 6


def test_five_types_of_a_force_field_keep_all_five_numbers() -> None:
    inputs = NodeInputs("physical", 7, None).double()
    rows = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inputs.measure(rows)
    torch.testing.assert_close(inputs.sent(rows) @ inputs.projection.T, rows, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_one_direction_more_than_dimensions_makes_a_regular_simplex(dimensions: int) -> None:
    directions = spread_directions(dimensions + 1, dimensions)
    cosines = (directions @ directions.T).abs()
    off = ~torch.eye(dimensions + 1, dtype=torch.bool)
    torch.testing.assert_close(cosines[off], torch.full_like(cosines[off], 1 / dimensions), rtol=0, atol=1e-6)


def test_the_same_numbers_give_the_same_directions() -> None:
    torch.testing.assert_close(spread_directions(12, 8), spread_directions(12, 8), rtol=0, atol=0)


def test_a_model_of_many_types_from_version_8_has_the_channels_that_it_was_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = ("Al", "Co", "Cr", "Fe", "Mo", "Ni")
    settings = DensitySettings(node_features="embedding", electrostatics="none", features=4, width=4)
    trained_with = settings.model_copy(update={"channels": 4})
    monkeypatch.setattr(model_file, "FORMAT_VERSION", 8)
    path = tmp_path / "old.safetensors"
    model_file.save_model(path, build_model(trained_with, len(types)), ModelCard(settings, types))
    loaded = model_file.load_model(path)
    assert loaded.card.format_version == 8
    assert loaded.card.settings == loaded.model.settings == trained_with
