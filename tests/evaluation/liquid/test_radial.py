import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.radial import radial_distribution
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


@pytest.mark.parametrize("r_max", [1.7, 3.0, 5.0])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("cell", [CUBE, SKEW, SKEW[:, [1, 2, 0]]], ids=["cube", "skew", "turned"])
def test_g_agrees_with_brute_force_over_images(cell, apart, r_max):
    types = np.tile([1, 2, 2], 40)
    frame = _gas(120, cell, 7, types=types, molecules=np.repeat(np.arange(40), 3))
    found = radial_distribution([frame], ["O", "H"], r_max=r_max, bins=20, exclude_molecules=apart)
    assert list(found) == ["O-O", "O-H", "H-H"]
    for name, (a, b) in {"O-O": (1, 1), "O-H": (1, 2), "H-H": (2, 2)}.items():
        np.testing.assert_allclose(found[name].g[0], _by_images(frame, a, b, r_max, 20, apart), rtol=1e-9, atol=1e-9)


def test_types_of_one_name_keep_their_own_g():
    # two kinds of hydrogen, as in methanol: neither takes the place of the other
    frame = _gas(120, CUBE, 7, types=np.tile([1, 2, 3], 40))
    found = radial_distribution([frame], ["O", "H", "H"], r_max=5.0, bins=20)
    pairs = {"O-H (2)": (1, 2), "O-H (3)": (1, 3), "H (2)-H (2)": (2, 2), "H (2)-H (3)": (2, 3), "H (3)-H (3)": (3, 3)}
    assert list(found) == ["O-O", *pairs]
    for name, (a, b) in pairs.items():
        np.testing.assert_allclose(found[name].g[0], _by_images(frame, a, b, 5.0, 20, False), rtol=1e-9, atol=1e-9)


def test_an_ideal_gas_has_g_of_one_everywhere_even_in_a_breathing_box():
    frames = (_gas(400, CUBE * (1 + 0.1 * np.sin(k)), k, types=np.tile([1, 1, 2, 2], 100)) for k in range(60))
    found = radial_distribution(frames, r_max=5.0, bins=10)
    for pair, bound in (("1-1", 0.06), ("1-2", 0.05), ("2-2", 0.06)):
        assert np.abs(found[pair].g.mean(axis=0)[2:] - 1).max() < bound, pair
        assert found[pair].g[:, 3:].mean() == pytest.approx(1, abs=0.005)


def test_a_simple_cubic_crystal_has_its_textbook_shells():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * 3.0
    rdf = radial_distribution([_frame(grid)], ["Po"], r_max=5.9, bins=590)["Po-Po"]
    per_atom = rdf.g[0] * (63 / 12.0**3) * 4 / 3 * np.pi * np.diff(np.linspace(0, 5.9, 591) ** 3)
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
    assert np.abs(rdf.g[0, 8:12] - 1).max() < 0.4
    assert radial_distribution([frame], r_max=5.5, bins=55)["1-1"].g[0, 8:12].max() > 3


def test_a_lone_atom_has_no_pair_with_itself():
    assert list(radial_distribution([_gas(5, CUBE, 0, types=[1, 2, 2, 2, 2])], ["A", "B"])) == ["A-B", "B-B"]


def test_by_default_g_reaches_almost_half_the_narrowest_width():
    rdf = radial_distribution([_gas(50, SKEW, 1)], bins=100)["1-1"]
    width = abs(np.linalg.det(SKEW)) / max(np.linalg.norm(np.cross(SKEW[i - 1], SKEW[i - 2])) for i in range(3))
    assert rdf.r[-1] + rdf.r[0] == pytest.approx(0.475 * width)


def test_in_a_wide_box_g_reaches_15_angstrom():
    rdf = radial_distribution([_gas(50, 4 * CUBE, 1)], bins=100)["1-1"]
    assert rdf.r[-1] + rdf.r[0] == pytest.approx(15.0)


def test_what_has_no_g_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="contains no frames"):
        radial_distribution([])
    with pytest.raises(InputError, match="not periodic"):
        radial_distribution([_gas(5, CUBE, 0, periodic=(True, True, False))])
    with pytest.raises(InputError, match=r"up to 6\.50 angstrom needs a box at least twice as wide"):
        radial_distribution([_gas(5, CUBE, 0)], r_max=6.5)
    with pytest.raises(InputError, match="molecules are unknown"):
        radial_distribution([_gas(5, CUBE, 0)], exclude_molecules=True)
    with pytest.raises(InputError, match="differ from those of the first frame"):
        radial_distribution([_gas(5, CUBE, 0), _gas(6, CUBE, 0)])


def test_counting_alone_scatters_g_as_the_ideal_number_of_pairs_says():
    found = radial_distribution([_gas(100, CUBE, k) for k in range(400)], r_max=5.0, bins=20)["1-1"]
    scatter = found.g.std(axis=0, ddof=1)[4:]
    assert scatter == pytest.approx(np.sqrt(1 / found.ideal[4:]), rel=0.15)
