"""A few draws of ``benchmarks/fuzz_doors.py``."""

from benchmarks import fuzz_doors


def test_random_frames_give_the_same_forces_through_all_doors(capfd):
    counts, wanted = fuzz_doors.run_doors(draws=11, seed=2)
    fuzz_doors.compare_two_ranks(11, 2, wanted, counts)
    told = capfd.readouterr().out
    assert all(count.differ == 0 for count in counts.values()), told
    assert {door: count.draws for door, count in counts.items() if door != "DeePMD folder"} == {
        "dump": 11, "data file": 11, "extended XYZ": 11, "ASE": 11, fuzz_doors.LAMMPS: 11, fuzz_doors.LAMMPS_2: 2
    }  # fmt: skip
    assert counts["DeePMD folder"].draws > 3
