"""Atoms that are pushed into each other, closer than any data has them, are pushed apart."""

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from gnnformd.force_field import ForceField
from gnnformd.graph.build import build_graph, collate
from gnnformd.model.density.model import DensityModel
from gnnformd.model.files.model_file import load_model, pretrained_names
from gnnformd.trajectory.frame import Frame

SMALLEST = 0.3  # angstrom


def kinds_of_bond(field: ForceField, first: int, second: int) -> list[int]:
    """Kinds of bond that two types (from 0) can have: none, bonded, ends of an angle."""
    pair = {first + 1, second + 1}
    bonded = any(set(bond.types) == pair for bond in field.bonds)
    ends = any({angle.types[0], angle.types[2]} == pair for angle in field.angles)
    return [0] + [1] * bonded + [2] * ends


def pair_curve(model: DensityModel, field: ForceField, types: tuple[int, int], kind: int, distances):
    """Energies (kcal/mol) of two atoms alone in space, and the force that drives them apart (kcal/mol/angstrom)."""
    graphs = []
    for r in distances:
        frame = Frame(
            timestep=0,
            cell=20 * np.eye(3),
            origin=np.zeros(3),
            periodic=(False, False, False),
            ids=np.arange(1, 3),
            types=np.array(types) + 1,
            positions=np.array([[1.0, 2.0, 3.0], [1.0 + r, 2.0, 3.0]]),
        )
        graph = build_graph(frame, model.cutoff, field)
        graphs.append(replace(graph, bond_kind=torch.full_like(graph.bond_kind, kind)))
    prediction = model(collate(graphs))
    return prediction.energies.detach().numpy(), prediction.forces.detach().numpy()[1::2, 0]


def check(model: DensityModel, field: ForceField) -> None:
    for types in combinations_with_replacement(range(len(field.types)), 2):
        for kind in kinds_of_bond(field, *types):
            contact = model.contacts.distances[kind, types[0], types[1]].item()
            deep = 0.8 * contact  # from here on network and Coulomb energy of the pair no longer change
            distances = np.linspace(SMALLEST, deep, 60)
            energies, apart = pair_curve(model, field, types, kind, distances)
            assert (apart[:-1] > 0).all(), (types, kind)
            assert (np.diff(energies) < 0).all(), (types, kind)
            # nothing is gained by pushing in from the closest approach of the data
            assert energies[-1] > pair_curve(model, field, types, kind, [contact])[0][0] - 1e-9, (types, kind)


@pytest.mark.parametrize("name", [name for name in pretrained_names() if load_model(name).card.kind == "density"])
def test_two_atoms_pushed_together_never_gain_energy_in_a_shipped_model(name: str) -> None:
    loaded = load_model(name, dtype=torch.float64)
    assert loaded.card.force_field is not None
    check(loaded.model, loaded.card.force_field)


def test_two_atoms_pushed_together_never_gain_energy_in_any_density_model(
    repulsive_model: DensityModel, systems
) -> None:
    for types in combinations_with_replacement(range(2), 2):
        for kind in range(4):
            contact = repulsive_model.contacts.distances[kind, types[0], types[1]].item()
            distances = np.linspace(SMALLEST, 0.8 * contact, 20)
            energies, apart = pair_curve(repulsive_model, systems["water"].force_field, types, kind, distances)
            assert (apart[:-1] > 0).all(), (types, kind)
            assert (np.diff(energies) < 0).all(), (types, kind)
