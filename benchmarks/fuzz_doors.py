"""One physical frame through all doors: random cells, units, orders of types, ids and columns.

Run ``python -m benchmarks.fuzz_doors --draws 10000 --seed 1``. Each draw places some atoms of two or three elements in
a random cell, writes them as a dump, a data file, extended XYZ and a folder of DeePMD-kit, each with its own order of
types, ids and columns and its own units, and asks a small model for the forces through each of these doors, through
ASE, and in LAMMPS on one and (every tenth draw) on two ranks. Forces, energies and virials in the files must be those
that were written. The table has, by door, the draws, those that differ by more than 1e-10 of the largest force, and
the largest relative difference.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import numpy as np
import torch
from ase.data import atomic_masses, atomic_numbers

from gnnformd.graph.type_matching import KnownTypes, match_types
from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.reference.library import find_mpich_file, open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV as EV
from gnnformd.units import PRESSURE_ATM

ELEMENTS = ("O", "H", "C")
CUTOFF = 3.5
TOLERANCE = 1e-10
ALL, SLAB, NONE = (True,) * 3, (True, True, False), (False,) * 3
EVERY = 10  # draws of which one runs on two ranks
LAMMPS, LAMMPS_2 = "LAMMPS, 1 rank", "LAMMPS, 2 ranks"

Float = np.ndarray


@dataclass(frozen=True)
class Answer:
    """Forces by ascending id, energy and virial where a door has them; kcal/mol and angstrom."""

    forces: Float
    energy: float | None = None
    virial: Float | None = None

    def difference(self, other: Answer) -> float:
        """Largest difference of forces, energy and virial, relative to their size where that is above 1."""
        parts = [np.abs(self.forces - other.forces).max() / max(1.0, np.abs(self.forces).max())]
        if other.energy is not None:
            parts.append(abs(self.energy - other.energy) / abs(self.energy))
        if other.virial is not None:
            parts.append(np.abs(self.virial - other.virial).max() / max(1.0, np.abs(self.virial).max()))
        return float(max(parts))


def small_model() -> LoadedModel:
    """Make a model of three elements with random weights, in float64."""
    torch.manual_seed(1)
    settings = DensitySettings(
        cutoff=CUTOFF, features=4, width=8, radial_functions=4, body_order=3, electrostatics="none",
        bond_kinds=0, node_features="embedding",
    )  # fmt: skip
    model = build_model(settings, len(ELEMENTS)).double()
    with torch.no_grad():
        model.network.energy_scale.fill_(50.0)
        model.network.type_energies.copy_(torch.tensor([-43.0, -0.6, -24.0]))
        model.contacts.distances.fill_(0.5)
    return LoadedModel(model.eval(), ModelCard(settings, ELEMENTS, None), Path("fuzz.safetensors"))


@dataclass(frozen=True)
class Draw:
    """A frame with the model's types, and the generator that draws how it is written."""

    frame: Frame
    rng: np.random.Generator

    def chance(self, probability: float) -> bool:
        """Draw yes or no."""
        return bool(self.rng.uniform() < probability)

    def numbering(self) -> list[int]:
        """Draw the model's type of each type of a file: the elements there are, in any order, perhaps more."""
        used = np.unique(self.frame.types).tolist()
        if self.chance(0.5):
            used = list(range(1, len(ELEMENTS) + 1))
        return self.rng.permutation(used).tolist()


