"""The same atoms through every door, with their types in every order."""

import re
import warnings
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses, atomic_numbers
from tests.model.density.test_model import density, water

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.graph.build import build_graph
from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate
from gnnformd.simulation.start import Start
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.units import KCAL_PER_MOL_PER_EV

NAMES = ("Ar", "Kr", "Xe")
ORDERS = [order for count in (1, 2, 3) for order in permutations(NAMES, count)]
LENGTH = 11.4
PAIRS = [(0, one, other, 2.0) for k, one in enumerate(NAMES) for other in NAMES[k:]]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """A model of three elements, with random weights."""
    model = density(3, node_features="embedding", electrostatics="none", cutoff=5.0)
    graph = build_graph(frame_of(atoms_of(NAMES)), 5.0, None, dtype=torch.float64)
    model.initialize(graph)
    torch.nn.init.normal_(model.network.type_energies)
    card = ModelCard(model.settings, NAMES, None, ({"closest_pairs": [list(pair) for pair in PAIRS]},))
    return LoadedModel(model.eval(), card, Path("noble.safetensors"))


def atoms_of(names) -> Atoms:
    """27 atoms near a lattice, of these elements in turn."""
    rng = np.random.default_rng(5)
    lattice = 3.8 * np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    symbols = [names[k % len(names)] for k in range(27)]
    return Atoms(symbols, lattice + rng.uniform(0.1, 0.6, lattice.shape), cell=[LENGTH] * 3, pbc=True)


def frame_of(atoms: Atoms) -> Frame:
    return Frame(
        timestep=0,
        cell=np.asarray(atoms.cell),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 28),
        types=np.array([NAMES.index(s) + 1 for s in atoms.symbols]),
        positions=atoms.positions,
    )


def expected(loaded: LoadedModel, atoms: Atoms) -> np.ndarray:
    frame = frame_of(atoms)
    return Evaluator(loaded, frame).evaluate(frame.positions, frame.cell, frame.periodic).forces.numpy(force=True)


def data_file(path: Path, atoms: Atoms, order, known: str, bonds: bool = False) -> Path:
    """Number the types in this order; they are known by mass, by a comment or by a label."""
    masses = [float(atomic_masses[atomic_numbers[name]]) for name in order]
    lines = ["LAMMPS data file", "", "27 atoms", f"{len(order)} atom types", *(["1 bonds", "1 bond types"] * bonds), ""]
    lines += [f"0 {LENGTH} {a}lo {a}hi" for a in "xyz"]
    if known == "label":
        lines += ["", "Atom Type Labels", "", *(f"{k} {name}" for k, name in enumerate(order, 1))]
        masses = [1.0] * len(order)
    comments = [f" # {name}" if known == "comment" else "" for name in order]
    lines += ["", "Masses", "", *(f"{k} {m!r}{c}" for k, (m, c) in enumerate(zip(masses, comments, strict=True), 1))]
    molecule = "1 " if bonds else ""
    lines += ["", f"Atoms # {'molecular' if bonds else 'atomic'}", ""]
    for k, (symbol, x) in enumerate(zip(atoms.symbols, atoms.positions.tolist(), strict=True), 1):
        lines.append(f"{k} {molecule}{order.index(symbol) + 1} " + " ".join(map(repr, x)))
    lines += ["", "Bonds", "", "1 1 1 2"] * bonds
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_forces_do_not_depend_on_the_order_of_the_types(loaded, tmp_path, order):
    atoms = atoms_of(order)
    forces = expected(loaded, atoms)

    for known in ("mass", "comment", "label"):
        path = data_file(tmp_path / f"{known}.data", atoms, order, known)
        for engine in ("lammps", "ase"):
            settings = SimulationSettings(engine=engine, ensemble="nve", steps=1, temperature=1.0, timestep=1e-6)
            simulate(loaded, path, settings, tmp_path / f"{known}-{engine}")
            first = next(read_dump(tmp_path / f"{known}-{engine}" / "trajectory.dump"))
            np.testing.assert_allclose(first.forces, forces, rtol=0, atol=1e-10)
            assert first.types.tolist() == [order.index(s) + 1 for s in atoms.symbols]

    lmp = open_lammps()
    try:
        lmp.commands_list(
            ["units real", "pair_style zero 5", f'read_data "{tmp_path / "mass.data"}"', "pair_coeff * *"]
        )
        Coupling(lmp, loaded).run(0)
        ids = lmp.numpy.extract_atom("id")[:27]
        np.testing.assert_allclose(lmp.numpy.extract_atom("f")[:27][np.argsort(ids)], forces, rtol=0, atol=1e-10)
    finally:
        lmp.close()

    read = ase.io.read(tmp_path / "mass.data", format="lammps-data", units="real")
    by_type, by_symbol, by_topology = read[np.argsort(read.arrays["id"])], atoms.copy(), atoms.copy()
    for each, topology in ((by_type, None), (by_symbol, None), (by_topology, tmp_path / "label.data")):
        each.calc = Calculator(loaded, topology=topology)
        np.testing.assert_allclose(each.get_forces() * KCAL_PER_MOL_PER_EV, forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_evaluation_finds_no_error_in_any_order(loaded, tmp_path, order):
    atoms = atoms_of(order)
    forces = expected(loaded, atoms)
    labelled = atoms.copy()
    labelled.calc = SinglePointCalculator(labelled, energy=0.0, forces=forces / KCAL_PER_MOL_PER_EV)
    ase.io.write(tmp_path / "noble.xyz", labelled, format="extxyz")
    data_file(tmp_path / "noble.data", atoms, order, "mass")
    rows = [
        f"{k} {order.index(s) + 1} {s} " + " ".join(map(repr, [*x, *f]))
        for k, (s, x, f) in enumerate(zip(atoms.symbols, atoms.positions.tolist(), forces.tolist(), strict=True), 1)
    ]
    for name, columns in (("numbers", [0, 1]), ("elements", [0, 2])):
        head = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "27", "ITEM: BOX BOUNDS pp pp pp", *[f"0 {LENGTH}"] * 3]
        kind = "type" if columns[1] == 1 else "element"
        body = [" ".join([row.split()[0], row.split()[columns[1]], *row.split()[3:]]) for row in rows]
        text = "\n".join([*head, f"ITEM: ATOMS id {kind} x y z fx fy fz", *body]) + "\n"
        (tmp_path / f"{name}.dump").write_text(text)
    for path, topology in (("noble.xyz", None), ("elements.dump", None), ("numbers.dump", tmp_path / "noble.data")):
        dataset = open_dataset(tmp_path / path, topology=topology, cache=tmp_path)
        result = evaluate(loaded, [dataset]).datasets[0].force
        assert result.rmse < 1e-4 * np.abs(forces).max()  # forces of a pack are single precision
        assert set(result.per_type) == set(order)


