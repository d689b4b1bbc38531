"""One model for many liquids: exact scaling, what was learned, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.force_field import AtomType, ForceField, HarmonicAngle, HarmonicBond
from gnnformd.graph.build import build_graph
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.density.radial import radial_values
from gnnformd.model.density.reference import reference_prediction
from gnnformd.model.files.model_file import load_model, save_model
from gnnformd.model.fluids.fit import cutoff_for, fit_fluids
from gnnformd.model.fluids.functions import load_fluids
from gnnformd.model.fluids.load import load_for
from gnnformd.model.fluids.specialize import check_topology, specialize, warn_outside
from gnnformd.reference.generate import generate
from gnnformd.training.fine_tuning import copy_weights
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import open_dataset

SHORT = {"melting": "300", "equilibration": "200", "spacing": "20"}
FIELD = ForceField(
    types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41), AtomType("Ar", 39.9, 0, 0.2, 3.4)),
    bonds=(HarmonicBond((1, 2), 500.0, 1.0),),
    angles=(HarmonicAngle((2, 1, 2), 40.0, 113.0),),
    mixing="arithmetic",
)


@pytest.fixture(scope="module")
def salty(tmp_path_factory):
    """A few frames of ions in water."""
    variables = {**SHORT, "molecules": "20", "salt": "2", "mixing": "1"}
    return generate("solution", tmp_path_factory.mktemp("salty") / "run", seed=3, frames=4, variables=variables)


def in_other_units(field, length, energy):
    """The force field with lengths and energies times these."""
    charge = np.sqrt(length * energy)
    return replace(
        field,
        types=tuple(
            replace(t, charge=charge * t.charge, epsilon=energy * t.epsilon, sigma=length * t.sigma)
            for t in field.types
        ),
        bonds=tuple(
            replace(b, stiffness=b.stiffness * energy / length**2, length=length * b.length) for b in field.bonds
        ),
        angles=tuple(replace(a, stiffness=energy * a.stiffness) for a in field.angles),
        lj_cutoff=length * field.lj_cutoff,
    )


@pytest.mark.parametrize(("length", "energy"), [(1.3, 0.4), (0.8, 2.5)])
def test_a_liquid_in_other_units_has_its_forces_in_other_units(salty, length, energy):
    data = open_dataset(salty.folder)
    field, frames = data.force_field, [data[k] for k in range(len(data))]
    functions = fit_fluids((0, build_graph(frame, cutoff_for(field), field), field) for frame in frames)
    scaled_field = in_other_units(field, length, energy)
    frame = frames[-1]
    moved = {name: length * getattr(frame, name) for name in ("positions", "cell", "origin")}
    scaled = replace(frame, charges=np.sqrt(length * energy) * frame.charges, **moved)
    found = []
    for one, own in ((frame, field), (scaled, scaled_field)):
        model = specialize(functions, own, "here")
        found.append(GraphPredictor(model)([build_graph(one, model.cutoff, own)]))
    expected = energy / length * found[0].forces
    size = expected.abs().max().item()
    assert size > 1.0
    np.testing.assert_allclose(found[1].forces, expected, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(found[1].energies, energy * found[0].energies, rtol=1e-8)
    # trained on one of the two, the model is right for the other
    difference = (found[1].forces - energy / length * frame.forces).abs().sum() / expected.abs().sum()
    assert difference < 0.02


def test_the_engine_has_the_forces_of_the_equations(salty):
    data = open_dataset(salty.folder)
    model = specialize(load_fluids("fluids"), data.force_field, "here")
    graph = build_graph(data[0], model.cutoff, data.force_field)
    expected = reference_prediction(model, graph)
    for found in (GraphPredictor(model)([graph]), model(graph)):
        np.testing.assert_allclose(found.forces, expected.forces, atol=1e-8 * expected.forces.abs().max().item())
        np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-8)


def test_what_was_learned_is_lennard_jones_and_hooke():
    functions = load_fluids("fluids")
    x = torch.linspace(0.7, 1.2, 200, dtype=torch.float64).requires_grad_()
    values = torch.tensor(functions.pair, dtype=torch.float64) @ radial_values(x, functions.reach, len(functions.pair))
    (slope,) = torch.autograd.grad(values.sum(), x)
    expected = -24 * (2 * x**-13 - x**-7)
    np.testing.assert_allclose(slope, expected.detach(), rtol=2e-3, atol=0.02)
    strain, bend = np.linspace(-0.1, 0.1, 21), np.linspace(-0.4, 0.4, 21)
    pull = sum(n * c * strain ** (n - 1) for n, c in enumerate(functions.bond, start=1))
    np.testing.assert_allclose(pull, 2 * strain, atol=1e-4)
    torque = sum(n * c * bend ** (n - 1) for n, c in enumerate(functions.angle, start=2))
    np.testing.assert_allclose(torque, 2 * bend, atol=1e-4)


@pytest.mark.parametrize(
    ("system", "variables", "share"),
    [
        ("lj-fluid", {"kinds": "1", "epsilon1": "0.3254", "sigma1": "3.638", "atoms": "108"}, 0.015),
        ("triatomic", {"bare": "1", "charge2": "0.41", "sigma1": "3.165", "epsilon1": "0.155"}, 0.01),
    ],
)
def test_liquids_that_were_never_seen_are_right_without_training(tmp_path, system, variables, share):
    size = {} if system == "lj-fluid" else {"molecules": "40"}
    run = generate(system, tmp_path / "run", seed=1001, frames=3, variables={**SHORT, **size, **variables})
    made = load_for("fluids", run.folder)
    save_model(tmp_path / "model.safetensors", made.model, made.card)
    result = evaluate(load_model(tmp_path / "model.safetensors"), [open_dataset(run.folder)])
    assert result.datasets[0].force.relative_l1 < share


def test_a_specialized_model_is_not_trained_further(salty):
    made = load_for("fluids", salty.folder)
    with pytest.raises(InputError, match=r"was made by 'gnnformd specialize' .* not trained further; .*--tune"):
        copy_weights(made.model, made, made.card.type_names)


def test_the_command_writes_a_model_of_the_liquid_and_refuses_other_data(salty, tmp_path):
    out = tmp_path / "salty.safetensors"
    done = CliRunner().invoke(
        app, ["specialize", "fluids", str(salty.folder), "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert load_model(out).card.force_field == salty.force_field
    refused = CliRunner().invoke(app, ["specialize", "fluids", str(tmp_path), "--out", str(tmp_path / "none")])
    assert refused.exit_code == 2
    assert "reference.yaml: no such file" in " ".join(refused.output.split())
    assert not (tmp_path / "none").exists()


def test_a_model_for_many_liquids_is_not_taken_for_one_of_one():
    with pytest.raises(InputError, match=r"fluids: is a model for many liquids; make .*'gnnformd specialize"):
        load_model("fluids")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mixing": "other"}, "has Lennard-Jones parameters of its own"),
        ({"mixing": None}, "does not say how sigmas"),
        ({"types": (AtomType("O", 16), AtomType("H", 1), AtomType("Ar", 40))}, "no type has epsilon and sigma"),
        ({"bonds": (HarmonicBond((1, 2), 500.0, 3.6),)}, "a bond is 3.6 angstrom long, too long"),
        ({"bonds": (*FIELD.bonds, HarmonicBond((2, 1), 1.0, 1.5))}, "two different bonds between types"),
        (
            {"angles": (*FIELD.angles, HarmonicAngle((3, 1, 3), 1.0, 90.0), HarmonicAngle((2, 1, 3), 9.0, 120.0))},
            r"angles around type 1 \(O\) differ",
        ),
    ],
)
def test_a_force_field_that_does_not_give_the_parameters_is_refused(changed, sentence):
    with pytest.raises(InputError, match=f"here: .*{sentence}"):
        specialize(load_fluids("fluids"), replace(FIELD, **changed), "here")


def test_bonds_and_angles_that_the_force_field_does_not_have_are_refused(salty):
    topology, field = read_topology(salty.topology), salty.force_field
    check_topology(field, topology, "here")
    with pytest.raises(InputError, match="here: no bond between types 1 and 2"):
        check_topology(replace(field, bonds=()), topology, "here")
    with pytest.raises(InputError, match="here: no angle of types 2, 1, 2"):
        check_topology(replace(field, angles=()), topology, "here")


@pytest.mark.parametrize(("end", "cutoff"), [(12.0, 3 * 3.4), (10.0, 10.0), (7.0, 7.0), (2 ** (1 / 6) * 3.4,) * 2])
def test_lennard_jones_ends_where_that_of_the_force_field_does(end, cutoff):
    field = ForceField((AtomType("Ar", 39.9, 0.0, 0.2, 3.4),), lj_cutoff=end)
    model = specialize(load_fluids("fluids"), field, "here")
    assert model.cutoff == pytest.approx(cutoff)
    r = np.linspace(0.97 * 3.4, min(0.94 * end, 9.0), 60)
    energies, forces = two_atoms(model, field, r)
    x = r / 3.4
    size = 0.2 / 3.4
    np.testing.assert_allclose(forces, 24 * size * (2 * x**-13 - x**-7), rtol=5e-3, atol=6e-3 * size)
    # before the end the energy is that of forces that end abruptly: Lennard-Jones less its value at the end
    at_end = 4 * 0.2 * ((3.4 / cutoff) ** 12 - (3.4 / cutoff) ** 6)
    expected = 4 * 0.2 * (x**-12 - x**-6) - at_end
    np.testing.assert_allclose(energies, expected, atol=2e-3 * 0.2, rtol=2e-3)


def two_atoms(model, field, distances, types=(1, 1)):
    """Energies of two atoms, and the force between them, positive where they repel."""
    graphs = []
    for r in distances:
        frame = Frame(
            timestep=0,
            cell=np.eye(3) * 50.0,
            origin=np.zeros(3),
            periodic=(True, True, True),
            ids=np.arange(1, 3),
            types=np.array(types),
            positions=np.array([[0.0, 0.0, 0.0], [r, 0.0, 0.0]]),
        )
        graphs.append(build_graph(frame, model.cutoff, field))
    found = GraphPredictor(model)(graphs)
    return found.energies.numpy(), found.forces[1::2, 0].numpy()


def test_pairs_of_other_sizes_end_at_the_same_distance():
    # K and Cl of Joung and Cheatham without charges: 8 angstrom are 1.66 sigma of Cl, 2.09 of K and Cl, 2.82 of K
    types = (AtomType("K", 39.1, 0.0, 0.4297054, 2.8384), AtomType("Cl", 35.45, 0.0, 0.012785, 4.8305))
    field = ForceField(types, lj_cutoff=8.0, mixing="arithmetic")
    model = specialize(load_fluids("fluids"), field, "here")
    assert model.cutoff == 8.0
    for kinds in ((1, 1), (1, 2), (2, 2)):
        one, other = (types[k - 1] for k in kinds)
        epsilon, sigma = np.sqrt(one.epsilon * other.epsilon), 0.5 * (one.sigma + other.sigma)
        r = np.linspace(0.97 * sigma, 0.94 * 8.0, 60)
        energies, forces = two_atoms(model, field, r, kinds)
        x, size = r / sigma, epsilon / sigma
        at_end = (sigma / 8.0) ** 12 - (sigma / 8.0) ** 6
        np.testing.assert_allclose(energies, 4 * epsilon * (x**-12 - x**-6 - at_end), rtol=2e-3, atol=2e-3 * epsilon)
        np.testing.assert_allclose(forces, 24 * size * (2 * x**-13 - x**-7), rtol=5e-3, atol=6e-3 * size)


def test_the_tail_of_lennard_jones_is_in_the_pressure():
    # a uniform gas of argon, where g(r) = 1: the pressure of the tail is an integral
    pressures = {}
    for end in (7.0, 10.0):
        run_field = ForceField((AtomType("Ar", 39.9, 0.0, 0.2, 3.4),), lj_cutoff=end)
        model = specialize(load_fluids("fluids"), run_field, "here")
        r = np.linspace(6.0, 10.5, 451)
        forces = two_atoms(model, run_field, r)[1]
        pressures[end] = np.trapezoid(r**3 * forces, r) * 2 * np.pi / 3
    x = np.linspace(7.0, 10.0, 4000) / 3.4
    expected = np.trapezoid(x**3 * 24 * 0.2 * (2 * x**-13 - x**-7), x) * 3.4**3 * 2 * np.pi / 3
    assert pressures[10.0] - pressures[7.0] == pytest.approx(expected, rel=0.03)


def test_parameters_outside_the_training_are_named():
    far = replace(FIELD, types=(replace(FIELD.types[0], sigma=6.0, charge=3.0), *FIELD.types[1:]))
    with pytest.warns(UserWarning, match=r"here: outside the training .* sigma 6 .*, charge 3 "):
        warn_outside(load_fluids("fluids"), far, "here")


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"format": "gnnformd fluids 1", "pair": "many"})])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(InputError, match=r"some\.json: is (no model for many liquids|damaged)"):
        load_fluids(tmp_path / "some.json")
