"""Commands that evaluate a model: ``evaluate``, ``curves`` and ``benchmark``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnformd.cli.app import app
from gnnformd.cli.options import (
    DeviceOption,
    JsonOption,
    KeyOption,
    ModelArgument,
    ThreadsOption,
    TorchOption,
    UnitsOption,
    shown_units,
    use_threads,
)
from gnnformd.cli.show import check_writable, number, progress, save_json, say, show_note, show_table
from gnnformd.errors import InputError

if TYPE_CHECKING:
    from gnnformd.evaluation.forces.force_errors import TypeMetrics
    from gnnformd.evaluation.forces.metrics import Evaluation
    from gnnformd.units import ShownUnits

__all__ = ["LEGEND", "show_evaluation"]

SLOWER = 0.9
"""Share of the time of forces below which the time of something that includes them contradicts it."""

CHECKED_FRAMES = 10
"""About so many frames of each dataset that `evaluate` checks: what is wrong with one is with most of them."""

LEGEND = "MAE, RMSE: of a component of a force. L1: |dFx| + |dFy| + |dFz|, mean over atoms."


@app.command()
def evaluate(
    model: ModelArgument,
    data: Annotated[list[Path], typer.Argument(help="Dumps or folders made by 'gnnformd generate'.")],
    frames: Annotated[int | None, typer.Option(min=1, help="Evenly spaced frames of each, instead of all.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames at once.")] = 4,
    topology: Annotated[Path | None, typer.Option(help="LAMMPS data file with the bonds of a dump.")] = None,
    force_field: Annotated[Path | None, typer.Option(help="YAML file with charge, epsilon, sigma of a dump.")] = None,
    key: KeyOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    torch: TorchOption = False,
    units: UnitsOption = None,
    json_file: JsonOption = None,
) -> None:
    """Compare predicted forces with those of the data."""
    use_threads(threads)
    from gnnformd.evaluation.forces.metrics import evaluate as compare
    from gnnformd.force_field import ForceField
    from gnnformd.model.files.model_file import load_model
    from gnnformd.trajectory.data_checks import sampled_problems
    from gnnformd.trajectory.formats.target_names import target_keys
    from gnnformd.trajectory.packed.dataset import open_dataset

    loaded = load_model(model, device=device, compiled=not torch)
    field = ForceField.from_yaml(force_field) if force_field else None
    keys = target_keys(key or [])
    datasets = [open_dataset(path, topology=topology, force_field=field, keys=keys) for path in data]
    for dataset in datasets:
        for problem in sampled_problems(
            dataset.__getitem__, len(dataset), dataset.force_field, dataset.units, CHECKED_FRAMES
        ):
            warnings.warn(f"{dataset.path}: {problem}", stacklevel=1)
    with progress("Evaluating", "frame") as report:
        result = compare(loaded, datasets, batch_size=batch_size, frames=frames, progress=report)
    show_evaluation(result, shown_units(units, loaded.card.shown_units))
    save_json(json_file, result.to_dict())


def show_evaluation(evaluation: Evaluation, units: ShownUnits) -> None:
    """Tables of the errors on each dataset, for each type of atom and each kind of configuration."""
    from gnnformd.evaluation.forces.relative_error import NEARLY_ZERO, has_forces, mean_force, relative_error

    usual, nearly_zero = mean_force(dataset.force for dataset in evaluation.datasets), False
    columns = ("data", "frames", "MAE", "RMSE", "L1/atom", "relative", "ms/frame")
    rows: list[tuple[Any, ...]] = []
    for dataset in evaluation.datasets:
        parts: list[tuple[str, int | str, TypeMetrics, float | str]] = [
            (dataset.path, dataset.frames, dataset.force, 1000 * dataset.seconds_per_frame)
        ]
        parts += [(f"  {name}", "", errors, "") for name, errors in dataset.force.per_type.items()]
        parts += [
            (f"  {name}", kind.frames, kind.force, "") for name, kind in dataset.per_config_type.items() if kind.force
        ]
        for name, frames, errors, milliseconds in parts:
            sizes = (units.force * value for value in (errors.mae, errors.rmse, errors.l1_per_atom))
            shown = (number(size, 3) for size in sizes)
            nearly_zero = nearly_zero or not has_forces(errors, usual)
            rows.append((name, frames, *shown, relative_error(errors, usual), number(milliseconds, 3)))
    show_table(f"Errors of the forces, {units.force_unit}", columns, rows)
    zero = f" F ~ 0: {NEARLY_ZERO}." if nearly_zero else ""
    show_note(f"{LEGEND} Relative: sum of |dF| over sum of |F|, over components.{zero}")
    say("")
    rows = []
    for dataset in evaluation.datasets:
        energies = [(dataset.path, dataset.energy)]
        energies += [(f"  {name}", kind.energy) for name, kind in dataset.per_config_type.items()]
        for name, e in energies:
            if e is not None:
                sizes = (units.per_atom * size for size in (e.mae_per_atom, e.rmse_per_atom, e.mean_per_atom))
                rows.append((name, e.frames, *(number(size, 3) for size in sizes)))
    if rows:
        columns_of_energies = ("data", "frames", "MAE", "RMSE", "mean")
        show_table(
            f"Errors of the energies, up to a constant, {units.per_atom_unit} per atom", columns_of_energies, rows
        )
        show_note("Mean: of the model's less the data's; MAE and RMSE are about that of all frames of the data.")
        say("")
    rows = []
    for dataset in evaluation.datasets:
        stresses = [(dataset.path, dataset.stress)]
        stresses += [(f"  {name}", kind.stress) for name, kind in dataset.per_config_type.items()]
        rows += [
            (name, e.frames, *(number(units.stress * size, 3) for size in (e.mae, e.rmse, e.pressure_offset)))
            for name, e in stresses
            if e is not None
        ]
    if rows:
        columns_of_stresses = ("data", "frames", "MAE", "RMSE", "pressure")
        show_table(f"Errors of the stresses, {units.stress_unit}", columns_of_stresses, rows)
        show_note(
            "MAE, RMSE: of a component of virial over volume. Pressure: mean of the model's less that of the data."
        )
        say("")
    _show_extrapolation(evaluation, units)


def _show_extrapolation(evaluation: Evaluation, units: ShownUnits) -> None:
    """Table of the errors by extrapolation grade."""
    from gnnformd.evaluation.forces.extrapolation import name_of_grades

    rows = []
    for dataset in evaluation.datasets:
        found = dataset.extrapolation
        if found is None:
            continue
        for part, name in zip(found.by_grade, (dataset.path, "", "", ""), strict=False):
            grades = name_of_grades(part.above, part.up_to)
            rows.append((name, grades, part.atoms, number(None if part.rmse is None else units.force * part.rmse, 3)))
    if rows:
        show_table(
            f"Errors of the forces by extrapolation grade, {units.force_unit}", ("data", "grade", "atoms", "RMSE"), rows
        )
        show_note("Grade: how unlike all in training the surroundings of an atom are; there it is about 1 at most.")
        say("")


def _contradict(times: Mapping[str, float]) -> bool:
    """Whether forces take longer than what includes them; a step has PPPM in the place of the model's Ewald sum."""
    parts = {"with_neighbor_search": "forces", "step": "short_range"}
    return any(times[whole] < SLOWER * times[part] for whole, part in parts.items() if whole in times)


