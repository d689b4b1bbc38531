"""Commands that judge a model: ``evaluate``, ``curves`` and ``benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gnnformd.cli.app import app
from gnnformd.cli.show import check_place, progress, save_json, say, show_table

__all__ = ["use_threads"]

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or name of a shipped model.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the numbers to this file.", callback=check_place)
]
DeviceOption = Annotated[str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")]
TorchOption = Annotated[bool, typer.Option("--torch", help="Forces by PyTorch, not by compiled loops.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads; all cores if not given.")]


@app.command()
def evaluate(
    model: ModelArgument,
    data: Annotated[list[Path], typer.Argument(help="Dumps or folders made by 'gnnformd generate'.")],
    frames: Annotated[int | None, typer.Option(min=1, help="Evenly spaced frames of each, instead of all.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames at once.")] = 4,
    topology: Annotated[Path | None, typer.Option(help="LAMMPS data file with the bonds of a dump.")] = None,
    force_field: Annotated[Path | None, typer.Option(help="YAML file with charge, epsilon, sigma of a dump.")] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    torch: TorchOption = False,
    json_file: JsonOption = None,
) -> None:
    """Compare predicted forces with those of the data."""
    use_threads(threads)
    from gnnformd.evaluation.forces.metrics import evaluate as compare
    from gnnformd.force_field import ForceField
    from gnnformd.model.files.model_file import load_model
    from gnnformd.trajectory.packed.dataset import open_dataset

    loaded = load_model(model, device=device, compiled=not torch)
    field = ForceField.from_yaml(force_field) if force_field else None
    names = loaded.card.type_names
    datasets = [open_dataset(path, topology=topology, force_field=field, elements=names) for path in data]
    with progress("Evaluating") as report:
        result = compare(loaded, datasets, batch_size=batch_size, frames=frames, progress=report).to_dict()
    show_evaluation(result)
    save_json(json_file, result)


def show_evaluation(result: dict[str, Any]) -> None:
    """Table of the errors on each dataset and for each type of atom."""
    columns = ("data", "frames", "MAE", "RMSE", "L1/atom", "relative", "ms/frame")
    rows: list[tuple[Any, ...]] = []
    for entry in result["datasets"]:
        force = entry["force"]
        share = f"{100 * force['relative_l1']:.1f} %"
        speed = 1000 * entry["seconds_per_frame"]
        rows.append((entry["path"], entry["frames"], force["mae"], force["rmse"], force["l1_per_atom"], share, speed))
        for name, part in force["per_type"].items():
            share = f"{100 * part['relative_l1']:.1f} %" if "relative_l1" in part else "-"
            rows.append((f"  {name}", "", part.get("mae"), part.get("rmse"), part.get("l1_per_atom"), share, ""))
    show_table("Errors of the forces, kcal/mol/angstrom", columns, rows)


@app.command()
def curves(
    model: ModelArgument,
    figure: Annotated[Path | None, typer.Option(help="Draw the curves to this file (png, pdf, svg).")] = None,
    json_file: JsonOption = None,
) -> None:
    """Compare the force between two atoms with Lennard-Jones, Coulomb and a harmonic bond."""
    from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
    from gnnformd.model.files.model_file import load_model

    found = force_curves(load_model(model))
    result = curves_to_dict(model, found)
    columns = ("curve", "rms error", "relative", "where data were", "largest transverse")
    rows = []
    for c in result["curves"]:
        shares = [c["relative_rms_error"], c["relative_rms_error_in_data"]]
        shown = ["-" if share is None else f"{100 * share:.1f} %" for share in shares]
        rows.append((f"{c['name']} ({c['detail']})", c["rms_error"], *shown, c["max_transverse"]))
    show_table("Force on one of two atoms, kcal/mol/angstrom", columns, rows)
    if figure is not None:
        from gnnformd.evaluation.figures.force_figures import force_curve_figure, save_figure

        save_figure(force_curve_figure(found), figure)
        say(f"Wrote {figure}")
    save_json(json_file, result)


@app.command()
def benchmark(
    model: ModelArgument,
    atoms: Annotated[int, typer.Option(min=1, help="About this many atoms.")] = 648,
    threads: ThreadsOption = None,
    device: DeviceOption = "cpu",
    torch: TorchOption = False,
    json_file: JsonOption = None,
) -> None:
    """Measure how long the forces take, and LAMMPS's own in the same run."""
    use_threads(threads)
    from gnnformd.model.files.model_file import load_model
    from gnnformd.simulation.speed.measure import measure_speed

    loaded = load_model(model, device=device, compiled=not torch)
    with progress("Measuring") as report:
        result = measure_speed(loaded, atoms=atoms, progress=report).to_dict()
    title = f"{result['atoms']} atoms of {result['system']}, {result['edges_per_atom']:.0f} edges per atom"
    own, ratio = result["microseconds_per_atom_step"], result["ratio_to_lammps"]
    threads = result["threads"]
    where = f"{threads} thread{'s' if threads > 1 else ''}" if result["device"] == "cpu" else result["device"]
    told = {
        "short_range": f"forces but long-range electrostatics ({where})",
        "network": "  of it the network of each atom",
        "forces": f"forces ({where})",
        "with_neighbor_search": f"forces and neighbor search ({where})",
        "step": "step of LAMMPS with these forces",
        "coupling": "  of it PPPM, lists, moving, coupling",
    }
    if own["short_range"] == own["forces"]:
        del told["short_range"]
    rows = [(text, own[name], ratio[name]) for name, text in told.items() if name in own]
    rows.append(("LAMMPS's own force field (1 core)", result["lammps"]["microseconds_per_atom_step"], 1.0))
    show_table(title, ("what", "us/atom/step", "over LAMMPS"), rows)
    if result["operations_per_atom"] is not None:
        edges, operations = result["edges_per_second"] / 1e6, result["operations_per_atom"] / 1e3
        share = 100 * result["share_of_matrix_product"]
        say(
            f"{edges:.0f} million edges a second; {operations:.0f} thousand operations an atom, {share:.0f} % of the "
            "speed of a product of matrices."
        )
    if result["difference_from_pytorch"] is not None:
        say(f"Forces differ from those of PyTorch in float64 by {result['difference_from_pytorch']:.1g} of their size.")
    save_json(json_file, result)


def use_threads(count: int | None) -> None:
    """Let the network use this many processor threads; all cores without a number."""
    if count is not None:
        import numba
        import torch

        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # first: starting numba resets torch's
        torch.set_num_threads(count)