def test_water_has_the_same_errors_with_its_types_in_either_order(tmp_path):
    model = replace(load_model("water", dtype=torch.float64), compiled=False)
    graph = water(3)
    results = []
    for order in ((1, 2), (2, 1)):
        types = [order[k] for k in graph.type_index.tolist()]
        molecules = np.repeat(np.arange(1, 28), 3)
        rows = [
            f"{k + 1} {molecules[k]} {types[k]} " + " ".join(map(repr, [*x, *f]))
            for k, (x, f) in enumerate(zip(graph.positions.tolist(), graph.forces.tolist(), strict=True))
        ]
        head = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "81", "ITEM: BOX BOUNDS pp pp pp", *["0 9.3"] * 3]
        path = tmp_path / f"{order[0]}.dump"
        path.write_text("\n".join([*head, "ITEM: ATOMS id mol type x y z fx fy fz", *rows]) + "\n")
        field = model.card.force_field
        ordered = replace(field, types=tuple(field.types[k - 1] for k in order), bonds=(), angles=())
        results.append(evaluate(model, [open_dataset(path, force_field=ordered, cache=tmp_path)]).datasets[0].force)
    assert results[1].rmse == pytest.approx(results[0].rmse, rel=1e-12)
    for name in ("O", "H"):
        assert results[1].per_type[name].rmse == pytest.approx(results[0].per_type[name].rmse, rel=1e-12)


def test_a_reference_with_its_types_in_another_order_is_refused(loaded, tmp_path):
    atoms = atoms_of(("Ar", "Kr"))
    path = data_file(tmp_path / "x.data", atoms, ("Ar", "Kr"), "mass")
    other = data_file(tmp_path / "topology.data", atoms, ("Kr", "Ar"), "mass")
    with pytest.raises(InputError, match=r"topology.data: type 1 has mass 83.798, but 39.948 in .*x.data;"):
        Start.read(path).check_reference(SimpleNamespace(topology=other))


