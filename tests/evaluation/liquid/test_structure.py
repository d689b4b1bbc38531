"""What is said of the structure of two runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from gnnformd.evaluation.liquid.observed_run import ObservedRun
from gnnformd.evaluation.liquid.structure import structure
from gnnformd.evaluation.liquid.thermo_table import THERMO_COLUMNS, ThermoSeries
from gnnformd.evaluation.liquid.verdict import overall

ATOMS, FRAMES = 60, 30


def observed(path, seed, flags, places=lambda generator: 12 * generator.random((ATOMS, 3)), frames=FRAMES):
    generator = np.random.default_rng(seed)
    with path.open("w") as file:
        for k in range(frames):
            atoms = places(generator)
            file.write(f"ITEM: TIMESTEP\n{100 * k}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS {flags}\n")
            file.write("0 12\n" * 3 + "ITEM: ATOMS id type x y z\n")
            for number, place in enumerate(atoms, start=1):
                file.write(f"{number} 1 {place[0]} {place[1]} {place[2]}\n")
    columns = {name: np.full(frames, np.nan) for name in THERMO_COLUMNS}
    columns["step"] = 100.0 * np.arange(frames)
    topology = SimpleNamespace(
        ids=np.arange(1, len(atoms) + 1), types=np.ones(len(atoms), np.int64), bonds=np.empty((0, 2), np.int64),
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


def chains(share_of_trans, wobble=0.0):
    """Places of fifteen chains of four atoms, of which so many are trans and the others gauche, at 60 degrees."""

    def places(generator):
        turn = np.radians(np.where(generator.random(ATOMS // 4) < share_of_trans, 180.0, 60.0))
        turn += wobble * generator.normal(size=len(turn))
        start = 12 * generator.random((ATOMS // 4, 1, 3))
        known = np.array([[0.0, 1.4, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 1.5]])
        last = np.stack([1.4 * np.sin(turn), 1.4 * np.cos(turn), np.full(len(turn), 2.0)], axis=1)
        shape = np.concatenate([np.broadcast_to(known, (len(turn), 3, 3)), last[:, None]], axis=1)
        return (start + shape).reshape(-1, 3)

    return places


@pytest.mark.parametrize("places", [(180.0, 180.0), (180.0, 60.0)])
def test_isomers_of_few_molecules_that_never_turn_are_no_difference(tmp_path, places):
    def still(angle):
        return lambda generator: chains(1.0 if angle == 180 else 0.0, wobble=0.1)(generator)[:8]

    runs = [observed(tmp_path / f"{k}.dump", k, "pp pp pp", still(angle), 200) for k, angle in enumerate(places)]
    for run in runs:
        run.topology.bonds = np.array([[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7]])
    cosine = structure(*runs, ["C"]).observables["mean cosine of dihedral C-C-C-C"]
    assert cosine.verdict.answer == ("same" if places[0] == places[1] else "too short")
    assert np.isnan(cosine.value.standard_error) == (places[0] != places[1])


@pytest.mark.parametrize(("share", "same"), [(0.7, True), (0.5, False)])
def test_chains_that_turn_otherwise_are_told(tmp_path, share, same):
    runs = [observed(tmp_path / f"{x}.dump", seed, "pp pp pp", chains(x), 200) for seed, x in ((1, share), (2, 0.7001))]
    first = 4 * np.arange(ATOMS // 4)
    for run in runs:
        run.topology.bonds = np.concatenate([np.stack([first + k, first + k + 1], axis=1) for k in range(3)])
    found = structure(*runs, ["C"])
    cosine = found.observables["mean cosine of dihedral C-C-C-C"]
    for estimate, x in ((cosine.value, share), (cosine.reference, 0.7)):
        assert estimate.value == pytest.approx(0.5 * (1 - x) - x, abs=4 * estimate.standard_error)
        assert 0 < estimate.standard_error < 0.05
    assert (abs(cosine.difference) < 3) == same
    drawn = found.curves["dihedrals"]["C-C-C-C"]
    density = np.array(drawn["density_per_degree"])
    assert 1.8 * density.sum() == pytest.approx(1.0)
    assert {int(angle) for angle in np.array(drawn["angle_degrees"])[density > 0]} == {60, 179}
