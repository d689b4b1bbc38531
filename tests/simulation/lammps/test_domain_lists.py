"""When LAMMPS's lists are read again."""

from tests.simulation.lammps.rank_cases import MASS, case, read

from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.domain_reader import DomainReader


def test_lists_are_read_when_a_run_begins_and_when_they_were_rebuilt(monkeypatch):
    this, readings = case("argon, moving"), []
    reader = DomainReader.read

    def watched(self, *, rebuilt, cell):
        readings.append(rebuilt)
        return reader(self, rebuilt=rebuilt, cell=cell)

    monkeypatch.setattr(DomainReader, "read", watched)
    lmp = open_lammps()
    try:
        read(lmp, this.frame, [MASS])
        for command in ("velocity all create 90 5 loop all", "timestep 1", "fix move all nve"):
            lmp.command(command)
        coupling = Coupling(lmp, this.loaded)
        for _ in range(2):
            readings.clear()
            coupling.run(10)
            assert lmp.get_thermo("nbuild") == 0
            assert readings == [True] + 10 * [False]
        lmp.command("velocity all create 30000 5 loop all")
        readings.clear()
        coupling.run(40)
        assert sum(readings) == lmp.get_thermo("nbuild") + 1 > 2
        lmp.command("velocity all create 90 5 loop all")
        lmp.command("neigh_modify every 1000 delay 1000")  # LAMMPS itself does not look
        for moved in (0.4, 0.6):  # a little less and a little more than half the skin
            coupling.run(0)
            lmp.numpy.extract_atom("x")[0] += [moved, 0.0, 0.0]
            lmp.command("run 1 pre no post no")
            assert lmp.get_thermo("nbuild") == 0
            assert readings[-1] == (moved > 0.5)
    finally:
        lmp.close()