@app.command()
def predict(
    model: ModelArgument,
    data: Annotated[
        Path, typer.Argument(help="Dump, extended XYZ file, or anything else that is read; also without forces.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.xyz", help="File to write.", callback=check_writable)],
    topology: Annotated[Path | None, typer.Option(help="LAMMPS data file with the bonds of a dump.")] = None,
    force_field: Annotated[Path | None, typer.Option(help="YAML file with charge, epsilon, sigma of a dump.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames at once.")] = 4,
    key: KeyOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    torch: TorchOption = False,
) -> None:
    """Write predicted energies, forces and stresses as extended XYZ, in eV and angstrom."""
    use_threads(threads)
    from gnnformd.force_field import ForceField
    from gnnformd.inference.predictions import predict_frames
    from gnnformd.model.files.model_file import load_model
    from gnnformd.trajectory.formats.target_names import target_keys

    loaded = load_model(model, device=device, compiled=not torch)
    found = predict_frames(
        loaded,
        data,
        out,
        topology=topology,
        force_field=ForceField.from_yaml(force_field) if force_field else None,
        batch_size=batch_size,
        keys=target_keys(key or []),
    )
    say(f"Wrote {out}: {found.frames} frame{'' if found.frames == 1 else 's'}, reference values under names with REF_")
    if found.unusual:
        say(
            f"{found.unusual} of them have atoms whose surroundings are like none in training (column "
            "extrapolation_grade above 2), so that errors on other data say nothing of theirs."
        )


@app.command()
def curves(
    model: ModelArgument,
    figure: Annotated[Path | None, typer.Option(help="Draw the curves to this file (png, pdf, svg).")] = None,
    units: UnitsOption = None,
    json_file: JsonOption = None,
) -> None:
    """Compare the force between two atoms with Lennard-Jones, Coulomb and a harmonic bond."""
    from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
    from gnnformd.evaluation.formatting import percent
    from gnnformd.model.files.model_file import load_model

    loaded = load_model(model)
    found, shown_in = force_curves(loaded), shown_units(units, loaded.card.shown_units)
    result = curves_to_dict(model, found)
    columns = ("curve", "rms error", "relative", "within the data", "max transverse")
    rows = []
    for c in result["curves"]:
        shares = [c["relative_rms_error"], c["relative_rms_error_in_data"]]
        shown = ["-" if share is None else percent(share) for share in shares]
        sizes = [shown_in.force * c[key] for key in ("rms_error", "max_transverse")]
        rows.append((f"{c['name']} ({c['detail']})", sizes[0], *shown, sizes[1]))
    show_table(f"Force on one of two atoms, {shown_in.force_unit}", columns, rows)
    if figure is not None:
        from gnnformd.evaluation.figures.force_figures import force_curve_figure, save_figure

        save_figure(force_curve_figure(found, shown_in), figure)
        say(f"Wrote {figure}")
    save_json(json_file, result)