def test_bonds_do_not_count_where_there_were_none_in_training(loaded, tmp_path):
    atoms = atoms_of(NAMES)
    forces = expected(loaded, atoms)
    path = data_file(tmp_path / "bonds.data", atoms, NAMES, "mass", bonds=True)
    for engine in ("lammps", "ase"):
        settings = SimulationSettings(engine=engine, ensemble="nve", steps=1, temperature=1.0, timestep=1e-6)
        simulate(loaded, path, settings, tmp_path / engine)
        first = next(read_dump(tmp_path / engine / "trajectory.dump"))
        np.testing.assert_allclose(first.forces, forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_pairs_that_training_never_saw_are_refused(loaded, tmp_path, engine):
    atoms = atoms_of(("Ar", "Xe"))
    card = replace(loaded.card, trained_on=({"closest_pairs": [list(p) for p in PAIRS if p[1:3] != ("Ar", "Xe")]},))
    poorer = replace(loaded, card=card)
    path = data_file(tmp_path / "x.data", atoms, ("Xe", "Ar"), "mass")
    sentence = (
        r"\((Ar and Xe|Xe and Ar), not bonded\) are [\d.]+ angstrom apart, but no such pair was in the training data"
    )
    settings = SimulationSettings(engine=engine, ensemble="nve", steps=1)
    with pytest.raises(InputError, match=rf"x.data: atoms \d+ and \d+ {sentence}"):
        simulate(poorer, path, settings, tmp_path / "md")
    lmp = open_lammps()
    try:
        lmp.commands_list(["units real", "pair_style zero 5", f'read_data "{path}"', "pair_coeff * *"])
        with pytest.raises(InputError, match=rf"the system: atoms \d+ and \d+ {sentence}"):
            Coupling(lmp, poorer).run(0)
    finally:
        lmp.close()
    atoms.calc = Calculator(poorer)
    for _ in range(2):  # once more where they are asked for again
        with pytest.raises(InputError, match=rf"the atoms: atoms \d+ and \d+ {sentence}"):
            atoms.get_forces()
    far = Atoms("ArXe", [[0, 0, 0], [4.5, 0, 0]], cell=[20] * 3, pbc=True)  # beyond what training data are searched for
    far.calc = Calculator(poorer)
    far.get_forces()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for place in (4.2, 3.8, 3.6 - 20, 4.1, 3.9):  # steps, one of them across the box
            far.positions[1, 0] = place
            far.get_forces()
            assert (far.calc.unseen is None) == (place > 4)
    sentences = [str(warning.message) for warning in told]
    assert [re.findall(r"are (\S+) angstrom apart, but no such pair", text) for text in sentences] == [["3.8"], ["3.9"]]
    far.positions[1, 0] = 3.0  # a jump: another structure
    with pytest.raises(InputError, match=rf"the atoms: atoms 1 and 2 {sentence}"):
        far.get_forces()
    assert far.calc.unseen is None
    far.positions[1, 0] = 8.0
    far.get_forces()


@pytest.mark.parametrize("engine", ["lammps", "lammps whole", "ase"])
def test_pairs_that_training_never_saw_are_told_where_they_meet_during_a_run(loaded, tmp_path, engine):
    pairs = [list(p) for p in PAIRS if p[1:3] != ("Ar", "Xe")]
    poorer = replace(loaded, card=replace(loaded.card, trained_on=({"closest_pairs": pairs},)))
    if engine == "lammps whole":
        model = density(3, node_features="embedding", electrostatics="learned", cutoff=5.0)
        model.initialize(build_graph(frame_of(atoms_of(NAMES)), 5.0, None, dtype=torch.float64))
        card = replace(poorer.card, settings=model.settings)
        poorer = LoadedModel(model.eval(), card, Path("noble.safetensors"))
    atoms = Atoms("ArXe", [[0, 0, 0], [6.5, 0, 0]], cell=[30] * 3, pbc=True)
    atoms.set_velocities([[0.02, 0, 0], [-0.02, 0, 0]])
    path = tmp_path / "x.data"
    ase.io.write(path, atoms, format="lammps-data", velocities=True, masses=True, units="real")
    sentence = r"atoms 1 and 2 \(Ar and Xe, not bonded\) are [\d.]+ angstrom apart, but no such pair was in training"
    settings = SimulationSettings(
        engine=engine.split()[0], ensemble="nve", steps=3000, velocities="file", timestep=1.0, guard="stop"
    )
    result = simulate(poorer, path, settings, tmp_path / "md")
    assert re.match(sentence, result.reason)
    assert 0 < result.steps < 3000
    with pytest.warns(UserWarning) as told:
        softer = simulate(poorer, path, settings.model_copy(update={"guard": "warn"}), tmp_path / "all")
    assert softer.steps > result.steps
    assert [bool(re.search(sentence, str(warning.message))) for warning in told].count(True) == 1


def test_a_run_goes_on_after_a_departure_that_was_told(loaded, tmp_path):
    pairs = [list(p) for p in PAIRS if p[1:3] != ("Ar", "Xe")]
    poorer = replace(loaded, card=replace(loaded.card, trained_on=({"closest_pairs": pairs},)))
    atoms = Atoms("ArXe", [[0, 0, 0], [5.0, 0, 0]], cell=[30] * 3, pbc=True)
    atoms.set_velocities([[0.02, 0, 0], [-0.02, 0, 0]])
    ase.io.write(tmp_path / "x.data", atoms, format="lammps-data", velocities=True, masses=True, units="real")
    settings = SimulationSettings(ensemble="nve", steps=300, velocities="file", timestep=1.0, restart_every=100)
    first = simulate(poorer, tmp_path / "x.data", settings, tmp_path / "md")
    assert first.departures.steps > 0
    longer = settings.model_copy(update={"steps": 320})
    whole = simulate(poorer, tmp_path / "x.data", longer, tmp_path / "md", resume=True)
    assert whole.steps == 320 and whole.departures.steps > first.departures.steps


def test_atoms_some_bonds_apart_are_told_where_they_come_close(tmp_path):
    seen = [*PAIRS, *((kind, "Ar", other, 1.5) for kind in (1, 2) for other in NAMES)]
    model = density(3, node_features="embedding", electrostatics="none", cutoff=5.0, bond_kinds=3)
    places = np.array([[-1.6, 0, 1.6], [0, 0, 0], [1.5, 0, 0], [3.1, 0, -1.6]])  # Xe-Ar-Ar-Kr
    frame = Frame(
        timestep=0,
        cell=20 * np.eye(3),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 5),
        types=np.array([3, 1, 1, 2]),
        positions=places,
        bonds=np.array([[0, 1], [1, 2], [2, 3]]),
    )
    model.initialize(build_graph(frame, 5.0, None, dtype=torch.float64))
    card = ModelCard(model.settings, NAMES, None, ({"closest_pairs": [list(pair) for pair in seen]},))
    evaluator = Evaluator(LoadedModel(model.eval(), card, Path("noble.safetensors")), frame)
    evaluator.evaluate(places, frame.cell, frame.periodic)
    assert evaluator.unseen is None
    places = np.vstack([places[:3], [2.0, 0, 1.9]])  # turned about the bond in the middle
    evaluator.evaluate(places, frame.cell, frame.periodic)
    assert evaluator.unseen == "atoms 1 and 4 (Xe and Kr, third neighbors along bonds) are 3.61 angstrom apart"


