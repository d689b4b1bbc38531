"""Small inputs for styles of LAMMPS, and LAMMPS's ``lj/cut/coul/cut`` as a model, to compare the two.

``mpiexec -n N python style_cases.py FOLDER CASE...`` writes ``FOLDER/CASE.N.npz``.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.units import COULOMB

CUTOFF = 7.0
FIELD = ForceField((AtomType("Ar", 39.948, 0.0, 0.2378, 3.405), AtomType("Kr", 83.8, 0.0, 0.34, 3.75)))


class ChargedLiquid(ForceModel):
    """LAMMPS's ``lj/cut/coul/cut`` with arithmetic mixing; can be cut into domains."""

    cutoff, layers, conservative, indivisible = CUTOFF, 1, True, None

    def forward(self, graph: AtomicGraph, fixed: Prediction | None = None) -> Prediction:
        half = graph.edge_count // 2
        i, j = graph.center_index[:half], graph.neighbor_index[:half]
        x = graph.positions.detach()
        vectors = (x[j] - x[i] + graph.cell_shift[:half] @ graph.cells[0]).detach().requires_grad_()
        squared = vectors.square().sum(1)
        epsilon = (graph.epsilons[i] * graph.epsilons[j]).sqrt()
        sixth = (((graph.sigmas[i] + graph.sigmas[j]) / 2) ** 2 / squared) ** 3
        ends = 2.0 if graph.owned is None else graph.owned[i].double() + graph.owned[j].double()
        coulomb = COULOMB * graph.charges[i] * graph.charges[j] / squared.sqrt()
        energy = (0.5 * ends * (4 * epsilon * (sixth * sixth - sixth) + coulomb)).sum()
        (gradient,) = torch.autograd.grad(energy, vectors)
        forces = torch.zeros_like(x).index_add(0, i, gradient).index_add(0, j, -gradient)
        return Prediction(forces, energy.detach().reshape(1), -(vectors.detach().T @ gradient)[None])


class WholeLiquid(ChargedLiquid):
    """The same as a model that needs the whole system."""

    indivisible = "it is asked for the whole system"


def loaded(model: ForceModel | None = None) -> LoadedModel:
    card = ModelCard(GamdSettings(cutoff=CUTOFF), ("Ar", "Kr"), FIELD)
    return LoadedModel(ChargedLiquid() if model is None else model, card, Path("liquid.safetensors"))


SYSTEM = """units real
atom_style full
atom_modify map array sort 0 0
neighbor 1.0 bin
lattice fcc 5.6
region box block 0 3 0 3 0 3
create_box 2 box bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4
create_atoms 1 box
set group all type/subset 2 40 7
mass 1 39.948
mass 2 83.8
set type 1 charge 0.1
set type 2 charge -0.17
displace_atoms all random 0.05 0.05 0.05 33
velocity all create 300 77 loop all
special_bonds lj/coul 1 1 1
timestep 2
thermo_modify norm no
group some id 1:20
group more id 21:60
region part block 0 1.4 0 1.4 0 1.4
variable charge equal 0.1+0.0005*step
"""
FIELD_COMMANDS = f"""pair_style lj/cut/coul/cut {CUTOFF}
pair_coeff 1 1 0.2378 3.405
pair_coeff 2 2 0.34 3.75
pair_modify mix arithmetic
"""


class Case(NamedTuple):
    """Commands of an input, those before the force field is defined, and files it reads."""

    commands: str
    before: str = ""
    run: str = "run 20"
    integrate: bool = True
    files: tuple[tuple[str, str], ...] = ()


def alone(commands: str, before: str = "") -> Case:
    """A case whose fix integrates."""
    return Case(commands, before, integrate=False)