@app.command()
def benchmark(
    model: ModelArgument,
    structure: Annotated[
        Path | None,
        typer.Argument(
            metavar="[STRUCTURE]",
            help="File that simulate can start from. [default: a liquid of the model's own force field]",
            show_default=False,
        ),
    ] = None,
    atoms: Annotated[int, typer.Option(min=1, help="About this many atoms, of the liquid.")] = 648,
    repeat: Annotated[
        tuple[int, int, int],
        typer.Option(metavar="NX NY NZ", min=1, help="Copies of the box of the structure along its lattice vectors."),
    ] = (1, 1, 1),
    against: Annotated[
        Path | None, typer.Option(help="LAMMPS commands (units, pair_style, ...) of a force field to run beside it.")
    ] = None,
    threads: ThreadsOption = None,
    device: DeviceOption = "cpu",
    torch: TorchOption = False,
    json_file: JsonOption = None,
) -> None:
    """Measure how long the forces take, and another force field of LAMMPS in the same run."""
    use_threads(threads)
    from gnnformd.model.files.model_file import load_model
    from gnnformd.simulation.speed.measure import measure_speed
    from gnnformd.simulation.speed.structure import measure_on_structure

    if structure is None and (against is not None or repeat != (1, 1, 1)):
        raise InputError(
            f"{'--repeat' if against is None else '--against'}: needs a structure; give it after the model "
            "('gnnformd benchmark MODEL STRUCTURE')."
        )
    if min(repeat) < 1:
        raise InputError(f"--repeat: {' '.join(map(str, repeat))} is not three numbers of at least 1; correct it.")
    loaded = load_model(model, device=device, compiled=not torch)
    with progress("Measuring", "stage") as report:
        if structure is None:
            result = measure_speed(loaded, atoms=atoms, progress=report).to_dict()
        else:
            found = measure_on_structure(loaded, structure, copies=repeat, against=against, progress=report)
            result = found.to_dict()
    title = f"{result['atoms']} atoms of {result['system']}, {result['edges_per_atom']:.0f} edges per atom"
    times, other = result["microseconds_per_atom_step"], result["against"]
    ratio = other["ratio"] if other else result["ratio_to_lammps"]
    threads = result["threads"]
    where = f"{threads} thread{'s' if threads > 1 else ''}" if result["device"] == "cpu" else result["device"]
    names = {
        "short_range": f"forces but long-range electrostatics ({where})",
        "network": "  of it the network of each atom",
        "forces": f"forces ({where})",
        "with_neighbor_search": f"forces and neighbor search ({where})",
        "step": "step of LAMMPS with these forces",
        "coupling": "  of it PPPM, lists, moving, coupling",
    }
    if times["short_range"] == times["forces"]:  # the network is a part of the forces then
        names = {"forces": names["forces"], "network": names["network"], **names}
        del names["short_range"]
    columns: tuple[str, ...] = ("what", "us/atom/step", f"over {other['pair_style']}" if other else "over LAMMPS")
    rows: list[tuple[object, ...]] = [
        (text, times[name], None if ratio is None else ratio[name]) for name, text in names.items() if name in times
    ]
    if other is not None:
        rows.append((f"LAMMPS with {other['pair_style']} (1 core)", other["microseconds_per_atom_step"], 1.0))
    elif result["lammps"] is not None:
        rows.append(("LAMMPS's own force field (1 core)", result["lammps"]["microseconds_per_atom_step"], 1.0))
    else:
        columns, rows = columns[:2], [row[:2] for row in rows]
    show_table(title, columns, rows)
    if structure is not None and ("step" not in times or (other and other["microseconds_per_atom_step"] is None)):
        say("The machine was too busy to tell the time of a step of LAMMPS; close other programs and measure again.")
    elif _contradict(times):
        say(
            "Some of these times contradict others: forces take longer than what includes them, so the machine "
            "was busy while they were measured; close other programs and measure again."
        )
    if other is not None:
        shown = shown_units(None, other["units"])
        mae, rmse, rms = (number(shown.force * other[name]) for name in ("force_mae", "force_rmse", "force_rms"))
        say(
            f"Force components of the model differ from those of {other['pair_style']} by {mae} {shown.force_unit} "
            f"(MAE), {rmse} (RMSE); the root mean square of the latter is {rms}."
        )
    if result["operations_per_atom"] is not None:
        edges, operations = result["edges_per_second"] / 1e6, result["operations_per_atom"] / 1e3
        share = 100 * result["share_of_matrix_product"]
        say(
            f"{number(edges, 2)} million edges a second; {number(operations, 2)} thousand operations an atom, "
            f"{number(share, 2)} % of the speed of a product of matrices."
        )
    if result["difference_from_pytorch"] is not None:
        say(f"Forces differ from those of PyTorch in float64 by {result['difference_from_pytorch']:.1g} of their size.")
    save_json(json_file, result)
