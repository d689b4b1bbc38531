import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.observables import (
    RadialDistribution,
    block_average,
    compare_rdf,
    mean_squared_displacement,
    radial_distribution,
    temperature_statistics,
)
from gnnformd.trajectory.frame import Frame

ORIGIN = np.array([-1.0, 2.0, 5.0])
CUBE = np.eye(3) * 12.0
SKEW = np.array([[12.0, 0, 0], [3.0, 11.0, 0], [-2.0, 2.5, 13.0]])


def _frame(positions, types=None, cell=CUBE, timestep=0, molecules=None, periodic=(True, True, True)):
    count = len(positions)
    return Frame(
        timestep=timestep,
        cell=cell,
        origin=ORIGIN,
        periodic=periodic,
        ids=np.arange(1, count + 1),
        types=np.ones(count, dtype=int) if types is None else np.asarray(types),
        positions=np.asarray(positions, dtype=float),
        molecule_ids=molecules,
    )


def _gas(count, cell, seed, **kwargs):
    fractional = np.random.default_rng(seed).random((count, 3)) * 3 - 1  # some atoms outside the box, as in 'xu'
    return _frame(fractional @ cell + ORIGIN, cell=cell, **kwargs)


def _by_images(frame, a, b, r_max, bins, apart):
    """Count pairs of types a, b by brute force over 27 images and normalise: the independent calculation."""
    first, second = (np.flatnonzero(frame.types == t) for t in (a, b))
    delta = frame.positions[second][None] - frame.positions[first][:, None]
    delta = delta - np.round(delta @ np.linalg.inv(frame.cell)) @ frame.cell
    images = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]) @ frame.cell
    distance = np.linalg.norm(delta[:, :, None] + images, axis=-1)  # (A, B, 27)
    keep = first[:, None] != second[None]
    if apart:
        keep &= frame.molecule_ids[first][:, None] != frame.molecule_ids[second][None]
    counts, edges = np.histogram(distance[keep].ravel(), bins=bins, range=(0, r_max))
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return counts * abs(np.linalg.det(frame.cell)) / (keep.sum() * shells)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("cell", [CUBE, SKEW, SKEW[:, [1, 2, 0]]], ids=["cube", "skew", "turned"])
def test_g_agrees_with_brute_force_over_images(cell, apart):
    types = np.tile([1, 2, 2], 40)
    frame = _gas(120, cell, 7, types=types, molecules=np.repeat(np.arange(40), 3))
    found = radial_distribution([frame], ["O", "H"], r_max=5.0, bins=40, exclude_molecules=apart)
    assert list(found) == ["O-O", "O-H", "H-H"]
    for name, (a, b) in {"O-O": (1, 1), "O-H": (1, 2), "H-H": (2, 2)}.items():
        np.testing.assert_allclose(found[name].g, _by_images(frame, a, b, 5.0, 40, apart), rtol=1e-9, atol=1e-9)


def test_an_ideal_gas_has_g_of_one_everywhere_even_in_a_breathing_box():
    frames = (_gas(400, CUBE * (1 + 0.1 * np.sin(k)), k, types=np.tile([1, 1, 2, 2], 100)) for k in range(60))
    found = radial_distribution(frames, r_max=5.0, bins=10)
    for pair, bound in (("1-1", 0.06), ("1-2", 0.05), ("2-2", 0.06)):
        assert np.abs(found[pair].g[2:] - 1).max() < bound, pair
        assert found[pair].g[3:].mean() == pytest.approx(1, abs=0.005)


def test_a_simple_cubic_crystal_has_its_textbook_shells():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * 3.0
    rdf = radial_distribution([_frame(grid)], ["Po"], r_max=5.9, bins=590)["Po-Po"]
    per_atom = rdf.g * (63 / 12.0**3) * 4 / 3 * np.pi * np.diff(np.linspace(0, 5.9, 591) ** 3)
    shells = [per_atom[np.abs(rdf.r - d) < 0.03].sum() for d in (3.0, 3 * 2**0.5, 3 * 3**0.5)]
    assert shells == pytest.approx([6, 12, 8], rel=1e-9)
    assert per_atom.sum() == pytest.approx(26, rel=1e-9)


def test_molecules_left_out_leave_no_peak_of_their_own():
    generator = np.random.default_rng(0)
    centers = generator.random((200, 1, 3)) * 12
    frame = _frame(
        (centers + np.array([[0, 0, 0], [1.0, 0, 0]])).reshape(-1, 3), molecules=np.repeat(np.arange(200), 2)
    )
    rdf = radial_distribution([frame], r_max=5.5, bins=55, exclude_molecules=True)["1-1"]
    assert np.abs(rdf.g[8:12] - 1).max() < 0.4
    assert radial_distribution([frame], r_max=5.5, bins=55)["1-1"].g[8:12].max() > 3


def test_a_lone_atom_has_no_pair_with_itself():
    assert list(radial_distribution([_gas(5, CUBE, 0, types=[1, 2, 2, 2, 2])], ["A", "B"])) == ["A-B", "B-B"]


def test_by_default_g_reaches_almost_half_the_narrowest_width():
    rdf = radial_distribution([_gas(50, SKEW, 1)], bins=100)["1-1"]
    width = abs(np.linalg.det(SKEW)) / max(np.linalg.norm(np.cross(SKEW[i - 1], SKEW[i - 2])) for i in range(3))
    assert rdf.r[-1] + rdf.r[0] == pytest.approx(0.475 * width)


