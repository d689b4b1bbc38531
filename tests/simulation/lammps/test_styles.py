"""Every style that the table calls exact gives LAMMPS's own numbers; every other one is refused in a sentence."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.simulation.lammps import style_cases as cases

from gnnformd.errors import InputError
from gnnformd.model.interface import Prediction
from gnnformd.reference.library import find_mpich_file, load_lammps, open_lammps
from gnnformd.simulation.lammps.checks import Defined, Inventory, check_inventory
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.lammps.styles import COMMANDS, COMPUTES, FIXES, Verdict, base_style

EXACT = [name for name, (judged, _) in FIXES.items() if judged is Verdict.EXACT]
BEHIND = [name for name, (judged, _) in FIXES.items() if judged is Verdict.BEHIND]
REMEDY = "define it after the Coupling, or write 'fix gnnformd all external pf/callback 1 1' before it."


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the cases read and write files here
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them only wait for each other in so small a system
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def lmp():
    instance = open_lammps()
    yield instance
    instance.close()


@pytest.fixture
def liquid(lmp):
    cases.build(lmp, cases.Case("", "region low block 0.2 1.4 0.2 1.4 0.2 1.4\n"), "liquid")
    return lmp


def agree(one: dict, other: dict) -> bool:
    return all(
        np.isfinite(one[name]).all() and np.abs(one[name] - other[name]).max() < 1e-6 * max(1, np.abs(one[name]).max())
        for name in one
    )


@pytest.mark.parametrize(("kind", "table"), [("fix", FIXES), ("compute", COMPUTES)])
def test_the_table_holds_every_style_of_lammps(lmp, kind, table):
    assert {base_style(style) for style in lmp.available_styles(kind)} == set(table)
    assert list(table) == sorted(table)


def test_every_fix_that_is_exact_is_tried():
    assert set(cases.FIXES) == {*EXACT, *BEHIND}


@pytest.mark.parametrize("name", cases.FIXES)
def test_a_fix_gives_the_numbers_of_lammps_itself(name):
    case = cases.FIXES[name]
    own = cases.run(name, case, "no")
    assert agree(own, cases.run(name, case, "before"))
    if name in EXACT:
        assert agree(own, cases.run(name, case, "after"))
    else:
        with pytest.raises(
            InputError, match=rf"fix \w+ \({name}\) acts before the model's forces are there"
        ) as refusal:
            cases.run(name, case, "after")
        assert str(refusal.value).endswith(REMEDY)


@pytest.mark.parametrize("style", cases.COMPUTES)
def test_a_compute_gives_the_numbers_of_lammps_itself(style):
    own, ours = cases.computed(style, False), cases.computed(style, True)
    assert len(own) == len(ours) > 0
    for one, other in zip(own, ours, strict=True):
        assert one.shape == other.shape
        assert np.abs(np.nan_to_num(one) - np.nan_to_num(other)).max() < 1e-6 * max(1, np.abs(np.nan_to_num(one)).max())


def test_computes_that_are_exact_but_not_tried_are_known():
    exact = {name for name, (judged, _) in COMPUTES.items() if judged is not Verdict.REFUSED}
    assert set(cases.COMPUTES) <= exact
    assert exact - set(cases.COMPUTES) == {
        "aggregate/atom",
        "property/grid",
        "property/local",
        "rigid/local",
        "temp/uef",
    }


def test_the_page_of_styles_is_what_the_code_says():
    path = Path(__file__).parents[3] / "docs" / "write_lammps_styles.py"
    spec = importlib.util.spec_from_file_location("write_lammps_styles", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = path.with_name("lammps-styles.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python docs/write_lammps_styles.py"


@pytest.mark.parametrize("name", ["setforce", "shake", "rigid/small", "msst"])
def test_a_line_in_the_input_says_where_the_model_acts(name):
    case = cases.FIXES[name]
    first = "fix gnnformd all external pf/callback 1 1\n"
    own = cases.run(name, case, "no")
    assert agree(own, cases.run(name, case._replace(commands=first + case.commands), "after"))


@pytest.mark.parametrize(
    "name", ["atom/swap", "mol/swap", "adapt", "qeq/point", "npt", "setforce", "shake", "box/relax"]
)
def test_a_model_that_needs_the_whole_system_gives_the_same(name):
    case = cases.FIXES[name]
    own = cases.run(name, case, "no")
    assert agree(own, cases.run(name, case, "before", cases.WholeLiquid))


def test_swaps_are_accepted_as_often_as_with_the_force_field_of_lammps(lmp):
    accepted = []
    for couple in (False, True):
        lmp.command("clear")
        cases.build(lmp, cases.Case(""), "liquid")
        lmp.commands_string("fix n all nve\nfix swap all atom/swap 1 10 29494 0.001 ke no types 1 2")
        (Coupling(lmp, cases.loaded()) if couple else lmp).command("run 20")
        accepted.append(lmp.extract_fix("swap", 0, 1, 1))
    assert accepted[0] == accepted[1]
    assert 0 < accepted[0] < 100


@pytest.mark.parametrize("name", [name for name, (judged, _) in FIXES.items() if judged is Verdict.REFUSED])
def test_a_fix_that_is_refused_is_named(liquid, name):
    fixes = (Defined("Fix", "gnnformd", "external"), Defined("Fix", "mine", name))
    inventory = Inventory(fixes, (), (), ())
    with pytest.raises(InputError) as refusal:
        check_inventory(liquid, inventory, "gnnformd", ())
    assert str(refusal.value).startswith(f"fix mine ({name}) does not work with a model in LAMMPS: it ")
    assert str(refusal.value).endswith(f"pass allow=('{name}',) to Coupling if it does no harm.")
    check_inventory(liquid, inventory, "gnnformd", (name,))


@pytest.mark.parametrize("name", [name for name, (judged, _) in COMPUTES.items() if judged is Verdict.REFUSED])
def test_a_compute_that_is_refused_is_named(liquid, name):
    inventory = Inventory((Defined("Fix", "gnnformd", "external"),), (Defined("Compute", "mine", name),), (), ())
    with pytest.raises(InputError) as refusal:
        check_inventory(liquid, inventory, "gnnformd", ())
    assert str(refusal.value).startswith(f"compute mine ({name}) does not work with a model in LAMMPS: it ")
    check_inventory(liquid, inventory, "gnnformd", (name,))


def test_a_style_that_is_in_no_table_is_refused(liquid):
    inventory = Inventory((Defined("Fix", "gnnformd", "external"), Defined("Fix", "mine", "plumed")), (), (), ())
    with pytest.raises(
        InputError, match=r"fix mine \(plumed\) does not work with a model in LAMMPS: it was not tested"
    ):
        check_inventory(liquid, inventory, "gnnformd", ())


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("fix d some deposit 5 1 10 123 region low", r"fix d \(deposit\) .* changes the number of atoms during a run"),
        ("fix d all evaporate 5 1 low 123", r"fix d \(evaporate\) .* changes the number of atoms during a run"),
        ("fix d all gcmc 5 1 1 1 123 300 -1 0.1", r"fix d \(gcmc\) .* changes the number of atoms during a run"),
        ("compute e all pe/atom", r"compute e \(pe/atom\) .* needs energies or virials of single atoms"),
        ("compute e all stress/atom NULL", r"compute e \(stress/atom\) .* needs energies or virials of single atoms"),
        ("compute e all group/group some", r"compute e \(group/group\) .* the pair style of LAMMPS"),
        ("compute e all pressure NULL pair", r"compute e \(pressure\) .* may name parts"),
        ("compute e all pe bond", r"compute e \(pe\) .* may name parts"),
        (
            "thermo_style custom step evdwl",
            "thermo_style prints evdwl, which does not hold the model's energy; write pe",
        ),
        ("variable e equal 2*epair", "variable e reads epair, which does not hold the model's energy; write pe"),
        ("run_style respa 2 2 pair 2", "run_style respa never applies .*; write 'run_style verlet'"),
        ("variable w atom fx/2\nfix d all addforce v_w 0 0", r"fix d \(addforce\) .* variable w reads forces"),
    ],
)
def test_what_gives_wrong_numbers_is_refused_before_the_first_step(liquid, command, sentence):
    liquid.commands_string("fix n all nve\n" + command)
    with pytest.raises(InputError, match=sentence):
        Coupling(liquid, cases.loaded())
    assert liquid.extract_global("ntimestep") == 0


@pytest.mark.parametrize(
    "command", ["fix n all npt temp 300 300 200 iso 1 1 2000", "change_box all boundary p p m\nfix n all nve"]
)
def test_the_default_table_of_a_changing_box_is_left_as_it_is(liquid, command):
    # LAMMPS adds the volume to it in the first run, and the second is checked with it
    liquid.commands_string(command)
    coupling = Coupling(liquid, cases.loaded())
    coupling.run(1)
    coupling.run(1)
    assert liquid.last_thermo()["Volume"] > 0


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("fix d all deposit 5 1 10 123 region low", r"fix d \(deposit\)"),
        ("run_style respa 2 2 pair 2", "run_style respa"),
        ("pair_style lj/cut 5", "pair_style is lj/cut now, on top of the model's forces; define no force field after"),
        ("kspace_style ewald 1e-4", "kspace_style is ewald now, on top of the model's forces"),
    ],
)
def test_what_is_defined_after_the_coupling_is_refused_too(liquid, command, sentence):
    coupling = Coupling(liquid, cases.loaded())
    liquid.command(command)
    with pytest.raises(InputError, match=sentence):
        coupling.run(1)


def test_a_run_without_the_coupling_does_not_go_past_what_was_not_checked(liquid):
    coupling = Coupling(liquid, cases.loaded())
    liquid.command("fix hold some setforce 0 0 0")
    with pytest.warns(UserWarning, match="defined after the last check"), pytest.raises(Exception, match="halt"):
        liquid.command("run 1")
    coupling.run(1)
    liquid.command("run 1")


@pytest.mark.parametrize("name", [name for name, (judged, _) in COMMANDS.items() if judged is Verdict.REFUSED])
def test_a_command_that_is_refused_is_named(liquid, name):
    with pytest.raises(InputError, match=f"command {name} does not work with a model in LAMMPS: it "):
        Coupling(liquid, cases.loaded()).command(f"{name} 1 2 3")


def test_two_dimensions_are_refused(lmp):
    lmp.commands_string(
        "units real\ndimension 2\nregion b block 0 9 0 9 -0.5 0.5\ncreate_box 1 b\ncreate_atoms 1 single 1 1 0"
    )
    with pytest.raises(InputError, match="dimension 2, but models are trained in three; write 'dimension 3'"):
        Coupling(lmp, cases.loaded())


def test_particles_with_a_direction_are_refused(lmp):
    lmp.commands_string(
        "units real\natom_style dipole\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\ncreate_atoms 1 single 1 1 0"
    )
    with pytest.raises(InputError, match="atom style dipole has particles with more than positions"):
        Coupling(lmp, cases.loaded())


def test_a_hybrid_pair_style_is_replaced_only_if_that_is_meant(liquid):
    liquid.commands_string(
        "pair_style hybrid/overlay lj/cut 7 coul/cut 7\npair_coeff * * lj/cut 0.2 3.4\npair_coeff * * coul/cut"
    )
    with pytest.raises(InputError, match="pair_style hybrid/overlay: the model takes the place of all its parts"):
        Coupling(liquid, cases.loaded())
    Coupling(liquid, cases.loaded(), allow=("hybrid",)).run(0)


def test_a_fix_that_holds_bonds_needs_their_lengths(lmp):
    case = cases.FIXES["shake"]
    cases.build(lmp, case, "shake")
    lmp.commands_string("bond_style zero nocoeff\nbond_coeff *")
    coupling = Coupling(lmp, cases.loaded())
    lmp.command(case.commands.splitlines()[0])
    with pytest.raises(
        InputError, match=r"fix tried \(shake\) asks LAMMPS for each length, .*; write 'bond_style zero'"
    ):
        coupling.run(1)
    lmp.commands_string("bond_style zero\nbond_coeff 1 3.9\nfix n all nve")
    coupling.run(1)


def test_bonds_keep_their_lengths_under_shake(lmp):
    case = cases.FIXES["shake"]
    cases.build(lmp, case, "shake")
    coupling = Coupling(lmp, cases.loaded())
    lmp.commands_string(case.commands)
    coupling.run(100)
    x = cases.by_id(lmp, "x")
    vectors = x[1::2] - x[::2]
    vectors -= 20.8 * np.round(vectors / 20.8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(3.9, abs=1e-6)


def test_rigid_water_keeps_bonds_and_angles_if_the_input_says_where_the_model_acts(lmp):
    lmp.commands_string(
        """units real
        atom_style full
        region box block 0 20 0 20 0 20
        create_box 2 box bond/types 1 angle/types 1 extra/bond/per/atom 2 &
        extra/angle/per/atom 1 extra/special/per/atom 2
        create_atoms 1 single 5 5 5
        create_atoms 2 single 6 5 5
        create_atoms 2 single 5 6 5
        mass 1 16
        mass 2 1
        pair_style zero 7
        pair_coeff * *
        bond_style harmonic
        bond_coeff 1 450 1.0
        angle_style harmonic
        angle_coeff 1 55 90
        create_bonds single/bond 1 1 2
        create_bonds single/bond 1 1 3
        create_bonds single/angle 1 2 1 3
        velocity all create 300 5 loop all
        fix gnnformd all external pf/callback 1 1
        fix hold all shake 1e-8 50 0 b 1 a 1
        fix n all nve"""
    )
    loaded = cases.loaded()
    loaded.model.forward = lambda graph: Prediction(torch.zeros_like(graph.positions), torch.zeros(1))
    Coupling(lmp, loaded, types=("Ar", "Kr")).run(100)
    x = cases.by_id(lmp, "x")
    assert np.linalg.norm(x[1:] - x[0], axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.linalg.norm(x[1] - x[2]) == pytest.approx(2**0.5, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        "displace_atoms more move 0.1 0.2 0.05",
        "change_box all x scale 1.01 remap",
        "change_box all triclinic xy final 3.0 remap",
        "delete_atoms group some compress no",
        "create_atoms 1 single 1.3 1.4 1.2 units box\nset group all charge 0.0",
        "set group some type 2",
        "set group some charge 0.3",
        "reset_timestep 21",
        "reset_timestep 0",
        "group less subtract all some\ndelete_atoms group some\nreset_atom_ids sort yes",
        "atom_modify sort 5 3.0",
        "neigh_modify exclude type 1 2\nneigh_modify exclude none",
        "balance 1.0 shift x 5 1.1",
        "run_style verlet\nvelocity all scale 200",
        "unfix n\nfix n all npt temp 200 200 100 iso 1 1 1000",
        "write_restart there\nreset_timestep 30\ndump d all custom 10 d.dump id",
    ],
)
@pytest.mark.parametrize("model", [cases.ChargedLiquid, cases.WholeLiquid])
def test_a_command_between_two_runs_gives_the_numbers_of_lammps_itself(change, model):
    found = []
    for couple in (False, True):
        lmp = open_lammps()
        try:
            cases.build(lmp, cases.Case(""), "liquid")
            lmp.command("fix n all nve")
            run = Coupling(lmp, cases.loaded(model())) if couple else lmp
            run.command("run 20")
            lmp.commands_string(change)
            run.command("run 15")
            found.append(cases.state(lmp))
        finally:
            lmp.close()
    assert agree(*found)


@pytest.mark.parametrize("style", ["cg", "fire", "hftn", "quickmin", "sd"])
@pytest.mark.parametrize("hold", ["", "fix hold some setforce 0 0 0"])
def test_minimization_gives_the_numbers_of_lammps_itself(style, hold):
    case = cases.Case(hold, f"min_style {style}\n", "minimize 0 1e-8 5 200", integrate=False)
    assert agree(cases.run("minimize", case, "no"), cases.run("minimize", case, "before"))


def test_minimization_ends_where_the_model_fails(liquid):
    loaded = cases.loaded()
    loaded.model.forward = lambda graph: 1 / 0
    coupling = Coupling(liquid, loaded)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        coupling.command("minimize 0 1e-8 5 200")


@pytest.mark.parametrize("model", [cases.ChargedLiquid, cases.WholeLiquid])
def test_rerun_gives_the_energies_of_lammps_itself(model):
    for couple in (False, True):
        lmp = open_lammps()
        try:
            cases.build(lmp, cases.Case(""), "liquid")
            if not couple:
                lmp.commands_string(
                    "fix n all nve\ndump d all custom 10 d.dump id type x y z vx vy vz\n"
                    "dump_modify d sort id format float %.17g\nrun 40\nundump d"
                )
            run = Coupling(lmp, cases.loaded(model())) if couple else lmp
            lmp.commands_string(f'fix e all print 10 "$(pe:%.15g) $(press:%.15g)" file {couple}.txt screen no')
            run.command("rerun d.dump dump x y z vx vy vz")
        finally:
            lmp.close()
    own, ours = (np.loadtxt(f"{couple}.txt") for couple in (False, True))
    assert own.shape == (5, 2)
    assert ours == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize(
    "setting", ["newton off", "newton on off", "atom_modify map hash sort 3 0", "comm_style tiled"]
)
def test_a_setting_of_the_input_changes_no_number(lmp, setting):
    case = cases.FIXES["npt"]
    own = cases.run("npt", case, "no")
    text = cases.SYSTEM.replace("units real\n", f"units real\n{setting}\n" if "atom" not in setting else "units real\n")
    text = text.replace("atom_modify map array sort 0 0", setting) if "atom" in setting else text
    lmp.commands_string(text + case.before + cases.FIELD_COMMANDS)
    coupling = Coupling(lmp, cases.loaded())
    lmp.commands_string(case.commands)
    coupling.command(case.run)
    assert agree(own, cases.state(lmp))


def test_two_models_after_each_other_are_as_one(liquid):
    liquid.command("fix n all nve")
    for _ in range(2):
        coupling = Coupling(liquid, cases.loaded())
    coupling.run(20)
    assert agree(cases.run("nve", cases.FIXES["nve"], "no"), cases.state(liquid))


RANKS = ("setforce", "atom/swap", "npt", "rigid/nve", "shake")


def test_two_ranks_give_the_numbers_of_lammps_itself(tmp_path):
    load_lammps()
    mpiexec = find_mpich_file("mpiexec.hydra", "mpiexec")
    script = Path(cases.__file__)
    subprocess.run(
        [str(mpiexec), "-n", "2", sys.executable, str(script), str(tmp_path), *RANKS], check=True, timeout=300
    )
    for name in RANKS:
        own, ours = (dict(np.load(tmp_path / f"{name.replace('/', '-')}.{c}.npz")) for c in ("no", "before"))
        assert agree(own, ours), name