def draw(seed: int, number: int) -> Draw:
    """Atoms at least 0.9 angstrom from each other and from images, some of them outside of the box."""
    rng = np.random.default_rng([seed, number])
    edges = np.diag(rng.uniform(3.0, 9.0, 3))
    tilts = np.tril(rng.uniform(-1, 1, (3, 3)) * rng.choice([0.45, 1.5]) * edges.diagonal(), -1)
    kind = rng.choice(["orthogonal", "tilted", "general"])
    cell = edges if kind == "orthogonal" else edges + tilts
    if kind == "general":
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        cell = cell @ (rotation * np.sign(np.linalg.det(rotation)))
    periodic = (ALL, ALL, ALL, SLAB, NONE)[rng.integers(5)]
    images = np.unique((np.array(list(np.ndindex(5, 5, 5))) - 2) * np.array(periodic), axis=0)
    scaled: list[Float] = []
    wanted = rng.integers(2, 9)
    for trial in rng.uniform(0.02, 0.98, (200, 3)):
        others = np.array([*scaled, trial])
        distances = np.linalg.norm((others[:, None] + images - trial) @ cell, axis=-1).ravel()
        if len(scaled) < wanted and np.sort(distances)[1:2].min(initial=9.0) > 0.9:
            scaled.append(trial)
    origin = rng.uniform(-20, 20, 3) if rng.uniform() < 0.5 else np.zeros(3)
    count = len(scaled)
    shifts = rng.integers(-2, 3, (count, 3)) * np.array(periodic)
    ids = np.sort(rng.choice(50, count, replace=False)) + 1
    types = rng.integers(1, len(ELEMENTS) + 1, count)
    positions = (np.array(scaled) + shifts) @ cell + origin
    return Draw(Frame(int(rng.integers(0, 10**6)), cell, origin, periodic, ids, types, positions), rng)


def ask(model: LoadedModel, frame: Frame) -> Answer:
    found = Evaluator(model, frame).evaluate(frame.positions, frame.cell, frame.periodic)
    return Answer(found.forces.numpy(), float(found.energies[0]), found.virials[0].numpy())


def _number(value: float) -> str:
    return repr(float(value))


def _restricted(cell: Float) -> bool:
    return bool(np.abs(np.triu(cell, 1)).max() == 0)


def write_dump(this: Draw, wanted: Answer, path: Path, numbering: list[int], *, element: bool) -> None:
    """Write a dump with any units, columns and orders, with forces."""
    frame, rng = this.frame, this.rng
    cell, origin = frame.cell, frame.origin
    units = str(rng.choice(["real", "metal"]))
    factor = 1.0 if units == "real" else 1 / EV
    images = np.floor((frame.positions - origin) @ np.linalg.inv(cell)) * np.array(frame.periodic)
    wrapped = frame.positions - images @ cell
    style = str(rng.choice(["x", "xu", "xs", "xsu"]))
    places = {"x": wrapped, "xu": frame.positions}
    places |= {"xs": (wrapped - origin) @ np.linalg.inv(cell), "xsu": (frame.positions - origin) @ np.linalg.inv(cell)}
    axes = [style.replace("x", axis, 1) for axis in "xyz"]
    columns: dict[str, list[str]] = {"id": [str(i) for i in frame.ids]}
    columns |= {axis: [_number(v) for v in places[style][:, k]] for k, axis in enumerate(axes)}
    columns |= {f"f{axis}": [_number(v) for v in wanted.forces[:, k] * factor] for k, axis in enumerate("xyz")}
    if element:
        columns["element"] = [ELEMENTS[t - 1] for t in frame.types]
    else:
        columns["type"] = [str(numbering.index(t) + 1) for t in frame.types]
    if style in ("x", "xs") and this.chance(0.7):
        columns |= {f"i{axis}": [str(int(v)) for v in images[:, k]] for k, axis in enumerate("xyz")}
    if this.chance(0.3):
        columns |= {name: [_number(v) for v in rng.normal(size=len(frame.ids))] for name in ("c_1", "q")}
    names = rng.permutation(list(columns)).tolist()
    rows = [" ".join(columns[name][k] for name in names) for k in rng.permutation(len(frame.ids))]
    flags = " ".join("pp" if p else "ff" for p in frame.periodic)
    if _restricted(cell) and this.chance(0.8):
        (a, _, _), (xy, b, _), (xz, yz, c) = cell.tolist()
        x, y, z = origin.tolist()
        low = (x + min(0.0, xy, xz, xy + xz), y + min(0.0, yz), z)
        high = (x + a + max(0.0, xy, xz, xy + xz), y + b + max(0.0, yz), z + c)
        tilted = (xy, xz, yz) != (0, 0, 0) or this.chance(0.2)
        box = f"ITEM: BOX BOUNDS {'xy xz yz ' if tilted else ''}{flags}\n"
        for one, other, tilt in zip(low, high, (xy, xz, yz), strict=True):
            box += " ".join(_number(v) for v in ((one, other, tilt) if tilted else (one, other))) + "\n"
    else:
        box = f"ITEM: BOX BOUNDS abc origin {flags}\n"
        box += "".join(" ".join(_number(v) for v in (*row, o)) + "\n" for row, o in zip(cell, origin, strict=True))
    path.write_text(
        f"ITEM: UNITS\n{units}\nITEM: TIMESTEP\n{frame.timestep}\nITEM: NUMBER OF ATOMS\n{len(frame.ids)}\n{box}"
        f"ITEM: ATOMS {' '.join(names)}\n" + "\n".join(rows) + "\n"
    )


