"""Write frames and what a model says of them as extended XYZ, in eV and angstrom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from gnnformd.trajectory.frame import Float, Frame
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["write_prediction"]

_DIGITS = 12


def write_prediction(
    file: TextIO,
    frame: Frame,
    symbols: Sequence[str],
    forces: Float,
    energy: float | None = None,
    virial: Float | None = None,
    grades: Float | None = None,
) -> None:
    """Append a frame: predictions as ``energy``, ``forces``, ``stress``, the frame's own values with ``REF_`` before.

    A stress is written where the box is periodic in all directions, as nine numbers, positive under tension. Types of
    atoms are written beside the elements where these do not tell them apart.

    Parameters
    ----------
    file
        To append to.
    frame
        Positions, box and reference values.
    symbols
        Element of each atom, 'X' where it is not known, (N,).
    forces
        Predicted, kcal/mol/angstrom, (N, 3).
    energy, virial
        Predicted, kcal/mol, () and (3, 3), or None.
    grades
        Extrapolation grades, (N,), written as ``extrapolation_grade``; or None.
    """
    entries = [f'Lattice="{_row(frame.cell.ravel())}"', f'pbc="{" ".join("T" if p else "F" for p in frame.periodic)}"']
    if frame.config_type is not None:
        entries.append("config_type=" + json.dumps(frame.config_type, ensure_ascii=False))
    if frame.line is None:
        entries.append(f"step={frame.timestep}")
    for prefix, own_energy, own_virial in (("", energy, virial), ("REF_", frame.energy, frame.virial)):
        if own_energy is not None:
            entries.append(f"{prefix}energy={_row([own_energy / KCAL_PER_MOL_PER_EV])}")
        if own_virial is not None and all(frame.periodic):
            symmetric = (own_virial + own_virial.T) / 2
            stress = -symmetric / KCAL_PER_MOL_PER_EV / abs(np.linalg.det(frame.cell))
            entries.append(f'{prefix}stress="{_row(stress.ravel())}"')
    columns = ["species:S:1:pos:R:3:forces:R:3"]
    table = [frame.positions, forces / KCAL_PER_MOL_PER_EV]
    if frame.forces is not None:
        columns.append("REF_forces:R:3")
        table.append(frame.forces / KCAL_PER_MOL_PER_EV)
    if grades is not None:
        columns.append("extrapolation_grade:R:1")
        table.append(np.round(grades, 3)[:, None])
    with_types = len(set(zip(symbols, frame.types.tolist(), strict=True))) > len(set(symbols))
    entries.append("Properties=" + ":".join([*columns, *(["type:I:1"] if with_types else [])]))
    lines = [str(len(symbols)), " ".join(entries)]
    for symbol, kind, row in zip(symbols, frame.types.tolist(), np.concatenate(table, axis=1), strict=True):
        lines.append(f"{symbol} {_row(row)}" + (f" {kind}" if with_types else ""))
    file.write("\n".join(lines) + "\n")


def _row(numbers: Sequence[float] | Float) -> str:
    return " ".join(f"{number:.{_DIGITS}g}" for number in numbers)
