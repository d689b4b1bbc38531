"""Write docs/lammps-styles.md from the tables in the code."""

from __future__ import annotations

from pathlib import Path

from gnnformd.simulation.lammps.styles import COMMANDS, COMPUTES, FIXES, RUN_STYLES, Verdict

HEAD = """# LAMMPS styles under a model

A model coupled to LAMMPS (`Coupling`, see [Simulation](simulate.md)) takes the place of pair, bond, angle, dihedral,
improper and kspace styles. What else LAMMPS does in a step is of one of four kinds:

- **exact**: gives LAMMPS's own numbers wherever it is defined: positions, forces, energies and pressures agree to 1e-6
  between LAMMPS's own force field and the same force field as a model.
- **exact behind the model**: the same, if it is defined after the `Coupling`, or after the line
  `fix gnnformd all external pf/callback 1 1` in the input; refused otherwise.
- **exact without bonds**: the same, in systems without bonds; refused otherwise.
- **refused**: ends in one sentence before the first step.

Every fix that is exact is tried so in `tests/simulation/lammps/test_styles.py`, most computes too. A style that is not
listed is refused. `Coupling(..., allow=("STYLE",))` lets a refused style pass.

Further refused:

- `run_style respa`, several partitions, `dimension 2`, and atom styles whose particles have more than positions;
- a hybrid pair style, because all of it is replaced (`allow=("hybrid",)` if that is meant);
- columns of `thermo_style` and variables that hold parts of the energy, such as `evdwl` or `ebond`
  (`allow=("thermo",)`); the default table is left as it is, and its `E_pair` and `E_mol` are not the model's;
- a force field that is defined after the `Coupling`;
- `fix shake` and `fix rattle` where LAMMPS does not know the lengths of bonds.

This page is written by `python docs/write_lammps_styles.py` from `src/gnnformd/simulation/lammps/styles.py`.
"""

TABLES = {"Fixes": FIXES, "Computes": COMPUTES, "Commands": COMMANDS, "Run styles": RUN_STYLES}


def page() -> str:
    """Text of docs/lammps-styles.md."""
    parts = [HEAD]
    for title, table in TABLES.items():
        rows = "\n".join(
            f"| `{name}` | {judged.value} | {reason} |" for name, (judged, reason) in sorted(table.items())
        )
        counts = ", ".join(f"{n} {v.value}" for v in Verdict if (n := sum(j is v for j, _ in table.values())))
        parts.append(f"## {title}\n\n{counts}.\n\n| style | verdict | why |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("lammps-styles.md").write_text(page(), encoding="utf-8")