def write_data(this: Draw, path: Path, numbering: list[int]) -> None:
    """Write a data file of any atom style, with names or with masses alone, and atoms wrapped or with image flags."""
    frame, rng = this.frame, this.rng
    cell, origin = frame.cell, frame.origin
    style = str(rng.choice(["atomic", "charge", "molecular", "full"]))
    named = str(rng.choice(["labels", "comments", "masses"]))
    if _restricted(cell):
        (a, _, _), (xy, b, _), (xz, yz, c) = cell.tolist()
        lines = [
            f"{_number(low)} {_number(low + edge)} {axis}lo {axis}hi"
            for axis, low, edge in zip("xyz", origin, (a, b, c), strict=True)
        ]
        if (xy, xz, yz) != (0, 0, 0):
            lines.append(f"{_number(xy)} {_number(xz)} {_number(yz)} xy xz yz")
    else:
        lines = [" ".join(map(_number, row)) + f" {axis}vec" for axis, row in zip("abc", cell, strict=True)]
        lines.append(" ".join(map(_number, origin)) + " abc origin")
    rng.shuffle(lines)
    names = [ELEMENTS[t - 1] for t in numbering]
    masses = [f"{k} {atomic_masses[atomic_numbers[n]]:.4f}" for k, n in enumerate(names, start=1)]
    if named == "comments":
        masses = [f"{line} # {name}" for line, name in zip(masses, names, strict=True)]
    labels = ""
    if named == "labels":
        labels = "\nAtom Type Labels\n\n" + "".join(f"{k} {name}\n" for k, name in enumerate(names, start=1))
    images = np.floor((frame.positions - origin) @ np.linalg.inv(cell)) * np.array(frame.periodic)
    wrapped = frame.positions - images @ cell
    rows = []
    for k in rng.permutation(len(frame.ids)):
        number = numbering.index(frame.types[k]) + 1
        kind = names[number - 1] if named == "labels" and this.chance(0.5) else str(number)
        words = [str(frame.ids[k]), *(["0"] if style in ("molecular", "full") else []), kind]
        words += ["0.0"] if style in ("charge", "full") else []
        rows.append(" ".join([*words, *map(_number, wrapped[k]), *(str(int(i)) for i in images[k])]))
    counts = [f"{len(frame.ids)} atoms", f"{len(numbering)} atom types"]
    rng.shuffle(counts)
    path.write_text(
        "a frame\n\n" + "\n".join(counts) + "\n\n" + "\n".join(lines) + f"\n{labels}\nMasses\n\n" + "\n".join(masses)
        + f"\n\nAtoms # {style}\n\n" + "\n".join(rows) + "\n"
    )  # fmt: skip


