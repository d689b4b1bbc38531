"""What is said of the structure of two runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.structure import structure
from gnnformd.evaluation.liquid.thermo_table import THERMO_COLUMNS, ThermoSeries
from gnnformd.evaluation.liquid.verdict import overall

ATOMS, FRAMES = 60, 30


def observed(path, seed, flags):
    generator = np.random.default_rng(seed)
    with path.open("w") as file:
        for k in range(FRAMES):
            file.write(f"ITEM: TIMESTEP\n{100 * k}\nITEM: NUMBER OF ATOMS\n{ATOMS}\nITEM: BOX BOUNDS {flags}\n")
            file.write("0 12\n" * 3 + "ITEM: ATOMS id type x y z\n")
            for number, place in enumerate(12 * generator.random((ATOMS, 3)), start=1):
                file.write(f"{number} 1 {place[0]} {place[1]} {place[2]}\n")
    columns = {name: np.full(FRAMES, np.nan) for name in THERMO_COLUMNS}
    columns["step"] = 100.0 * np.arange(FRAMES)
    topology = SimpleNamespace(
        ids=np.arange(1, ATOMS + 1), types=np.ones(ATOMS, np.int64), bonds=np.empty((0, 2), np.int64),
        angles=np.empty((0, 3), np.int64), molecule_ids=None,
    )  # fmt: skip
    return ObservedRun(path, topology, ThermoSeries(columns), 1.0, 0)


@pytest.mark.parametrize(("flags", "checked"), [("pp pp pp", 2.9), ("pp pp ff", None)])
def test_where_there_is_no_g_no_run_is_within_the_band_around_the_reference(tmp_path, flags, checked):
    runs = [observed(tmp_path / f"{seed}.dump", seed, flags) for seed in (1, 2)]
    found = structure(*runs, ["Ar"])
    assert found.checked_ps == (None if checked is None else pytest.approx(checked))
    assert ("rdf" in found.curves) == (checked is not None)


def test_a_few_frames_leave_g_and_so_the_whole_run_undecided(tmp_path):
    found = structure(*(observed(tmp_path / f"{seed}.dump", seed, "pp pp pp") for seed in (1, 2)), ["Ar"])
    assert overall(found.observables).text.startswith("too short to say: g(r) is undecided, ")