def test_what_has_no_g_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="holds no frames"):
        radial_distribution([])
    with pytest.raises(InputError, match="not periodic"):
        radial_distribution([_gas(5, CUBE, 0, periodic=(True, True, False))])
    with pytest.raises(InputError, match=r"up to 6\.50 angstrom needs a box at least twice as wide"):
        radial_distribution([_gas(5, CUBE, 0)], r_max=6.5)
    with pytest.raises(InputError, match="molecules are not known"):
        radial_distribution([_gas(5, CUBE, 0)], exclude_molecules=True)
    with pytest.raises(InputError, match="not those of the first frame"):
        radial_distribution([_gas(5, CUBE, 0), _gas(6, CUBE, 0)])


def test_two_distributions_differ_by_their_largest_gap_where_both_are_known():
    one = RadialDistribution("A-A", np.linspace(0.5, 9.5, 10), np.ones(10))
    other = RadialDistribution("A-A", np.linspace(2.0, 6.0, 81), 1 + 0.1 * np.linspace(2.0, 6.0, 81))
    assert compare_rdf(one, other) == pytest.approx(0.55, rel=1e-12)  # at r = 5.5
    assert compare_rdf(one, one) == 0


def _walk(steps, atoms, sigma, seed):
    return np.cumsum(np.random.default_rng(seed).normal(0, sigma, (steps, atoms, 3)), axis=0) + 6.0


def _trajectory(path, types=None, wrap=False, cells=None):
    frames = []
    for k, positions in enumerate(path):
        cell = CUBE if cells is None else cells[k]
        inside = positions % np.diag(cell) if wrap else positions
        frames.append(_frame(inside + ORIGIN, types, cell, timestep=10 * k))
    return frames


def test_a_random_walk_moves_by_six_d_t_although_its_positions_are_wrapped():
    path = _walk(200, 800, 0.5, 3)
    found = mean_squared_displacement(_trajectory(path, wrap=True))
    assert list(found.lag[:3]) == [0, 10, 20]
    assert found.value[0] == pytest.approx(0, abs=1e-5)
    expected = 3 * 0.5**2 * np.arange(200)
    np.testing.assert_allclose(found.value[1:60], expected[1:60], rtol=0.03)
    free = mean_squared_displacement(_trajectory(path))
    np.testing.assert_allclose(found.value, free.value, rtol=1e-5, atol=1e-5)


def test_the_drift_of_the_whole_box_is_no_diffusion():
    path = np.full((20, 5, 3), 1.0) + np.arange(20)[:, None, None] * 0.4
    assert mean_squared_displacement(_trajectory(path)).value == pytest.approx(np.zeros(20), abs=1e-5)


def test_only_the_atoms_of_one_type_are_followed():
    path = np.zeros((10, 40, 3)) + 6.0
    path[:, 1::2] += _walk(10, 20, 0.3, 1)
    types = np.tile([1, 2], 20)
    moved = mean_squared_displacement(_trajectory(path, types), atom_type=2).value[3]
    still = mean_squared_displacement(_trajectory(path, types), atom_type=1).value[3]
    assert moved > 10 * still


def test_a_box_that_breathes_with_its_atoms_moves_none_of_them():
    cells = [CUBE * (1 + 0.02 * k) for k in range(6)]
    fractional = np.random.default_rng(2).random((30, 3))
    frames = _trajectory([fractional @ c for c in cells], cells=cells)
    assert mean_squared_displacement(frames).value == pytest.approx(np.zeros(6), abs=1e-5)


def test_one_frame_or_uneven_frames_have_no_displacement():
    frames = _trajectory(_walk(4, 3, 0.1, 0))
    with pytest.raises(InputError, match="at least two frames"):
        mean_squared_displacement(frames[:1])
    with pytest.raises(InputError, match="not evenly spaced"):
        mean_squared_displacement([frames[0], frames[1], frames[3]])


def test_the_error_of_uncorrelated_numbers_is_sigma_over_root_n():
    # the largest of a dozen noisy estimates lies above the true error, by about a third here
    found = [block_average(np.random.default_rng(k).normal(300, 4, 8192)) for k in range(40)]
    assert np.mean([f.standard_error for f in found]) == pytest.approx(4 / np.sqrt(8192), rel=0.5)
    assert np.std([f.value for f in found]) == pytest.approx(4 / np.sqrt(8192), rel=0.3)


def test_the_error_of_a_correlated_series_is_the_textbook_value():
    # x' = a x + noise has a correlated error larger by sqrt((1 + a) / (1 - a)) than its sigma / sqrt(n)
    a, count, errors = 0.9, 2**14, []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=count + 500)
        x = np.zeros(count + 500)
        for k in range(1, len(x)):
            x[k] = a * x[k - 1] + noise[k]
        errors.append(block_average(x[500:]).standard_error)
    expected = np.sqrt(1 / (1 - a**2) / count * (1 + a) / (1 - a))
    assert np.median(errors) == pytest.approx(expected, rel=0.3)


def test_a_constant_series_has_no_error_and_a_single_number_none_to_give():
    assert block_average(np.full(100, 2.5)).standard_error == 0
    with pytest.raises(ValueError, match="at least two"):
        block_average([1.0])


def test_temperatures_of_a_canonical_ensemble_scatter_as_they_must():
    freedom = 3 * 216 - 3
    series = 300 * np.random.default_rng(4).chisquare(freedom, 20000) / freedom
    found = temperature_statistics(series, 216)
    assert found.mean == pytest.approx(300, abs=4 * 300 * np.sqrt(2 / freedom / 20000))
    assert found.deviation == pytest.approx(found.canonical_deviation, rel=0.02)