def write_extxyz(this: Draw, wanted: Answer, path: Path) -> Float:
    """Write extended XYZ with any units, keys and order of columns; return the order of the rows."""
    frame, rng = this.frame, this.rng
    units = str(rng.choice(["", "metal", "real"]))
    factor = 1.0 if units == "real" else 1 / EV
    order = rng.permutation(len(frame.ids))
    columns = {"species:S:1": [[ELEMENTS[t - 1]] for t in frame.types[order]]}
    columns["pos:R:3"] = [list(map(_number, row)) for row in frame.positions[order]]
    columns["forces:R:3"] = [list(map(_number, row)) for row in wanted.forces[order] * factor]
    if this.chance(0.3):
        columns["tag:I:1"] = [[str(k)] for k in range(len(order))]
    names = rng.permutation(list(columns)).tolist()
    lattice = " ".join(map(_number, frame.cell.ravel()))
    keys = [f'Lattice="{lattice}"', f"Properties={':'.join(names)}", f"energy={_number(wanted.energy * factor)}"]
    keys.append('pbc="' + " ".join("T" if p else "F" for p in frame.periodic) + '"')
    virial = wanted.virial * factor
    if this.chance(0.5):
        stress = -virial / abs(np.linalg.det(frame.cell))
        keys.append('stress="' + " ".join(map(_number, stress.T.ravel())) + '"')
    else:
        keys.append('virial="' + " ".join(map(_number, virial.ravel())) + '"')
    keys += [f"units={units}"] if units else []
    rng.shuffle(keys)
    rows = [" ".join(word for name in names for word in columns[name][k]) for k in range(len(order))]
    path.write_text(f"{len(order)}\n{' '.join(keys)}\n" + "\n".join(rows) + "\n")
    return order


def write_deepmd(this: Draw, wanted: Answer, folder: Path, numbering: list[int]) -> Float:
    """Write a folder of DeePMD-kit; return the order of the atoms."""
    frame = this.frame
    order = this.rng.permutation(len(frame.ids))
    part = folder / "set.000"
    part.mkdir(parents=True)
    (folder / "type.raw").write_text("\n".join(str(numbering.index(t)) for t in frame.types[order]) + "\n")
    (folder / "type_map.raw").write_text("\n".join(ELEMENTS[t - 1] for t in numbering) + "\n")
    if not any(frame.periodic):
        (folder / "nopbc").touch()
    arrays = {"coord": frame.positions[order], "box": frame.cell, "force": wanted.forces[order] / EV}
    arrays |= {"energy": np.array(wanted.energy / EV), "virial": wanted.virial / EV}
    for name, values in arrays.items():
        np.save(part / f"{name}.npy", values.reshape(1, -1))
    return order


def in_lammps(model: LoadedModel, this: Draw, path: Path, ranks: Ranks) -> Answer:
    """Ask the model in LAMMPS about a data file; forces and virial are turned back to the orientation of the frame."""
    frame = this.frame
    lmp = open_lammps()
    try:
        style = next(line.split("#")[1].strip() for line in path.read_text().splitlines() if line.startswith("Atoms"))
        for command in (
            "units real", f"atom_style {style}", f"boundary {' '.join('p' if p else 'f' for p in frame.periodic)}",
            f"pair_style zero {CUTOFF} nocoeff", f"read_data {path}",
        ):  # fmt: skip
            lmp.command(command)
        Coupling(lmp, model).run(0)
        own = lmp.extract_setting("nlocal")
        forces = np.zeros((51, 3))
        if own:
            forces[lmp.numpy.extract_atom("id", nelem=own)] = lmp.numpy.extract_atom("f", nelem=own, dim=3)
        forces = ranks.sum(forces)[frame.ids]
        low, high, xy, yz, xz, *_ = lmp.extract_box()
        energy = lmp.get_thermo("pe")
        volume = lmp.get_thermo("vol")
        xx, yy, zz, p_xy, p_xz, p_yz = (lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz"))
    finally:
        lmp.close()
    a, b, c = np.subtract(high, low)
    rotation = np.eye(3)
    if not _restricted(frame.cell):
        rotation = np.linalg.solve(np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]]), frame.cell)
    virial = np.array([[xx, p_xy, p_xz], [p_xy, yy, p_yz], [p_xz, p_yz, zz]]) * volume / PRESSURE_ATM
    return Answer(forces @ rotation, energy, rotation.T @ virial @ rotation)


