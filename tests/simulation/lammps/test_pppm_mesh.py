"""The mesh chosen beforehand against the one LAMMPS chooses, and its estimate of the error."""

import re

import numpy as np
import pytest
from tests.simulation.lammps.rank_cases import case, read

from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.pppm_mesh import mesh_error, mesh_for
from gnnformd.units import COULOMB


def charges_at_random(log, edges, atoms, cutoff):
    lmp = open_lammps(["-log", str(log)])
    x, y, z = edges
    for command in (
        "units real",
        "atom_style charge",
        f"region box block 0 {x} 0 {y} 0 {z}",
        "create_box 1 box",
        "mass 1 1",
        f"pair_style coul/long {cutoff}",
    ):
        lmp.command(command)
    places = np.random.default_rng(0).random((atoms, 3)) * edges
    lmp.create_atoms(atoms, list(range(1, atoms + 1)), [1] * atoms, places.ravel().tolist())
    lmp.numpy.extract_atom("q", nelem=atoms)[:] = np.where(np.arange(atoms) % 2, -0.5, 0.5)
    lmp.command("pair_coeff * *")
    return lmp


@pytest.mark.parametrize(
    ("edges", "atoms", "splitting", "order", "accuracy", "cutoff"),
    [
        ((18.6, 18.6, 18.6), 648, 0.6, 7, 1e-5, 9.0),
        ((18.6, 25.0, 31.0), 1000, 0.6, 7, 5e-6, 9.0),
        ((20.0, 20.0, 21.0), 800, 0.75, 5, 1e-4, 9.0),
        ((9.3, 9.3, 9.4), 80, 0.6, 6, 1e-3, 9.0),
    ],
)
def test_lammps_chooses_the_same_and_estimates_the_same(tmp_path, edges, atoms, splitting, order, accuracy, cutoff):
    lmp = charges_at_random(tmp_path / "log", edges, atoms, cutoff)  # so long that pairs within it leave no error
    lmp.command(f"kspace_style pppm {accuracy}")
    lmp.command(f"kspace_modify gewald {splitting} order {order} diff ad")
    lmp.command("run 0 post no")
    lmp.close()
    log = (tmp_path / "log").read_text()
    mesh = tuple(int(n) for n in re.search(r"grid = (\d+) (\d+) (\d+)", log).groups())
    box, squares = np.array(edges), 0.25 * atoms
    assert mesh_for(box, squares, atoms, splitting, order, accuracy * COULOMB) == mesh
    estimate = float(re.search(r"absolute RMS force accuracy = (\S+)", log)[1])
    assert mesh_error(box, np.array(mesh), squares, atoms, splitting, order) == pytest.approx(estimate, rel=1e-3)


def test_a_run_is_told_the_mesh_of_its_box_and_a_tilted_one_is_left_to_lammps(tmp_path):
    water = case("water 27 with charges")
    lmp = open_lammps(["-log", str(tmp_path / "log")])
    read(lmp, water.frame, [15.9994, 1.008])
    for command in ("comm_modify cutoff 6", "change_box all ortho"):
        lmp.command(command)
    coupling = Coupling(lmp, water.loaded)
    coupling.run(0)
    lmp.command("change_box all x scale 1.4 remap")
    coupling.run(0)
    for command in ("kspace_modify mesh 0 0 0", "run 0", "change_box all triclinic"):
        lmp.command(command)
    Coupling(lmp, water.loaded).run(0)
    lmp.close()
    log = (tmp_path / "log").read_text()
    told = re.findall(r"kspace_modify mesh (\d+) (\d+) (\d+)", log)
    used = re.findall(r"grid = (\d+) (\d+) (\d+)", log)
    assert len(told) == 3 and told[0] != told[1]  # the last of them takes the mesh back
    assert used[:2] == told[:2]
    assert used[2] == told[1]  # by LAMMPS itself
    assert len(used) == 4