TRICLINIC = "change_box all triclinic\n"
WALLS = "change_box all boundary p p f\nchange_box all z final -4 20\n"
MOLECULES = "set atom 1*20 mol 1\nset atom 21*60 mol 2\nset atom 61*108 mol 3\n"
PAIRS = (
    "comm_modify cutoff 14\ntimestep 0.5\n"
    + "".join(f"set atom {2 * i + 1}*{2 * i + 2} mol {i + 1}\n" for i in range(10))
    + "group rigid molecule 1:10\ngroup rest subtract all rigid\n"
)
CHUNKS = "compute chunks all chunk/atom molecule\ncompute centers all com/chunk chunks\n"
TABLE = ("table.txt", "W\nN 5\n\n1 0.5 10 3\n2 2 5 2\n3 3 2 1\n4 4 1 0.5\n5 5 0 0\n")
QEQ = ("qeq.txt", "1 -100 300 0 0 0\n2 -90 300 0 0 0\n")
GLE = ("gle.txt", "0.01 0.02 0.0\n-0.02 0.01 0.0\n0.0 0.0 0.01\n")
STOPPING = ("stopping.txt", "1e-4 0.001 0.002\n100 0.1 0.2\n10000 1 2\n")
ORIENT = ("orient.txt", "2.8 2.8 0\n-2.8 2.8 0\n2.8 0 2.8\n2.8 2.6 0.3\n-2.8 2.7 0.2\n2.8 0.2 2.7\n")
PHONON = (
    "map.txt",
    "3 3 3 4\n#l1 l2 l3 k id\n"
    + "".join(f"{i // 4 % 3} {i // 12 % 3} {i // 36} {i % 4} {i + 1}\n" for i in range(108)),
)
COLVARS = (
    "colvars.txt",
    "colvar {\n name d\n distance {\n group1 { atomNumbers 1 2 }\n group2 { atomNumbers 3 4 }\n }\n}\n"
    "harmonic {\n colvars d\n centers 6\n forceConstant 5\n}\n",
)
WITH_PAIRS = "comm_modify cutoff 14\nfix tried rigid rigid/{} molecule {}\nfix rest rest nve"

