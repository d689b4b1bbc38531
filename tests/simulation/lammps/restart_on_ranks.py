"""A run of water with charges, and one that stops and goes on: ``mpiexec -n 2 python restart_on_ranks.py FOLDER``."""

import sys
from pathlib import Path

import torch

from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate


def main() -> None:
    from rank_cases import case, read  # beside this file

    torch.set_num_threads(1)
    folder, ranks = Path(sys.argv[1]), Ranks.world()
    this = case("water 27 with charges")
    lmp = open_lammps()
    read(lmp, this.frame, [t.mass for t in this.loaded.card.force_field.types])
    lmp.command(f"write_data {folder / 'water.data'} nocoeff")
    lmp.close()
    ranks.share(None)  # the first one has written the file
    for name, steps, resume in (("whole", 30, False), ("cut", 20, False), ("cut", 30, True)):
        settings = SimulationSettings(
            steps=steps, restart_every=10, dump_every=5, thermo_every=5, timestep=0.05, ranks=ranks.size
        )
        simulate(this.loaded, folder / "water.data", settings, folder / name, resume=resume)


if __name__ == "__main__":
    main()
