"""Against torch-sim itself where it is installed, else against a stand-in with its documented interface."""

import importlib
import importlib.util
import re
import sys
import warnings
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from gnnformd.errors import InputError
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings

MODULE = "gnnformd.interfaces.torch_sim"
INSTALLED = importlib.util.find_spec("torch_sim") is not None
needs_torch_sim = pytest.mark.skipif(not INSTALLED, reason="torch-sim is not installed")


def stand_in() -> None:
    """What `torch_sim.models.interface` documents: a module with device, dtype and an abstract ``forward``."""

    class ModelInterface(torch.nn.Module):
        device = property(lambda self: self._device)
        dtype = property(lambda self: self._dtype)
        compute_stress = property(lambda self: self._compute_stress)
        compute_forces = property(lambda self: self._compute_forces)

    for name in ("torch_sim", "torch_sim.models", "torch_sim.models.interface"):
        sys.modules[name] = ModuleType(name)
    sys.modules["torch_sim.models.interface"].ModelInterface = ModelInterface


@pytest.fixture(scope="module")
def adapter():
    """The class, imported with torch-sim or with the stand-in, which is gone afterwards."""
    if not INSTALLED:
        stand_in()
        sys.modules.pop(MODULE, None)
    try:
        yield importlib.import_module(MODULE).TorchSimModel
    finally:
        if not INSTALLED:
            for name in [MODULE, *(n for n in sys.modules if n.startswith("torch_sim"))]:
                del sys.modules[name]


def state(*systems: Atoms, dtype=torch.float64) -> dict:
    """A batch as torch-sim lays it out: lattice vectors are columns."""
    return {
        "positions": torch.tensor(np.concatenate([s.positions for s in systems]), dtype=dtype),
        "masses": torch.tensor(np.concatenate([s.get_masses() for s in systems]), dtype=dtype),
        "cell": torch.tensor(np.stack([s.cell.array.T for s in systems]), dtype=dtype),
        "pbc": torch.tensor(True),
        "atomic_numbers": torch.tensor(np.concatenate([s.numbers for s in systems])),
        "system_idx": torch.tensor(np.repeat(np.arange(len(systems)), [len(s) for s in systems])),
    }


def test_the_types_of_a_topology_are_found_by_name(adapter, metals, tmp_path):
    atoms = bulk("Fe", "fcc", a=4.2, cubic=True)
    atoms.symbols[:2] = "Si"
    atoms.rattle(0.1, seed=1)
    rows = [
        f"{k} {1 if s == 'Fe' else 2} {x!r} {y!r} {z!r}"
        for k, (s, (x, y, z)) in enumerate(zip(atoms.symbols, atoms.positions.tolist(), strict=True), 1)
    ]
    bounds = "".join(f"0 4.2 {a}lo {a}hi\n" for a in "xyz")
    path = tmp_path / "x.data"
    masses = "Masses\n\n1 55.845\n2 28.085\n"
    path.write_text(f"x\n\n4 atoms\n2 atom types\n\n{bounds}\n{masses}\nAtoms # atomic\n\n" + "\n".join(rows) + "\n")
    by_element, by_mass = (adapter(metals, topology=t)(state(atoms))["forces"] for t in (None, path))
    assert by_element.abs().max() > 1e-3
    torch.testing.assert_close(by_mass, by_element, rtol=0, atol=1e-10)


@pytest.fixture
def metals() -> LoadedModel:
    """A network with random weights that knows the elements of torch-sim's own check."""
    torch.manual_seed(0)
    settings = DensitySettings(
        cutoff=4.0, features=8, width=8, electrostatics="none", node_features="embedding", repulsion=0.0
    )
    return LoadedModel(build_model(settings, 2).double(), ModelCard(settings, ("Si", "Fe"), None), "metals.safetensors")


def test_a_batch_gives_each_system_the_energy_forces_and_stress_that_ase_gets(adapter, metals):
    silicon, iron = bulk("Si", "diamond", a=5.43, cubic=True), bulk("Fe", "fcc", a=4.2, cubic=True) * (2, 1, 1)
    iron.set_cell(iron.cell.array @ np.array([[1, 0, 0], [0.1, 1, 0], [0.05, 0.2, 1]]), scale_atoms=True)
    for atoms in (silicon, iron):
        atoms.rattle(0.1, seed=1)
    found = adapter(metals)(state(silicon, iron))
    start = 0
    for index, atoms in enumerate((silicon, iron)):
        atoms.calc = Calculator(metals)
        assert found["energy"][index].item() == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
        forces = found["forces"][start : start + len(atoms)].numpy()
        assert np.abs(forces).max() > 1e-3
        assert np.abs(forces - atoms.get_forces()).max() < 1e-10
        assert np.abs(found["stress"][index].numpy() - atoms.get_stress(voigt=False)).max() < 1e-10
        start += len(atoms)


