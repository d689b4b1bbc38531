from __future__ import annotations

import gzip
import re
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.ase_formats import read_by_ase
from gnnformd.trajectory.formats.target_names import TargetNames
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV

VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="version" type="string">5.4.4</i></generator>
 <atominfo>
  <atoms>2</atoms>
  <array name="atoms">
   <set><rc><c>Na</c><c>1</c></rc><rc><c>Cl</c><c>2</c></rc></set>
  </array>
 </atominfo>
 <structure name="initialpos">
  <crystal><varray name="basis"><v>4.0 0.0 0.0</v><v>0.0 4.0 0.0</v><v>0.0 0.0 5.0</v></varray></crystal>
  <varray name="positions"><v>0.0 0.0 0.0</v><v>0.5 0.5 0.5</v></varray>
 </structure>
 <kpoints>
  <varray name="kpointlist"><v>0.0 0.0 0.0</v></varray><varray name="weights"><v>1.0</v></varray>
 </kpoints>
 {steps}
</modeling>
"""
STEP = """<calculation>
  <scstep><energy><i name="e_fr_energy">-7.5</i><i name="e_0_energy">-7.4</i></energy></scstep>
  <structure>
   <crystal><varray name="basis"><v>4.0 0.0 0.0</v><v>0.0 4.0 0.0</v><v>0.0 0.0 5.0</v></varray></crystal>
   <varray name="positions"><v>0.0 0.0 0.0</v><v>0.5 0.5 {z}</v></varray>
  </structure>
  <varray name="forces"><v>0.1 0.2 0.3</v><v>-0.1 -0.2 -0.3</v></varray>
  <varray name="stress"><v>10.0 1.0 2.0</v><v>1.0 20.0 3.0</v><v>2.0 3.0 30.0</v></varray>
  <energy><i name="e_fr_energy">-7.5</i><i name="e_wo_entrp">-7.45</i><i name="e_0_energy">-7.4</i></energy>