def symmetric(answer: Answer) -> Answer:
    """Take the part of the virial that six components can hold."""
    return replace(answer, virial=(answer.virial + answer.virial.T) / 2)


class Doors:
    """All ways of one frame to the model."""

    def __init__(self, model: LoadedModel, this: Draw, folder: Path) -> None:
        self.model, self.this, self.folder = model, this, folder
        self.wanted = symmetric(ask(model, this.frame))

    def _read(self, path: Path, names: list[str] | None, order: Float | None) -> list[Answer]:
        """Read a file of frames: what the model says of it, and what it holds, in the order of the frame."""
        elements = ElementTypes(names)
        (found,) = read_frames(path, elements=elements)
        known = KnownTypes.of_names(path, names or elements.names or ())
        types = match_types(known, self.model.known_types, np.unique(found.types).tolist())
        back = np.arange(len(found.types)) if order is None else np.argsort(order)
        answer = ask(self.model, replace(found, types=types.of(found.types)))
        held = Answer(found.forces, found.energy, found.virial)
        return [replace(a, forces=a.forces[back]) for a in (answer, held)]

    def dump(self) -> list[Answer]:
        """LAMMPS's dump."""
        path, numbering, element = self.folder / "t.dump", self.this.numbering(), self.this.chance(0.5)
        write_dump(self.this, self.wanted, path, numbering, element=element)
        return self._read(path, None if element else [ELEMENTS[t - 1] for t in numbering], None)

    def extxyz(self) -> list[Answer]:
        """Write and read extended XYZ."""
        path = self.folder / "t.xyz"
        return self._read(path, None, write_extxyz(self.this, self.wanted, path))

    def deepmd(self) -> list[Answer]:
        """DeePMD-kit's folder."""
        path = self.folder / "deepmd"
        return self._read(path, None, write_deepmd(self.this, self.wanted, path, self.this.numbering()))

    def data_file(self) -> list[Answer]:
        """LAMMPS's data file, read by gnnformd."""
        topology = read_topology(self.data())
        types = match_types(
            KnownTypes.of_topology("t.data", topology), self.model.known_types, np.unique(topology.types).tolist()
        )
        return [ask(self.model, replace(self._of(topology), types=types.of(topology.types)))]

    def _of(self, topology: Topology) -> Frame:
        return replace(self.this.frame, ids=topology.ids, cell=topology.cell, positions=topology.positions)

    def data(self) -> Path:
        """Write a data file."""
        path = self.folder / "t.data"
        write_data(self.this, path, self.this.numbering())
        return path

    def ase(self) -> list[Answer]:
        """ASE's atoms, with their own elements or with a data file."""
        frame, topology = self.this.frame, None
        if self.this.chance(0.3):
            topology = read_topology(self.data())
        order = np.arange(len(frame.ids)) if topology else self.this.rng.permutation(len(frame.ids))
        names = "X" * len(frame.ids) if topology else [ELEMENTS[t - 1] for t in frame.types[order]]
        atoms = ase.Atoms(names, frame.positions[order], cell=frame.cell, pbc=frame.periodic)
        atoms.calc = Calculator(self.model, topology=topology)
        forces = atoms.get_forces()[np.argsort(order)] * EV
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume() * EV
        return [Answer(forces, atoms.get_potential_energy() * EV, virial)]

    def lammps(self) -> list[Answer]:
        """LAMMPS on one rank."""
        return [in_lammps(self.model, self.this, self.data(), Ranks())]

    def all(self) -> dict[str, Callable[[], list[Answer]]]:
        """Doors by name; the one to DeePMD-kit's format where it can hold the frame."""
        doors = {"dump": self.dump, "data file": self.data_file, "extended XYZ": self.extxyz}
        if self.this.frame.periodic != SLAB:
            doors["DeePMD folder"] = self.deepmd
        return doors | {"ASE": self.ase, LAMMPS: self.lammps}


