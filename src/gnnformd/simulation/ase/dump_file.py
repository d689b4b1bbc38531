"""Writing a LAMMPS text dump, for engines that are not LAMMPS."""

from __future__ import annotations

from typing import TextIO

import numpy as np

from gnnformd.trajectory.frame import Frame

__all__ = ["write_dump_frame"]


def write_dump_frame(file: TextIO, frame: Frame) -> None:
    """Append a frame with unwrapped positions, forces, and velocities where it has them, in full precision.

    An empty file begins with its units.

    Raises
    ------
    ValueError
        The frame has no forces.
    """
    if frame.forces is None:
        raise ValueError("a frame without forces cannot be written.")
    columns = ["id", "type", "xu", "yu", "zu", "fx", "fy", "fz"]
    integers = [frame.ids, frame.types]
    if frame.molecule_ids is not None:
        columns.insert(1, "mol")
        integers.insert(1, frame.molecule_ids)
    floats = [frame.positions, frame.forces]
    if frame.velocities is not None:
        columns += ["vx", "vy", "vz"]
        floats.append(frame.velocities)
    if file.tell() == 0:
        file.write("ITEM: UNITS\nreal\n")
    file.write(f"ITEM: TIMESTEP\n{frame.timestep}\nITEM: NUMBER OF ATOMS\n{len(frame.ids)}\n{_box(frame)}")
    file.write(f"ITEM: ATOMS {' '.join(columns)}\n")
    rows = np.column_stack([*integers, *floats])
    np.savetxt(file, rows, fmt=["%d"] * len(integers) + ["%.17g"] * (3 * len(floats)))
    file.flush()


def _box(frame: Frame) -> str:
    """Bounds of the box, or its vectors where they are not lower triangular.

    The bounds of a tilted box enclose its corners, as LAMMPS has it.
    """
    (a, ay, az), (xy, b, bz), (xz, yz, c) = frame.cell.tolist()
    low = frame.origin.tolist()
    flags = " ".join("pp" if periodic else "ff" for periodic in frame.periodic)
    if not ay == az == bz == 0.0 or min(a, b, c) <= 0:
        rows = [" ".join(f"{v:.17g}" for v in (*row, x)) for row, x in zip(frame.cell.tolist(), low, strict=True)]
        return f"ITEM: BOX BOUNDS abc origin {flags}\n" + "".join(f"{row}\n" for row in rows)
    if xy == xz == yz == 0.0:
        bounds = [(x, x + length) for x, length in zip(low, (a, b, c), strict=True)]
        lines = [f"{x:.17g} {y:.17g}\n" for x, y in bounds]
        return f"ITEM: BOX BOUNDS {flags}\n{''.join(lines)}"
    x = (low[0] + min(0.0, xy, xz, xy + xz), low[0] + a + max(0.0, xy, xz, xy + xz))
    y = (low[1] + min(0.0, yz), low[1] + b + max(0.0, yz))
    z = (low[2], low[2] + c)
    lines = [f"{lo:.17g} {hi:.17g} {tilt:.17g}\n" for (lo, hi), tilt in zip((x, y, z), (xy, xz, yz), strict=True)]
    return f"ITEM: BOX BOUNDS xy xz yz {flags}\n{''.join(lines)}"