def test_a_bond_of_another_kind_than_in_training_is_refused(loaded, tmp_path):
    seen = [*(list(pair) for pair in PAIRS), [1, "Xe", "Xe", 2.0]]
    bonded = replace(loaded, card=replace(loaded.card, trained_on=({"closest_pairs": seen},)))
    path = data_file(tmp_path / "x.data", atoms_of(NAMES), NAMES, "mass", bonds=True)
    with pytest.raises(InputError, match=r"x.data: atoms 1 and 2 \(Ar and Kr, bonded\) are .* no such pair"):
        simulate(bonded, path, SimulationSettings(ensemble="nve", steps=1), tmp_path / "md")


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_a_file_without_bonds_is_refused_where_its_types_were_bonded_in_training(loaded, tmp_path, engine):
    seen = [*(list(pair) for pair in PAIRS), [1, "Kr", "Ar", 1.5], [1, "Xe", "Xe", 1.5], [2, "Ar", "Ar", 2.0]]
    bonded = replace(loaded, card=replace(loaded.card, trained_on=({"closest_pairs": seen},)))
    settings = SimulationSettings(engine=engine, ensemble="nve", steps=1, temperature=1.0, timestep=1e-6)
    out = tmp_path / "md"
    for names, pair in ((("Kr", "Ar"), "Ar and Kr"), (("Ar", "Xe"), "Xe and Xe")):
        path = data_file(tmp_path / "x.data", atoms_of(names), names, "mass")
        sentence = rf"x.data: has no bonds, but the model noble.safetensors was trained on bonds between {pair}; give"
        with pytest.raises(InputError, match=sentence):
            simulate(bonded, path, settings, out)
        assert not (out / "simulate.yaml").exists()
    alone = data_file(tmp_path / "alone.data", atoms_of(["Ar"]), ["Ar"], "mass")
    single = atoms_of(["Ar"])
    single.symbols[0] = "Xe"
    one = data_file(tmp_path / "one.data", single, ("Ar", "Xe"), "mass")
    for path in (alone, one):  # no two atoms of them were bonded
        assert simulate(bonded, path, settings, out).steps == 1


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_other_atoms_are_refused_by_name(loaded, tmp_path, engine):
    atoms = atoms_of(("Ne", "Ar"))
    path = data_file(tmp_path / "x.data", atoms, ("Ne", "Ar"), "comment")
    with pytest.raises(InputError, match=r"x.data: its atom types are Ne, Ar, but those of the model are Ar, Kr, Xe"):
        simulate(loaded, path, SimulationSettings(engine=engine, ensemble="nve", steps=1), tmp_path / "md")
