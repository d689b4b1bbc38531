"""Facts that ``inspect`` prints about each kind of file and folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnnformd.cli.options import shown_units
from gnnformd.cli.show import number

if TYPE_CHECKING:
    from gnnformd.force_field import ForceField
    from gnnformd.model.files.stability import StabilityCheck
    from gnnformd.reference.run import ReferenceRun
    from gnnformd.units import ShownUnits

__all__ = ["describe"]

BONDED = {1: " bonded", 2: " 1-3", 3: " 1-4"}

METRICS = {
    "epoch": ("epoch", None),
    "train_loss": ("training: loss per frame", "force"),
    "validation_loss": ("validation: |dF| of a frame", "force"),
    "validation_l1_per_atom": ("validation: |dF| per atom", "force"),
    "validation_x": ("validation: |dFx| of a frame", "force"),
    "validation_y": ("validation: |dFy| of a frame", "force"),
    "validation_z": ("validation: |dFz| of a frame", "force"),
    "learning_rate": ("learning rate", None),
    "seconds": ("seconds since the start", None),
    "validation_energy_rmse_per_atom": ("validation: RMSE of the energy per atom", "per_atom"),
    "validation_virial_rmse_per_atom": ("validation: RMSE of the virial per atom", "per_atom"),
    "validation_rmse": ("validation: RMSE of a component", "force"),
    "train_l1_per_atom": ("training: |dF| per atom", "force"),
    "validation_mean_force": ("validation: |F| per atom", "force"),
    "validation_score": ("validation: score that the model was chosen by", None),
    "train_energy_share": ("training: error of energies over their differences", None),
    "train_virial_share": ("training: error of virials over those of usual forces", None),
}
"""What the columns of ``metrics.csv`` are, and the attribute of `ShownUnits` that has their unit."""

ERRORS = {
    "validation_l1_per_atom": "validation |dFx|+|dFy|+|dFz|",
    "validation_mean_force": "validation |Fx|+|Fy|+|Fz|",
    "train_l1_per_atom": "training |dFx|+|dFy|+|dFz|",
}
"""What the errors of a training are in a model card."""

Facts = list[tuple[str, Any]]
Part = tuple[str, Facts]


def describe(name: str) -> list[Part]:
    """Facts about a file, a folder or a shipped model.

    Raises
    ------
    InputError
        There is no such file, or it is of an unknown kind.
    """
    path = Path(name)
    if path.suffix == ".safetensors" or (not path.exists() and _is_shipped(name)):
        return [_model(name)]
    if path.suffix == ".data":
        return [_topology(path)]
    if (path / "reference.yaml").is_file():
        return _reference_run(path)
    if (path / "config.yaml").is_file():
        return _run_folder(path)
    if (path / "simulate.yaml").is_file():
        return _simulation(path)
    return [_frames(name)]


def _is_shipped(name: str) -> bool:
    from gnnformd.model.files.model_file import pretrained_names

    return name in pretrained_names()


def _model(name: str) -> Part:
    from gnnformd.model.files.model_file import load_model

    loaded = load_model(name)
    card = loaded.card
    shown = shown_units(None, card.shown_units)
    facts: Facts = [
        ("kind", card.kind),
        ("parameters", sum(p.numel() for p in loaded.model.parameters())),
        ("cutoff, angstrom", card.cutoff),
        ("types", ", ".join(card.type_names)),
        ("conservative", "yes" if loaded.model.conservative else "no"),
        ("settings", _listed(card.settings.model_dump())),
        *((f"trained on {k}", _listed(_training(part, shown))) for k, part in enumerate(card.trained_on, start=1)),
        *(("warning", text) for text in (card.why_unusable, card.why_inconsistent) if text is not None),
        *([] if card.stability is None else [("stability", _stability(card.stability))]),
        ("format version", card.format_version),
    ]
    return f"Model {loaded.path}", facts + _force_field(card.force_field)


def _stability(found: StabilityCheck) -> str:
    return " ".join([found.verdict.removeprefix("Stability: "), *found.details])


def _training(entry: Mapping[str, Any], units: ShownUnits) -> dict[str, Any]:
    """Name the units of what a model card says of a training."""
    found = {key: value for key, value in entry.items() if key not in ("some_frames", "stability")}
    if "largest_forces" in found:
        forces = {name: units.force * size for name, size in found.pop("largest_forces").items()}
        found[f"largest forces ({units.force_unit})"] = forces
    if "closest_pairs" in found:
        closest: dict[str, float] = {}
        for bonds, one, other, distance in found.pop("closest_pairs"):
            pair = f"{one}-{other}{BONDED.get(bonds, '')}"  # in older files types of one name are not told apart
            closest[pair] = min(distance, closest.get(pair, distance))
        found["closest pairs (angstrom)"] = closest
    for key, what in ERRORS.items():
        if key in found:
            found[f"{what} per atom ({units.force_unit})"] = units.force * found.pop(key)
    return {name.replace("_", " "): value for name, value in found.items()}


def _topology(path: Path) -> Part:
    from gnnformd.trajectory.formats.data_file import read_topology

    topology = read_topology(path)
    molecules = topology.molecule_ids
    names = [name or "" for name in topology.type_names or ()]
    facts: Facts = [
        ("atoms", len(topology.ids)),
        ("of each type", _counts(dict(zip(*np.unique(topology.types, return_counts=True), strict=True)), names)),
        ("molecules", "-" if molecules is None else len(np.unique(molecules[molecules > 0]))),
        ("bonds, angles", f"{len(topology.bonds)}, {len(topology.angles)}"),
        *_of_four_atoms(path),
        ("net charge, e", "-" if topology.charges is None else float(topology.charges.sum())),
        ("cell, angstrom", _cell(topology.cell)),
    ]
    return f"Topology {path}", facts


def _of_four_atoms(topology: Path) -> Facts:
    """Count dihedrals and impropers of a data file; nothing where it has none."""
    from gnnformd.trajectory.formats.data_file import split_data_file

    sections = split_data_file(topology)[2]
    counts = {name: len(sections[name].lines) for name in ("Dihedrals", "Impropers") if name in sections}
    return [(name.lower(), count) for name, count in counts.items() if count]


def _reference_run(path: Path) -> list[Part]:
    from gnnformd.reference.run import ReferenceRun

    run = ReferenceRun.open(path)
    facts: Facts = [(str(key), _listed(value)) for key, value in run.manifest.items() if key != "force_field"]
    facts += _of_four_atoms(run.topology) if run.topology.is_file() else []
    return [(f"Reference run {path}", facts + _force_field(run.force_field)), _frames(str(path), run)]


def _run_folder(path: Path) -> list[Part]:
    import csv

    from gnnformd.model.files.model_file import read_card

    model = path / "model.safetensors"
    shown = shown_units(None, read_card(model).shown_units if model.is_file() else "real")
    facts: Facts = [("configuration", str(path / "config.yaml"))]
    checkpoints = sorted(p.name for p in (path / "checkpoints").glob("*")) if (path / "checkpoints").is_dir() else []
    facts.append(("checkpoints", ", ".join(checkpoints) or "-"))
    parts: list[Part] = [(f"Run {path}", facts)]
    if (path / "metrics.csv").is_file():
        with (path / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        facts.append(("rows in metrics.csv", len(rows)))
        last = [_metric(key, value, shown) for key, value in (rows[-1] if rows else {}).items() if value]
        parts.append(("Last epoch; |dF| is the sum of |dFx| + |dFy| + |dFz|", last))
    return parts + ([_model(str(model))] if model.is_file() else [])


def _metric(key: str, text: str, units: ShownUnits) -> tuple[str, Any]:
    """Name and value of an entry of the last row of ``metrics.csv``."""
    name, quantity = METRICS.get(key, (key, None))
    if quantity is None:
        return name, text if text.isdigit() else float(text)
    return f"{name}, {getattr(units, f'{quantity}_unit')}", getattr(units, quantity) * float(text)


def _simulation(path: Path) -> list[Part]:
    from gnnformd.yaml_files import read_mapping

    manifest = read_mapping(path / "simulate.yaml")
    facts: Facts = [(key, _listed(value)) for key, value in manifest.items() if value is not None]
    names = manifest.get("type_names")
    units = manifest.get("shown_units")
    frames = _frames(str(path), names=names if isinstance(names, list) else None, units=str(units) if units else None)
    return [(f"Simulation {path}", facts), frames]


def _frames(
    name: str, run: ReferenceRun | None = None, names: Sequence[str] | None = None, units: str | None = None
) -> Part:
    from gnnformd.trajectory.inspect import inspect_data

    found = inspect_data(name)
    if names is None:
        names = (run.force_field.names if run.force_field else run.type_names) if run else found["elements"]
    shown = shown_units(None, units or found["units"])
    force = {name: shown.force * value for name, value in (found["force"] or {}).items()}
    energy = found["energy_kcal_per_mol"]
    isolated = {name: shown.energy * value for name, value in (found["isolated_atoms"] or {}).items()}
    temperature = found["temperature_K"]
    pressures = [shown.stress * value for value in found["virial_pressure_kcal_per_mol_per_A3"] or ()]
    facts: Facts = [
        ("frames", found["frames"]),
        ("atoms", _range(found["atoms"])),
        ("of each type", _counts({kind: _range(ends) for kind, ends in found["types"].items()}, names)),
        ("steps", _range(found["timesteps"])),
        *([("edges of the cell, angstrom", _edges(found["cell_lengths_A"]))] if found["cell_lengths_A"] else []),
        *([("volume, angstrom^3", _range(found["volume_A3"]))] if found["volume_A3"] else []),
        ("periodic", _periodicity(found["periodic"])),
        ("molecules", found["molecules"]),
        ("bonds", "unknown" if found["bonds"] is None else found["bonds"]),
        ("units", found["units"]),
        (f"potential energy, {shown.energy_unit}", _range(energy and [shown.energy * value for value in energy])),
        (
            "temperature of velocities, K" if found["temperature_from"] == "velocities" else "temperature, K",
            None if temperature is None else f"{_range(temperature[::2])}, mean {number(temperature[1])}",
        ),
        (f"force on an atom, {shown.force_unit}", _force(force) if force else "no forces"),
        (f"largest net force, {shown.force_unit}", force.get("largest_sum_over_frame")),
        *([(f"pressure of the virials, {shown.stress_unit}", _range(pressures))] if pressures else []),
        ("shortest distance, angstrom", found["closest_pair_A"]),
        *([("frames of each config_type", _listed(found["config_types"]))] if found["config_types"] else []),
        *([(f"energy of isolated atoms, {shown.energy_unit}", _listed(isolated))] if found["isolated_atoms"] else []),
        *(("warning", text) for text in found["warnings"]),
    ]
    return f"Trajectory {run.trajectory if run else name}", facts


def _force(force: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number(force[key])}" for name, key in (("mean", "mean"), ("largest", "largest")))


def _range(ends: Sequence[Any] | None) -> str:
    """Smallest and largest value; one of them if they print the same."""
    if ends is None:
        return number(None)
    low, high = (number(end) for end in ends)
    return low if low == high else f"{low} to {high}"


def _edges(lengths: Sequence[Sequence[float | None]]) -> str:
    """Lengths of the lattice vectors; a dash where a direction is not periodic."""
    return " x ".join(_range(ends) for ends in zip(*lengths, strict=True))


def _force_field(field: ForceField | None) -> Facts:
    if field is None:
        return [("force field", "none: types are learned embeddings")]
    facts: Facts = [
        (
            f"type {number_} {kind.name}",
            f"mass {kind.mass:g} g/mol, charge {kind.charge:g} e, epsilon {kind.epsilon:g} kcal/mol, "
            f"sigma {kind.sigma:g} angstrom",
        )
        for number_, kind in enumerate(field.types, start=1)
    ]
    for bond in field.bonds:
        ends = "-".join(field.names[t - 1] for t in bond.types)
        facts.append((f"bond {ends}", f"{bond.stiffness:g} kcal/mol/angstrom^2, {bond.length:g} angstrom"))
    for angle in field.angles:
        ends = "-".join(field.names[t - 1] for t in angle.types)
        facts.append((f"angle {ends}", f"{angle.stiffness:g} kcal/mol/rad^2, {angle.angle:g} degrees"))
    return facts


def _periodicity(frames: Mapping[str, int]) -> str:
    """Periodic directions, with the number of frames where frames differ."""
    parts = [(", ".join(axes) or "no", count) for axes, count in frames.items()]
    return parts[0][0] if len(parts) == 1 else "; ".join(f"{axes} in {count} frames" for axes, count in parts)


def _counts(counts: Mapping[int, int | str], names: Sequence[str] | None = None) -> str:
    known = dict(enumerate(names or (), start=1))
    return ", ".join(f"{n} of type {kind} {known.get(kind, '')}".rstrip() for kind, n in counts.items())


def _cell(cell: Any) -> str:
    if np.allclose(cell, np.diag(np.diag(cell))):
        return " x ".join(f"{edge:.4g}" for edge in np.diag(cell))
    return "; ".join(" ".join(f"{x:.4g}" for x in row) for row in cell)


def _listed(value: Any) -> str:
    """Nested settings in one line; parts with commas of their own are separated by semicolons."""
    if isinstance(value, dict):
        parts = [f"{key} {_listed(entry)}" for key, entry in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [_listed(entry) for entry in value]
    else:
        return number(value)
    return ("; " if any("," in part for part in parts) else ", ").join(parts) or "-"