FIXES: dict[str, Case] = {
    "accelerate/cos": Case("fix tried all accelerate/cos 1e-5"),
    "adapt": Case("fix tried all adapt 3 atom charge v_charge"),
    "adapt/fep": Case("fix tried all adapt/fep 3 atom charge 1 v_charge"),
    "addforce": Case("fix tried some addforce 0.1 0 0"),
    "addtorque": Case("fix tried some addtorque 1 0 0"),
    "atom/swap": Case("fix tried all atom/swap 2 5 1234 300 ke no types 1 2"),
    "ave/atom": Case("fix tried all ave/atom 1 5 5 fx fy fz"),
    "ave/chunk": Case(CHUNKS + "fix tried all ave/chunk 1 5 5 chunks fx fy temp"),
    "ave/correlate": Case("fix tried all ave/correlate 1 5 10 c_thermo_press"),
    "ave/correlate/long": Case("fix tried all ave/correlate/long 1 5 c_thermo_press"),
    "ave/grid": Case("fix tried all ave/grid 1 5 5 4 4 4 vx fx"),
    "ave/histo": Case("fix tried all ave/histo 1 5 5 -1 1 10 fx mode vector"),
    "ave/moments": Case("variable p equal press\nfix tried all ave/moments 1 5 5 v_p mean"),
    "ave/time": Case("fix tried all ave/time 1 5 5 c_thermo_press c_thermo_pe"),
    "aveforce": Case("fix tried some aveforce 0 NULL 0"),
    "balance": Case("fix tried all balance 5 1.0 shift x 5 1.05"),
    "bocs": alone("fix tried all bocs temp 150 150 100 cgiso 1 1 1000 analytic 108 4742 1 0.0"),
    "box/relax": Case("fix tried all box/relax iso 100 vmax 0.001", "", "minimize 0 1e-8 30 200", False),
    "brownian": alone("fix tried all brownian 150 123 gamma_t 1000"),
    "colvars": Case("fix tried all colvars colvars.txt", files=(COLVARS,)),
    "controller": Case("variable c internal 1.0\nfix tried all controller 5 1 0.1 0 0 c_thermo_temp 150 c"),
    "deform": Case("fix tried all deform 1 xy erate 3e-2 x erate 1e-4 remap x", TRICLINIC),  # the box flips
    "deform/pressure": Case("fix tried all deform/pressure 1 x pressure 100 0.00001 y pressure/mean 5 0.0001"),
    "drag": Case("fix tried some drag 1 1 1 2 1"),
    "dt/reset": Case("fix tried all dt/reset 1 0.1 4 0.01"),
    "efield": Case("fix tried all efield 0.1 0 0"),
    "efield/lepton": Case('fix tried all efield/lepton "0.1*x" step 1e-4'),
    "ehex": Case("fix tried all ehex 2 0.01"),
    "electron/stopping": Case("fix tried all electron/stopping 0.0001 stopping.txt", files=(STOPPING,)),
    "external": Case("fix tried all external pf/array 1"),
    "flow/gauss": Case("fix tried some flow/gauss 1 0 0"),
    "gjf": alone("fix tried all gjf 150 150 100 123"),
    "gld": alone("fix tried all gld 150 150 2 82885 pprony 0.5 1.0 1.0 10.0"),
    "gle": Case("fix tried all gle 2 150 150 1234 gle.txt", integrate=False, files=(GLE,)),
    "gravity": Case("fix tried all gravity 0.1 vector 0 0 -1"),
    "grem": alone("fix npt all npt temp 150 150 100 iso 1 1 1000\nfix tried all grem 150 -0.001 -300 npt"),
    "halt": Case("variable p equal press\nfix tried all halt 7 v_p > 1e9"),
    "heat": Case("fix tried all heat 2 0.01 region part"),
    "indent": Case("fix tried all indent 1 sphere 5 5 5 3"),
    "langevin": Case("fix tried all langevin 150 150 100 48279 zero yes tally yes"),
    "lineforce": Case("fix tried some lineforce 1 1 0"),
    "mol/swap": Case("fix tried all mol/swap 2 3 1 2 123 300", "set type 1 mol 1\nset type 2 mol 2\n"),
    "momentum": Case("fix tried all momentum 2 linear 1 1 1 angular rescale"),
    "momentum/chunk": Case(CHUNKS + "fix tried all momentum/chunk 2 chunks linear 1 1 1", MOLECULES),
    "move": alone("fix tried some move wiggle 0.1 0 0 100\nfix more more nve"),
    "msst": alone("fix tried all msst z 0.28 q 200 mu 0.9 tscale 0.01"),
    "neighbor/swap": Case(
        "compute voronoi all voronoi/atom neighbors yes\nfix tried all neighbor/swap 2 3 123 300 4 voronoi types 1 2"
    ),
    "nonaffine/displacement": Case("fix tried all nonaffine/displacement 5 d2min type offset 5"),
    "nph": alone("fix tried all nph iso 100 100 100 mtk no drag 0.2"),
    "nphug": alone("fix tried all nphug temp 150 150 100 iso 1000 1000 500"),
    "npt": alone("fix tried all npt temp 150 150 100 tri 1 1 1000", TRICLINIC),
    "npt/cauchy": alone(
        "fix tried all npt/cauchy temp 150 150 100 x 1 1 1000 y 1 1 1000 z 1 1 1000 xy 0 0 999 yz 0 0 999 xz 0 0 999",
        TRICLINIC,
    ),
    "nve": alone("fix tried all nve"),
    "nve/limit": alone("fix tried all nve/limit 0.01"),
    "nve/noforce": alone("fix tried all nve/noforce"),
    "nvk": alone("fix tried all nvk"),
    "nvt": alone("fix tried all nvt temp 150 150 100"),
    "nvt/sllod": alone("fix d all deform 1 xy erate 1e-4 remap v\nfix tried all nvt/sllod temp 150 150 100", TRICLINIC),
    "nvt/uef": alone("fix tried all nvt/uef temp 150 150 100 erate 1e-4 -1e-4", TRICLINIC),
    "oneway": Case("fix tried all oneway 1 part +x"),
    "orient/eco": Case("fix tried all orient/eco 0.08 0.25 6.5 orient.txt", files=(ORIENT,)),
    "phonon": Case("fix tried all phonon 2 2 4 map.txt phonon", files=(PHONON,)),
    "planeforce": Case("fix tried some planeforce 0 0 1"),
    "poems": alone("fix tried all poems molecule", MOLECULES),
    "press/berendsen": Case("fix tried all press/berendsen iso 1 100 1000"),
    "press/langevin": Case("fix tried all press/langevin iso 1 100 1000 temp 150 150 123"),
    "print": Case('fix tried all print 5 "$(pe)" screen no'),
    "propel/self": Case("fix tried some propel/self velocity 0.1"),
    "property/atom": Case("fix tried all property/atom i_number d_value"),
    "qeq/fire": Case("fix tried all qeq/fire 1 6 1e-9 2000 qeq.txt", files=(QEQ,)),
    "qeq/point": Case("fix tried all qeq/point 1 6 1e-8 200 qeq.txt", files=(QEQ,)),
    "rattle": alone("fix tried all rattle 1e-8 50 0 b 1\nfix n all nve"),
    "recenter": Case("fix tried some recenter INIT INIT INIT"),
    "restrain": Case("fix tried all restrain bond 1 2 5 5 4"),
    "rhok": Case("fix tried all rhok 1 0 0 1 0.5"),
    "rigid": alone("fix tried some rigid group 1 some langevin 100 100 100 123\nfix more more nve"),
    "rigid/nph": alone("fix tried all rigid/nph molecule iso 1 1 1000", MOLECULES),
    "rigid/nph/small": alone(WITH_PAIRS.format("nph/small", "iso 1 1 1000"), PAIRS),
    "rigid/npt": alone("fix tried all rigid/npt molecule temp 100 100 100 iso 1 1 1000", MOLECULES),
    "rigid/npt/small": alone(WITH_PAIRS.format("npt/small", "temp 100 100 1000 iso 1 1 10000"), PAIRS),
    "rigid/nve": alone("fix tried all rigid/nve molecule", MOLECULES),
    "rigid/nve/small": alone(WITH_PAIRS.format("nve/small", ""), PAIRS),
    "rigid/nvt": alone("fix tried some rigid/nvt single temp 100 100 100\nfix more more nve"),
    "rigid/nvt/small": alone(WITH_PAIRS.format("nvt/small", "temp 100 100 100"), PAIRS),
    "rigid/small": alone(WITH_PAIRS.format("small", ""), PAIRS),
    "setforce": Case("fix tried some setforce 0 0 NULL"),
    "shake": alone("fix tried all shake 1e-8 50 0 b 1\nfix n all nve"),
    "smd": Case("fix tried some smd cfor 1 couple more auto auto auto 0"),
    "spring": Case("fix tried some spring couple more 1 1 1 1 2"),
    "spring/chunk": Case(CHUNKS + "fix tried all spring/chunk 5 chunks centers", MOLECULES),
    "spring/rg": Case("fix tried some spring/rg 2 4"),
    "spring/self": Case("fix tried some spring/self 2"),
    "store/force": Case("fix tried all store/force"),
    "store/state": Case("fix tried all store/state 1 fx fy x"),
    "temp/berendsen": Case("fix tried all temp/berendsen 150 100 100"),
    "temp/csld": Case("fix tried all temp/csld 150 150 100 123"),
    "temp/csvr": Case("fix tried all temp/csvr 150 150 100 123"),
    "temp/rescale": Case("fix tried all temp/rescale 2 150 100 1 1"),
    "tfmc": alone("fix tried all tfmc 0.1 300 1234"),
    "thermal/conductivity": Case("fix tried all thermal/conductivity 5 z 4"),
    "ti/spring": Case("fix tried some ti/spring 5 10 5"),
    "ttm": Case("fix tried all ttm 123 1.0 1.0 1.0 1.0 0.0 5.0 2 2 2 set 150"),
    "ttm/grid": Case("fix tried all ttm/grid 123 1.0 1.0 1.0 1.0 0.0 5.0 2 2 2 set 150"),
    "vector": Case("fix tried all vector 1 c_thermo_pe"),
    "viscosity": Case("fix tried all viscosity 5 x z 4"),
    "viscous": Case("fix tried all viscous 0.1 scale 2 2.0"),
    "wall/harmonic": Case("fix tried all wall/harmonic zlo -1.5 0.5 2 3", WALLS),
    "wall/lepton": Case('fix tried all wall/lepton zlo -3 "(r-5)^2" 5', WALLS),
    "wall/lj1043": Case("fix tried all wall/lj1043 zlo -1.5 0.5 2 3", WALLS),
    "wall/lj126": Case("fix tried all wall/lj126 zlo -1.5 0.5 2 3", WALLS),
    "wall/lj93": Case("fix tried all wall/lj93 zlo -1.5 0.5 2 3", WALLS),
    "wall/morse": Case("fix tried all wall/morse zlo -3 1 1 2 5", WALLS),
    "wall/piston": Case("fix tried all wall/piston zlo pos 0 vel 0.001", "change_box all boundary p p s\n"),
    "wall/reflect": Case("fix tried all wall/reflect zlo -0.2 zhi 17", WALLS),
    "wall/region": Case("fix tried all wall/region around lj93 0.2 2 4", "region around block -5 22 -5 22 -5 22\n"),
    "wall/table": Case("fix tried all wall/table linear 100 zlo -3 table.txt W 4.5", WALLS, files=(TABLE,)),
}
NEEDED = """compute chunks all chunk/atom molecule
compute centers all com/chunk chunks
compute shape all gyration
compute shapes all gyration/chunk chunks tensor
fix bodies some rigid/nve single
fix n more nve
"""
COMPUTES: dict[str, str] = {
    "ackland/atom": "",
    "adf": "10 1 1 1 0 5 0 5",
    "angmom/chunk": "chunks",
    "ave/sphere/atom": "cutoff 5",
    "basal/atom": "",
    "centro/atom": "fcc",
    "chunk/atom": "molecule",
    "chunk/spread/atom": "chunks c_centers[*]",
    "cluster/atom": "4",
    "cna/atom": "4.5",
    "cnp/atom": "4.5",
    "com": "",
    "com/chunk": "chunks",
    "coord/atom": "cutoff 4.5 *",
    "count/type": "atom",
    "dipole": "",
    "dipole/chunk": "chunks",
    "displace/atom": "",
    "entropy/atom": "0.25 5",
    "erotate/rigid": "bodies",
    "fragment/atom": "",
    "global/atom": "c_chunks c_centers[1]",
    "gyration": "",
    "gyration/chunk": "chunks",
    "gyration/shape": "shape",
    "gyration/shape/chunk": "shapes",
    "hexorder/atom": "",
    "inertia/chunk": "chunks",
    "ke": "",
    "ke/atom": "",
    "ke/rigid": "bodies",
    "momentum": "",
    "msd": "com yes",
    "msd/chunk": "chunks",
    "msd/nongauss": "",
    "nbond/atom": "",
    "omega/chunk": "chunks",
    "orientorder/atom": "",
    "property/atom": "x fx vx mass q",
    "property/chunk": "chunks count",
    "rattlers/atom": "type 1 10",
    "rdf": "50 * * cutoff 6",
    "reduce": "sumsq x fx",
    "reduce/chunk": "chunks sum c_forces",
    "reduce/region": "part sumsq fx",
    "saed": "0.02 Ar Kr Kmax 0.8 c 1 1 1",
    "slice": "1 3 1 c_list",
    "temp": "",
    "temp/chunk": "chunks",
    "temp/com": "",
    "temp/deform": "",
    "temp/partial": "1 1 0",
    "temp/profile": "1 1 1 x 4",
    "temp/ramp": "vx 0 0.1 z 0 16",
    "temp/region": "part",
    "temp/rotate": "",
    "torque/chunk": "chunks",
    "vacf": "",
    "vacf/chunk": "chunks",
    "vcm/chunk": "chunks",
    "viscosity/cos": "",
    "voronoi/atom": "",
    "xrd": "1.5 Ar Kr c 1 1 1 2Theta 10 60",
}
NEEDED += "compute forces all property/atom fx\ncompute list all vacf\n"

