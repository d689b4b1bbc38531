"""Couplings of densities of three degrees: coefficients, invariance, and models from before there were any."""

from pathlib import Path

import pytest
import torch
from tests.model.conftest import FIELD
from tests.model.density.test_model import no_part_at_zero, water

import gnnformd.model.files.model_file as model_file
from gnnformd.model.density.couplings import COUPLINGS, DEGREES, coupling_tensor, couplings_up_to
from gnnformd.model.density.harmonics import harmonics
from gnnformd.model.files.model_card import ModelCard
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings


def directions(count: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.randn(3, count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=0
    )


def degree(values: torch.Tensor, number: int) -> torch.Tensor:
    return values[number**2 : (number + 1) ** 2]


def test_degrees_two_and_below_have_no_couplings_of_this_kind() -> None:
    assert couplings_up_to(2) == () and couplings_up_to(3) == ("vqa", "qaa") and couplings_up_to(4) == COUPLINGS


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_coupling_of_two_harmonics_of_one_direction_is_the_third(name: str) -> None:
    values = harmonics(directions(50), 4)
    a, b, c = (degree(values, DEGREES[part]) for part in name)
    found = torch.einsum("xyz,xn,yn->zn", coupling_tensor(name), a, b)
    scale = (found * c).sum(0) / c.square().sum(0)  # the same for all directions
    torch.testing.assert_close(scale, scale[:1].expand_as(scale), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found, scale * c, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_coupling_of_three_directions_does_not_change_when_they_are_rotated(name: str) -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    values = []
    for matrix in (torch.eye(3, dtype=torch.float64), rotation):  # a reflection, where its determinant is -1
        parts = (degree(harmonics(matrix @ directions(20, seed), 4), DEGREES[p]) for seed, p in enumerate(name))
        values.append(torch.einsum("xyz,xn,yn,zn->n", coupling_tensor(name), *parts))
    assert values[0].abs().max() > 0.01
    torch.testing.assert_close(*values, rtol=1e-11, atol=1e-13)


def test_a_model_from_before_the_couplings_is_read_and_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DensitySettings(cutoff=3.4, features=6, width=8, l_max=4, layers=2, electrostatics="none")
    model = no_part_at_zero(build_model(settings, 2))
    graph = water(0).to(dtype=torch.float32)
    model.initialize(graph)
    name = "network.layers.0.couplings.weight"
    torch.nn.init.zeros_(model.state_dict()[name])
    before = model.eval()(graph)
    weights = model.state_dict()
    del weights[name]
    monkeypatch.setattr(model, "state_dict", lambda: weights)
    monkeypatch.setattr(model_file, "FORMAT_VERSION", 7)
    model_file.save_model(tmp_path / "old.safetensors", model, ModelCard(settings, ("O", "H"), FIELD))
    monkeypatch.undo()
    loaded = model_file.load_model(tmp_path / "old.safetensors")
    assert loaded.card.format_version == 7
    after = loaded.model(graph)
    assert before.energies is not None
    torch.testing.assert_close(after.forces, before.forces, rtol=0, atol=0)
    torch.testing.assert_close(after.energies, before.energies, rtol=0, atol=0)
    assert loaded.card.settings == settings.model_copy(update={"channels": 2})


def test_coefficients_stay_exact_when_a_model_is_rounded_and_converted_back() -> None:
    layer = build_model(DensitySettings(features=4, width=4, l_max=4), 1).float().double().network.layers[0]
    for name in COUPLINGS:
        assert torch.equal(layer.get_buffer(f"coupling_{name}"), coupling_tensor(name))
