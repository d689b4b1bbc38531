from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

WriteDump = Callable[..., Path]


@pytest.fixture
def write_dump(tmp_path: Path) -> WriteDump:
    """Write a dump of random frames of water-like molecules; every part can be replaced."""

    def write(
        name: str = "water.dump",
        *,
        frames: int = 3,
        atoms: int = 6,
        columns: str = "id mol type x y z fx fy fz",
        box: str = "ITEM: BOX BOUNDS pp pp pp\n0.0 10.0\n0.0 11.0\n0.0 12.0",
        before: str = "",
        end: str = "\n",
        rows: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Path:
        generator = np.random.default_rng(seed)
        lines = [before] if before else []
        for frame in range(frames):
            lines += ["ITEM: TIMESTEP", str(10 * frame), "ITEM: NUMBER OF ATOMS", str(atoms), *box.split("\n")]
            lines.append(f"ITEM: ATOMS {columns}")
            made = []
            for k in generator.permutation(atoms).tolist():
                known = {"id": k + 1, "mol": k // 3 + 1, "type": 1 if k % 3 == 0 else 2, "element": "HO"[k % 3 == 0]}
                values = [known.get(c, f"{generator.uniform(0, 10):.17g}") for c in columns.split()]
                made.append(" ".join(map(str, values)) + " ")
            lines += made if rows is None else list(rows)
        path = tmp_path / name
        path.write_bytes((end.join(lines) + end).encode())
        return path

    return write