BONDED = ("rattle", "shake")
"""Fixes that are tried on molecules of two atoms, whose bonds they hold."""


def molecules() -> tuple[list[int], list[float]]:
    """Ids and positions of 32 molecules of two atoms 3.9 angstrom apart, which the model sees as any two atoms."""
    rng = np.random.default_rng(3)
    centers = (np.indices((4, 4, 2)).reshape(3, -1).T + 0.5) * [5.2, 5.2, 10.4]
    axis = np.array([0.0, 0.0, 1.0]) + 0.1 * rng.normal(size=(len(centers), 3))
    axis *= 3.9 / np.linalg.norm(axis, axis=1)[:, None] / 2
    positions = np.stack([centers - axis, centers + axis], axis=1).reshape(-1, 3)
    return list(range(1, len(positions) + 1)), positions.ravel().tolist()


def bonded_system() -> list[str]:
    """Commands before the molecules are there."""
    return [
        "units real",
        "atom_style full",
        "atom_modify map array sort 0 0",
        "neighbor 1.0 bin",
        "region box block 0 20.8 0 20.8 0 20.8",
        "create_box 2 box bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 2",
        "mass 1 39.948",
        "mass 2 83.8",
        "special_bonds lj/coul 1 1 1",
        "timestep 2",
    ]


