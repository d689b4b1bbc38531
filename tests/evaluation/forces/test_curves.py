from dataclasses import replace

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves, pair_cases, pair_force
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.library import open_lammps


def test_a_model_that_is_the_force_field_has_curves_without_error(stand_ins):
    curves = force_curves(stand_ins.load(stand_ins.ClassicalModel()))
    assert [c.name for c in curves] == ["Lennard-Jones", "Coulomb", "harmonic bond"]
    for curve in curves:
        np.testing.assert_allclose(curve.predicted, curve.reference, rtol=1e-12, atol=1e-12)
        assert curve.rms_error < 1e-12
        assert curve.max_transverse == 0


def test_the_reference_agrees_with_textbook_values(stand_ins):
    lennard_jones, coulomb, bond = pair_cases(stand_ins.WATER)
    at_minimum = replace(lennard_jones, distance=np.array([2 ** (1 / 6) * 3.165]))
    np.testing.assert_allclose(pair_force(at_minimum), 0, atol=1e-13)
    at_sigma = replace(lennard_jones, distance=np.array([3.165]))
    np.testing.assert_allclose(pair_force(at_sigma)[0], [24 * 0.155 / 3.165, 0, 0], rtol=1e-14)
    # O and H of SPC/Fw two angstrom apart attract each other: 332.06371 * (-0.82) * 0.41 / 4
    at_two = replace(coulomb, distance=np.array([2.0]))
    np.testing.assert_allclose(pair_force(at_two)[0], [-27.9099548, 0, 0], rtol=1e-8)
    # a bond stretched by 0.01 angstrom pulls back with 2 k dr
    stretched = replace(bond, distance=np.array([1.022]))
    np.testing.assert_allclose(pair_force(stretched)[0], [-10.59162, 0, 0], rtol=1e-10)


def test_water_is_scanned_over_the_ranges_of_the_seed(stand_ins):
    ranges = [(c.distance[0], c.distance[-1]) for c in pair_cases(stand_ins.WATER)]
    np.testing.assert_allclose(ranges, [(2.5, 4.5), (1.0, 5.0), (0.90, 1.15)], rtol=1e-14)


def test_argon_has_one_curve_over_the_same_multiples_of_sigma(stand_ins):
    (case,) = pair_cases(stand_ins.ARGON)
    assert case.name == "Lennard-Jones"
    np.testing.assert_allclose(case.distance[[0, -1]] / 3.405, np.array([2.5, 4.5]) / 3.165, rtol=1e-14)


def test_the_lennard_jones_pair_has_no_charge_and_the_coulomb_pair_no_well(stand_ins):
    lennard_jones, coulomb, bond = pair_cases(stand_ins.WATER)
    assert lennard_jones.force_field.types[0].charge == 0
    assert lennard_jones.force_field.types[0].epsilon == 0.155
    assert coulomb.types == (1, 2)
    assert coulomb.force_field == stand_ins.WATER  # the hydrogen has no well, so nothing need be changed
    assert bond.bonded


def test_a_charged_pair_with_wells_loses_them_for_the_coulomb_curve(stand_ins):
    oxygen, hydrogen = stand_ins.WATER.types
    salt = replace(stand_ins.WATER, types=(oxygen, replace(hydrogen, epsilon=0.1, sigma=2.0)))
    case = pair_cases(salt)[1]
    assert [t.epsilon for t in case.force_field.types] == [0, 0]
    assert "epsilons set to zero" in case.detail


def test_a_model_of_learned_types_is_shown_the_types_as_they_are_and_the_curve_says_so(stand_ins):
    case = pair_cases(stand_ins.WATER, separable=False)[0]
    assert case.force_field == stand_ins.WATER
    assert "Lennard-Jones and Coulomb together" in case.detail
    d = 3.0
    together = 24 * 0.155 / d * (2 * (3.165 / d) ** 12 - (3.165 / d) ** 6) + 332.06371 * 0.82**2 / d**2
    force = pair_force(replace(case, distance=np.array([d])))
    np.testing.assert_allclose(force[0], [together, 0, 0], rtol=1e-12)


def test_errors_are_measured_against_the_curve_itself_and_sideways_forces_are_found(stand_ins):
    curve = force_curves(stand_ins.load(stand_ins.SidewaysModel()))[0]
    np.testing.assert_array_equal(curve.predicted, np.tile([0.0, 2.0, 0.0], (101, 1)))
    assert curve.max_transverse == 2
    mean_square = (curve.reference[:, 0] ** 2).mean()
    assert curve.rms_error == pytest.approx(np.sqrt(mean_square + 4), rel=1e-14)
    assert curve.relative_rms_error == pytest.approx(np.sqrt(1 + 4 / mean_square), rel=1e-14)