</calculation>
"""

KILOBAR = 1 / 1602.176634  # eV/angstrom^3


def test_a_vasp_run_is_read_with_the_energy_whose_gradient_its_forces_are(tmp_path: Path) -> None:
    path = tmp_path / "vasprun.xml"
    path.write_text(VASPRUN.format(steps=STEP.format(z=0.5) + STEP.format(z=0.45)))
    with pytest.warns(UserWarning, match="energy is taken from 'free_energy', not from 'energy'"):
        first, second = read_frames(path)
    assert first.energy == pytest.approx(-7.5 * KCAL_PER_MOL_PER_EV, rel=1e-12)
    np.testing.assert_allclose(first.forces, np.array([[1, 2, 3], [-1, -2, -3]]) * 0.1 * KCAL_PER_MOL_PER_EV)
    # VASP's stress in kB is positive under compression, as the virial is
    stress = np.array([[10, 1, 2], [1, 20, 3], [2, 3, 30]]) * KILOBAR
    np.testing.assert_allclose(first.virial, 80 * stress * KCAL_PER_MOL_PER_EV, rtol=1e-8)
    assert first.types.tolist() == [1, 2]
    np.testing.assert_allclose(second.positions[1], [2, 2, 2.25])
    assert [first.timestep, second.timestep] == [1, 2]


@pytest.mark.parametrize("name", ["a.traj", "a.json", "a.db"])
def test_what_ase_wrote_is_read_with_its_results(tmp_path: Path, name: str) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
    atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / name, atoms)
    (frame,) = read_frames(tmp_path / name)
    assert frame.energy == pytest.approx(energy * KCAL_PER_MOL_PER_EV, rel=1e-12)
    assert frame.forces is not None
    np.testing.assert_allclose(frame.forces, forces * KCAL_PER_MOL_PER_EV, rtol=1e-12)  # also of the atom that is held
    np.testing.assert_allclose(frame.virial, -atoms.get_volume() * stress * KCAL_PER_MOL_PER_EV, rtol=1e-10)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "A.JSON", "a.db"])
def test_keys_of_a_database_tell_the_kind_of_a_frame_and_no_target_that_is_not_asked_for(
    tmp_path: Path, name: str
) -> None:
    others = {"calculation": 3, "ref_energy": -5.0, "virial": 3.0, "group": 3, "step": 7, "Timestep": 1, "Time": 2}
    plain = tmp_path / name.lower().removesuffix(".gz")
    with connect(plain) as database:
        for kind in ("slab", "bulk"):
            atoms = bulk("Cu", cubic=True)
            atoms.calc = EMT()
            energy = atoms.get_potential_energy()
            atoms.get_forces()
            database.write(atoms, config_type=kind, theory=f"of {kind}", **others)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    else:
        plain.rename(tmp_path / name)
    for keys, factor in (({}, energy), ({"energy": "ref_energy"}, -5.0)):
        names = TargetNames(keys)
        frames = list(read_by_ase(tmp_path / name, names=names))
        assert [frame.config_type for frame in frames] == ["slab", "bulk"]
        assert [frame.energy for frame in frames] == pytest.approx([factor * KCAL_PER_MOL_PER_EV] * 2, rel=1e-12)
        assert names.states.values == {"theory": ["of slab", "of bulk"]}


def test_an_outcar_is_read_with_the_numbers_that_stand_in_it() -> None:
    path = Path(ase.__file__).parent / "test/testdata/vasp/OUTCAR_example_1"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    (frame,) = read_frames(path)
    text = path.read_text()
    energy = float(re.findall(r"free  energy   TOTEN  = +([-.\d]+) eV", text)[-1])
    table = text.split("TOTAL-FORCE (eV/Angst)")[-1].splitlines()[2 : 2 + len(frame.types)]
    rows = np.array([row.split() for row in table], dtype=float)  # positions and forces
    kilobar = np.array(text.split("in kB")[-1].split()[:6], dtype=float)  # xx yy zz xy yz zx
    xx, yy, zz, xy, yz, zx = kilobar * KILOBAR * abs(np.linalg.det(frame.cell)) * KCAL_PER_MOL_PER_EV
    assert frame.energy == pytest.approx(energy * KCAL_PER_MOL_PER_EV, rel=1e-10)
    assert frame.forces is not None
    np.testing.assert_allclose(frame.forces / KCAL_PER_MOL_PER_EV, rows[:, 3:], atol=1e-9)
    np.testing.assert_allclose(frame.virial, [[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]], rtol=1e-6)


def test_such_files_are_packed_and_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "vasprun.xml.gz"
    path.write_bytes(gzip.compress(VASPRUN.format(steps=STEP.format(z=0.5)).encode()))
    with pytest.warns(UserWarning, match="free_energy"):
        dataset = open_dataset(path)
    assert len(dataset) == 1 and dataset.type_names == ("Na", "Cl")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.cif", bulk("Cu", cubic=True))
    with pytest.raises(InputError, match=r"a\.cif, frame 1: ASE takes the file for 'cif' and finds no forces in it"):
        list(read_frames(tmp_path / "a.cif"))
    (frame,) = read_frames(tmp_path / "a.cif", require_forces=False)
    assert len(frame.types) == 4
    atoms = bulk("Cu", cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "a.traj", atoms)
    with pytest.raises(InputError, match=r"a\.traj: has energies only.*data\.keys\.forces"):
        list(read_frames(tmp_path / "a.traj"))
    (tmp_path / "vasprun.xml").write_text(VASPRUN[:200])
    with pytest.raises(InputError, match=r"vasprun\.xml: ASE takes it for 'vasp-xml' and cannot read frame 1"):
        list(read_frames(tmp_path / "vasprun.xml"))
    (tmp_path / "notes.txt").write_text("nothing of this kind\n")
    with pytest.raises(InputError, match=r"notes\.txt: is of no known format"):
        list(read_frames(tmp_path / "notes.txt"))