def build(lmp, case: Case, name: str) -> None:
    """Give LAMMPS the system and its force field; the first rank writes files."""
    if Ranks(lmp.get_mpi_comm()).first:
        for path, text in case.files:
            Path(path).write_text(text)
    if name not in BONDED:
        lmp.commands_string(SYSTEM + case.before + FIELD_COMMANDS)
        return
    lmp.commands_list(bonded_system())
    ids, positions = molecules()
    lmp.create_atoms(len(ids), ids, [1, 2] * (len(ids) // 2), positions)
    lmp.commands_string(FIELD_COMMANDS + "bond_style harmonic\nbond_coeff 1 0.0 3.9\n")
    for first in ids[::2]:
        last = "yes" if first == ids[-2] else "no"
        lmp.command(f"create_bonds single/bond 1 {first} {first + 1} special {last}")
    lmp.command("velocity all create 200 5 loop all")


def by_id(lmp, name: str, dim: int = 3) -> np.ndarray:
    """A property of all atoms by ascending id, from all ranks."""
    ranks, own = Ranks(lmp.get_mpi_comm()), lmp.extract_setting("nlocal")
    ids = lmp.numpy.extract_atom("id", nelem=own)
    highest = int(ranks.sum(np.bincount([ranks.rank], [ids.max()], ranks.size)).max())
    values = np.zeros((highest, dim))
    values[ids - 1] = lmp.numpy.extract_atom(name, nelem=own, dim=dim).reshape(own, dim)
    return ranks.sum(values)


def state(lmp) -> dict[str, np.ndarray]:
    """Positions, velocities, forces, types, charges, energies, pressures and the box."""
    scalars = ("pe", "ke", "press", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz", "lx", "ly", "lz", "xy")
    found = {name: by_id(lmp, name, dim) for name, dim in (("x", 3), ("v", 3), ("f", 3), ("type", 1), ("q", 1))}
    found["scalars"] = np.array([lmp.get_thermo(name) for name in scalars])
    edges = np.array([lmp.get_thermo(name) for name in ("lx", "ly", "lz")])
    found["x"] = np.sin(2 * np.pi * found["x"] / edges)  # wrapped or not
    return found


def run(name: str, case: Case, couple: str, model: Callable[[], ForceModel] = ChargedLiquid) -> dict[str, np.ndarray]:
    """Run a case: with LAMMPS's force field ("no"), or a model coupled "before" or "after" the fix is defined."""
    lmp = open_lammps()
    try:
        build(lmp, case, name)
        commands = case.commands.splitlines() + (["fix n all nve"] if case.integrate else [])
        coupling = Coupling(lmp, loaded(model())) if couple == "before" else None
        for command in commands:
            lmp.command(command)
        coupling = Coupling(lmp, loaded(model())) if couple == "after" else coupling
        (lmp if coupling is None else coupling).command(case.run)
        return state(lmp)
    finally:
        lmp.close()


def computed(style: str, couple: bool) -> list[np.ndarray]:
    """What a compute gives after some steps, of all kinds it has."""
    lmp = open_lammps()
    try:
        lmp.commands_string(SYSTEM + MOLECULES + FIELD_COMMANDS)
        coupling = Coupling(lmp, loaded()) if couple else None
        lmp.commands_string(NEEDED + f"compute tried all {style} {COMPUTES[style]}")
        (coupling or lmp).command("run 10")
        found = []
        for whose in (0, 1):  # of the system, of its atoms
            for shape in (0, 1, 2):  # scalar, vector, array
                try:
                    values = lmp.numpy.extract_compute("tried", whose, shape)
                except Exception:
                    continue
                if values is not None:
                    values = np.array(values, dtype=float)
                    found.append(values[: lmp.extract_setting("nlocal")] if whose else values)
        return found
    finally:
        lmp.close()


def main() -> None:
    torch.set_num_threads(1)
    folder, names, ranks = Path(sys.argv[1]), sys.argv[2:], Ranks.world()
    for name in names:
        for couple in ("no", "before"):
            result = run(name, FIXES[name], couple)
            if ranks.first:
                np.savez(folder / f"{name.replace('/', '-')}.{couple}.npz", **result)


if __name__ == "__main__":
    main()
