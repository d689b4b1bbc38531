"""The benchmark measures the liquid it says, and its ratios are those of its times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.threads import torch_threads

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.model.files.model_file import LoadedModel, ModelCard, load_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.library import open_lammps
from gnnformd.reference.systems import ARGON, SPC_FW
from gnnformd.simulation.speed import measure as speed
from gnnformd.simulation.speed.measure import measure_speed


def loaded(field: ForceField | None, cutoff: float) -> LoadedModel:
    settings = GamdSettings(cutoff=cutoff, width=8, layers=1)
    names = ("X",) if field is None else field.names
    torch.manual_seed(0)
    return LoadedModel(
        build_model(settings, len(names)).eval(), ModelCard(settings, names, field), Path("m.safetensors")
    )


def test_water_is_measured_at_its_own_density() -> None:
    calls: list[tuple[int, int]] = []
    result = measure_speed(loaded(SPC_FW, 3.4), atoms=192, progress=lambda done, total: calls.append((done, total)))
    assert (result.system, result.atoms, result.device) == ("water", 192, "cpu")
    # 0.1 atoms per cubic angstrom in a sphere of 3.4 angstrom: 16.5 of them, less the atom itself and what it excludes
    assert 12 < result.edges_per_atom < 18
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["water", "argon"])
def test_compiled_loops_say_what_pytorch_says_in_float64(name: str, dtype: torch.dtype, bound: float) -> None:
    difference = measure_speed(load_model(name, dtype=dtype), atoms=192).difference
    assert difference is not None and 0 < difference < bound


def test_without_compiled_loops_long_range_electrostatics_are_measured_apart() -> None:
    speed = measure_speed(load_model("water", compiled=False), atoms=81)
    assert not speed.compiled
    assert speed.network is None
    assert 0 < speed.short_range < speed.forces


def test_a_simple_liquid_is_measured_and_the_ratios_are_those_of_the_times() -> None:
    data = measure_speed(loaded(ARGON, 4.4), atoms=120).to_dict()
    assert data["difference_from_pytorch"] is None
    assert data["atoms"] == 125  # the nearest cube
    own, reference = data["microseconds_per_atom_step"], data["lammps"]["microseconds_per_atom_step"]
    assert min(*own.values(), reference) > 0
    for name, value in own.items():
        assert data["ratio_to_lammps"][name] == pytest.approx(value / reference)


def test_the_compiled_loops_are_measured_and_their_operations_counted() -> None:
    data = measure_speed(load_model("argon"), atoms=216).to_dict()
    assert data["compiled"]
    assert 0 < data["difference_from_pytorch"] < 1e-5
    # argon: 16 functions, 16 features, width 32, one kind of neighbor, densities of degree zero alone
    own = data["microseconds_per_atom_step"]
    assert 0 < own["network"] < own["short_range"]
    assert {"coupling", "step"} <= set(own)
    assert own["short_range"] == own["forces"]  # there is nothing else
    edges = data["edges_per_atom"] * 14 * 16
    assert data["operations_per_atom"] == pytest.approx(edges + 4 * (16 * 16 + 16 * 32 + 32 * 32))
    rate = data["operations_per_atom"] / data["microseconds_per_atom_step"]["short_range"] / 1e3
    assert data["share_of_matrix_product"] == pytest.approx(rate / data["matrix_product_gigaflop_per_second"])


@pytest.mark.parametrize("field", [None, replace(ARGON, types=(AtomType("Na", 23.0, charge=1.0),))])
def test_other_force_fields_are_refused(field: ForceField | None) -> None:
    with pytest.raises(
        InputError, match=r"m\.safetensors: .*, and without a structure 'benchmark' makes a box of water or of a liquid"
    ):
        measure_speed(loaded(field, 4.0))


def test_lammps_leaves_the_threads_of_torch_alone() -> None:
    load_model("argon")  # what comes with it shares a library of threads with LAMMPS
    with torch_threads(2):
        lmp = open_lammps()
        assert torch.get_num_threads() == 2
        lmp.close()


def test_what_a_step_takes_beside_the_model_is_the_rest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Steady:
        """Runs that take no time at all if they are ``broken``.

        Else 3 s for a run and 2 s for each step, of which 1 s and 1.5 s are spent on the model.
        """

        now = seconds = 0.0
        broken = False

        def __init__(self, *_: object) -> None:
            Steady.now = 0.0

        def run(self, steps: int) -> None:
            Steady.now += 0.0 if self.broken else 3.0 + 2.0 * steps
            self.seconds += 1.0 + 1.5 * steps

    monkeypatch.setattr(speed, "Coupling", Steady)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: Steady.now)
    assert speed._coupled(None, None) == pytest.approx((2.0, 0.5))  # type: ignore[arg-type]
    Steady.broken = True
    assert speed._coupled(None, None) == (None, None)  # type: ignore[arg-type]