def test_beyond_its_cutoff_a_model_sees_two_lone_atoms(stand_ins):
    curve = force_curves(stand_ins.load(stand_ins.ClassicalModel(cutoff=3.41)))[0]
    beyond = curve.distance > 3.41
    np.testing.assert_array_equal(curve.predicted[beyond], 0)
    np.testing.assert_allclose(curve.predicted[~beyond], curve.reference[~beyond], rtol=1e-12, atol=1e-12)


def test_the_json_has_the_agreed_keys(stand_ins):
    result = curves_to_dict("water", force_curves(stand_ins.load(stand_ins.ClassicalModel()), points=5))
    assert result["model"] == "water"
    for curve in result["curves"]:
        assert len(curve["distance"]) == len(curve["reference"]["x"]) == len(curve["predicted"]["z"]) == 5
        assert {"rms_error", "relative_rms_error", "max_transverse"} < set(curve)


def test_a_model_without_a_force_field_is_refused_in_one_sentence(stand_ins):
    with pytest.raises(InputError, match=r"^model\.safetensors: the model file has no force field"):
        force_curves(stand_ins.load(stand_ins.ClassicalModel(), None))


def _forces_by_lammps(case):
    """Force on the second atom from LAMMPS's own pair and bond styles, (n, 3)."""
    field = case.force_field
    lmp = open_lammps(["-log", "none", "-screen", "none"])
    commands = [
        "units real",
        "atom_style full",
        "atom_modify map array",
        "boundary f f f",
        "region box block -20 20 -20 20 -20 20",
        f"create_box {len(field.types)} box bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 1",
        "pair_style lj/cut/coul/cut 10.0 12.0",
        "bond_style harmonic",
        f"bond_coeff 1 {field.bonds[0].stiffness} {field.bonds[0].length}" if field.bonds else "bond_coeff 1 0 1",
        f"special_bonds lj {' '.join(map(str, field.special_lj))} coul {' '.join(map(str, field.special_coul))}",
        *(f"pair_coeff {k} {k} {t.epsilon} {t.sigma}" for k, t in enumerate(field.types, 1)),
        *(f"mass {k} {t.mass}" for k, t in enumerate(field.types, 1)),
        f"create_atoms {case.types[0]} single 0 0 0",
        f"create_atoms {case.types[1]} single 1 0 0",
        *(f"set atom {k} charge {field.types[t - 1].charge}" for k, t in enumerate(case.types, 1)),
        *(["create_bonds single/bond 1 1 2"] if case.bonded else []),
    ]
    try:
        lmp.commands_list(commands)
        found = []
        for d in case.distance:
            lmp.commands_list([f"set atom 2 x {float(d)!r}", "run 0 post no"])
            order = np.argsort(lmp.numpy.extract_atom("id")[:2])
            found.append(lmp.numpy.extract_atom("f")[:2][order][1].copy())
        return np.array(found)
    finally:
        lmp.close()


def test_the_reference_is_the_force_that_lammps_gives_for_the_same_two_atoms(stand_ins):
    cases = [*pair_cases(stand_ins.WATER, points=7), *pair_cases(stand_ins.ARGON, points=7)]
    cases.append(pair_cases(stand_ins.WATER, separable=False, points=7)[0])
    for case in cases:
        np.testing.assert_allclose(_forces_by_lammps(case), pair_force(case), rtol=1e-10, atol=1e-10)


def test_the_error_where_data_were_counts_their_distances_alone(stand_ins):
    class Known(stand_ins.ClassicalModel):
        def closest_in_data(self, bond_kind, first, second):
            return {(0, 0, 1): 3.0, (1, 0, 1): 2.0}[bond_kind, first, second]

    lennard_jones, coulomb, bond = force_curves(stand_ins.load(Known()))
    assert lennard_jones.data_from is None  # charges were changed: such a pair is in no data
    assert lennard_jones.relative_rms_error_in_data is None
    assert coulomb.data_from == 3.0
    wrong = replace(coulomb, predicted=coulomb.predicted + np.where(coulomb.distance < 3.0, 1.0, 0.0)[:, None])
    assert wrong.relative_rms_error > 0.01
    assert wrong.relative_rms_error_in_data < 1e-12
    assert bond.data_from == 2.0 and bond.relative_rms_error_in_data is None  # the curve ends before


def test_a_density_model_knows_how_close_pairs_came():
    found = {curve.name: curve for curve in force_curves(load_model("water"))}
    assert 1.2 < found["Coulomb"].data_from < 1.6
    assert found["Coulomb"].relative_rms_error_in_data < 0.02
    assert 0.9 < found["harmonic bond"].data_from < 1.0
    assert found["harmonic bond"].relative_rms_error_in_data < 0.02
    assert force_curves(load_model("argon"))[0].relative_rms_error_in_data < 0.02