def test_elements_that_never_met_in_training_are_refused_at_first_and_told_later(adapter, metals):
    pairs = [[0, "Si", "Si", 2.0], [0, "Fe", "Fe", 2.0]]
    poorer = replace(metals, card=replace(metals.card, trained_on=({"closest_pairs": pairs},)))
    atoms = Atoms("SiFe", [[0, 0, 0], [3.0, 0, 0]], cell=[12] * 3, pbc=True)
    with pytest.raises(InputError, match=r"the systems: atoms 1 and 2 .* 3 angstrom apart, but no such pair"):
        adapter(poorer)(state(atoms))
    model, alone = adapter(poorer), bulk("Si", "diamond", a=5.43, cubic=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for place in (3.5, 3.1, 2.9 - 12, 3.3, 3.0):  # searched up to 3.2
            atoms.positions[1, 0] = place
            model(state(alone, atoms))
    found = [re.findall(r"system 1: atoms 1 and 2 .* are (\S+) angstrom apart, but", str(w.message)) for w in told]
    assert found == [["3.1"], ["3"]]


def test_molecules_are_copies_of_a_topology(adapter, water, water_data):
    model = adapter("water", topology=water_data, dtype=torch.float64)
    moved = water.copy()
    moved.rattle(0.02, seed=5)
    found = model(state(water, moved))
    for index, atoms in enumerate((water, moved)):
        atoms.calc = Calculator("water", topology=water_data, dtype=torch.float64)
        assert found["energy"][index].item() == pytest.approx(atoms.get_potential_energy(), rel=1e-9)
        assert np.abs(found["forces"].numpy()[12 * index : 12 * index + 12] - atoms.get_forces()).max() < 1e-8
    with pytest.raises(InputError, match="system 1 has 11 atoms, but the topology 12"):
        model(state(water, water[:11]))


def test_what_cannot_work_is_refused_in_a_sentence(adapter, metals, helpers):
    with pytest.raises(InputError, match="was trained on molecules; name their data file"):
        adapter("water")
    with pytest.raises(InputError, match="has no energy"):
        adapter(helpers.load(helpers.Push()))
    with pytest.raises(InputError, match="knows Si, Fe, but not Cu"):
        adapter(metals)(state(bulk("Cu", cubic=True)))


def test_the_state_is_left_as_it_was_and_results_carry_no_graph(adapter, metals):
    before = state(bulk("Si", "diamond", a=5.43, cubic=True))
    kept = {name: value.clone() for name, value in before.items()}
    found = adapter(metals)(before)
    assert all(torch.equal(before[name], kept[name]) for name in kept)
    assert not any(value.requires_grad for value in found.values())


@needs_torch_sim
def test_torch_sims_own_check_of_a_model_passes(adapter, metals):
    from torch_sim.models.interface import ModelInterface, validate_model_outputs

    model = adapter(metals)
    assert isinstance(model, ModelInterface)
    validate_model_outputs(model, torch.device("cpu"), torch.float64)


@needs_torch_sim
def test_torch_sim_conserves_energy_with_the_shipped_argon(adapter):
    import torch_sim
    from torch_sim.units import MetalUnits

    model = adapter("argon", dtype=torch.float64)
    systems = [bulk("Ar", "fcc", a=a, cubic=True) * (3, 3, 3) for a in (5.4, 5.6)]
    batch = torch_sim.io.atoms_to_state(systems, model.device, model.dtype)
    initialize, step = torch_sim.integrators.nve(
        model, dt=torch.tensor(0.004 * MetalUnits.time), kT=torch.tensor(60 * MetalUnits.temperature), seed=1
    )
    now = initialize(batch)

    def total() -> torch.Tensor:
        kinetic = (now.momenta.square().sum(dim=1) / now.masses / 2).double()
        return now.energy + torch.zeros(2, dtype=torch.float64).index_add(0, now.system_idx, kinetic)

    before = total()
    for _ in range(10):
        now = step(now)
    assert (total() - before).abs().max() < 2e-4  # eV, of 0.8 eV of heat
    assert not torch.equal(now.positions, batch.positions)


def test_without_torch_sim_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, "torch_sim", None)
    monkeypatch.setitem(sys.modules, "torch_sim.models.interface", None)
    with pytest.raises(InputError, match=r"torch-sim is not installed; run: pip install 'gnnformd\[torch-sim\]'"):
        importlib.import_module(MODULE).TorchSimModel("argon")
    sys.modules.pop(MODULE)