@dataclass
class Count:
    """Draws of a door."""

    draws: int = 0
    differ: int = 0
    largest: float = 0.0


def note(counts: dict[str, Count], door: str, differences: list[float], what: str) -> None:
    count = counts.setdefault(door, Count())
    count.draws += 1
    count.largest = max(count.largest, *differences)
    if not max(differences) <= TOLERANCE:
        count.differ += 1
        print(f"{what}: {door} differs by {max(differences):.1e}", flush=True)


def run_doors(draws: int, seed: int) -> tuple[dict[str, Count], dict[int, Answer]]:
    """All doors of this process; and the answers that two ranks must give."""
    model, counts, wanted = small_model(), {}, {}
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(draws):
            place = Path(folder) / str(number)
            place.mkdir()
            doors = Doors(model, draw(seed, number), place)
            if number % EVERY == 0:
                wanted[number] = doors.wanted
            for name, door in doors.all().items():
                try:
                    differences = [doors.wanted.difference(symmetric_if(answer)) for answer in door()]
                except Exception as error:  # a refusal, too, is a difference here
                    print(f"draw {number} of seed {seed}: {name}: {type(error).__name__}: {error}", flush=True)
                    differences = [np.inf]
                note(counts, name, differences, f"draw {number} of seed {seed}")
            subprocess.run(["rm", "-r", str(place)], check=True)
            if (number + 1) % 500 == 0:
                show(counts, f"after {number + 1} of {draws} draws")
    return counts, wanted


def symmetric_if(answer: Answer) -> Answer:
    return answer if answer.virial is None else symmetric(answer)


def on_two_ranks(draws: int, seed: int, out: Path) -> None:
    """Run LAMMPS for every tenth draw as one of two ranks; the first writes all forces, energies and virials."""
    model, ranks, found = small_model(), Ranks.world(), {}
    warnings.simplefilter("ignore")
    for number in range(0, draws, EVERY):
        this, path = draw(seed, number), out.with_name(f"{number}.data")
        if ranks.first:
            write_data(this, path, this.numbering())
        ranks.share(None)  # the file is there
        answer = in_lammps(model, this, path, ranks)
        for name in ("forces", "energy", "virial"):
            found[f"{number} {name}"] = getattr(answer, name)
        if ranks.first:
            path.unlink()
    if ranks.first:
        np.savez(out, **found)


def compare_two_ranks(draws: int, seed: int, wanted: dict[int, Answer], counts: dict[str, Count]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.npz"
        command = [str(find_mpich_file("mpiexec.hydra", "mpiexec")), "-n", "2", sys.executable, "-m", __spec__.name]
        command += ["--draws", str(draws), "--seed", str(seed), "--two-ranks", str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run(command, check=True, env=environment)
        found = np.load(out)
        for number, answer in wanted.items():
            other = Answer(*(found[f"{number} {name}"] for name in ("forces", "energy", "virial")))
            note(counts, LAMMPS_2, [answer.difference(other)], f"draw {number} of seed {seed}")


def show(counts: dict[str, Count], title: str) -> None:
    print(f"{title}: door, draws, different, largest relative difference")
    for door, count in counts.items():
        print(f"{door:18s} {count.draws:7d} {count.differ:5d} {count.largest:9.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--two-ranks", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.two_ranks is not None:
        on_two_ranks(arguments.draws, arguments.seed, arguments.two_ranks)
        return
    counts, wanted = run_doors(arguments.draws, arguments.seed)
    compare_two_ranks(arguments.draws, arguments.seed, wanted, counts)
    show(counts, f"{arguments.draws} draws of seed {arguments.seed}")
    sys.exit(any(count.differ for count in counts.values()))


if __name__ == "__main__":
    main()
