"""The parts of the density model and what it promises beyond `tests/physics`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.conftest import FIELD, random_graph

from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.build import build_graph, collate
from gnnformd.graph.distances import shortest_distances
from gnnformd.model.density.harmonics import harmonics, product_tensors, product_vectors
from gnnformd.model.density.radial import fade, radial_functions, softened
from gnnformd.model.density.sums.neighbor_table import neighbor_table
from gnnformd.model.density.sums.table_sum import TableGeometry, table_densities
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings
from gnnformd.trajectory.frame import Frame

ARGON = ForceField(types=(AtomType("Ar", 39.948, 0.0, 0.2378, 3.405),))


def density(types=2, seed=0, **settings):
    torch.manual_seed(seed)
    model = build_model(DensitySettings(**{"cutoff": 3.4, "features": 6, "width": 8, **settings}), types).double()
    return no_part_at_zero(model)


def approaches(graph, types=2):
    return shortest_distances(graph, graph.edge_vectors()[: graph.edge_count // 2].norm(dim=1), types)


def no_part_at_zero(model):
    """Give a fresh model the parts that start at zero, so that all of it counts."""
    for layer in model.network.layers:
        if layer.couplings is not None:
            torch.nn.init.normal_(layer.couplings.weight, std=0.1)
    for readout in model.network.readouts:
        torch.nn.init.normal_(readout.last.weight)
    torch.nn.init.normal_(model.fitted_pairs.coefficients)
    torch.nn.init.normal_(model.angles.coefficients)
    return model


def water(seed):
    """27 molecules on a shaken lattice, with random target forces."""
    rng = np.random.default_rng(seed)
    molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.3996, 0.9298, 0]])
    turns = np.linalg.qr(rng.normal(size=(27, 3, 3)))[0]
    centers = 3.1 * np.array(list(np.ndindex(3, 3, 3)))[:, None]
    positions = (centers + molecule @ turns + rng.normal(0, 0.04, (27, 3, 3))).reshape(-1, 3)
    frame = Frame(
        timestep=0,
        cell=9.3 * np.eye(3),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 82),
        types=np.tile([1, 2, 2], 27),
        positions=positions,
        forces=rng.normal(0, 20, (81, 3)),
        bonds=np.array([[3 * k, 3 * k + h] for k in range(27) for h in (1, 2)]),
    )
    return build_graph(frame, 3.4, FIELD)


def trained(graph, **settings):
    """A model that took its scales from the graph and a few steps of training."""
    model = density(**settings)
    model.initialize(graph)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(20):
        loss = (model(graph).forces - graph.forces).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def pair(distance, types=(1, 2), *, field=FIELD, bonded=False, cutoff=3.4):
    frame = Frame(
        timestep=0,
        cell=np.eye(3),
        origin=np.zeros(3),
        periodic=(False, False, False),
        ids=np.array([1, 2]),
        types=np.array(types),
        positions=np.array([[0, 0, 0], [distance, 0, 0]], dtype=float),
        bonds=np.array([[0, 1]]) if bonded else None,
    )
    return build_graph(frame, cutoff, field)


def slope_of(function, x, step=1e-6):
    return (function(x + step) - function(x - step)) / (2 * step)


def test_the_variation_of_mixtures_falls_with_the_number_of_the_radial_function():
    graph, model = water(0), density(electrostatics="none", radial_functions=4, bonded_functions=3)
    model.initialize(graph)
    layer, seen = model.network.layers[0], []
    layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.eval()(graph)
    numbers = torch.cat([torch.arange(1, count + 1) for count in model.settings.function_counts]).double()
    numbers = numbers.repeat(seen[0].shape[2] // len(numbers))
    for degree in (1, 2):
        vary = seen[0][degree**2 : (degree + 1) ** 2].square().sum(0).mean(0).sqrt()  # (C K,)
        chosen = vary > 0.01 * vary.max()
        found = (vary / layer.spread[degree] * numbers)[chosen]
        assert chosen.sum() > 10
        torch.testing.assert_close(found, (1 / (1 / numbers**2).mean()).sqrt().expand_as(found), rtol=1e-10, atol=0)


def test_densities_of_rare_neighbors_are_scaled_by_their_spread_among_the_atoms_that_have_such():
    rare, common = water(0), water(1)
    common = replace(common, type_index=torch.zeros_like(common.type_index))
    settings = {"electrostatics": "none", "node_features": "embedding", "bond_kinds": 0}
    alone, among_others = density(**settings), density(**settings)
    alone.initialize(rare)
    among_others.initialize(collate([rare, *[common] * 19]))
    (one,), (other,) = alone.network.layers, among_others.network.layers
    functions = alone.settings.radial_functions
    rare_ones = alone.network.inputs.projection[1].abs().argmax() * functions + torch.arange(functions)
    torch.testing.assert_close(one.spread[1:, rare_ones], other.spread[1:, rare_ones], rtol=1e-10, atol=0)


def test_radial_functions_and_their_slopes_vanish_at_the_cutoff_and_agree():
    r = torch.linspace(0.4, 5.5, 200, dtype=torch.float64)
    values, slopes = radial_functions(r, torch.ones_like(r), 5.0, 6)
    expected = slope_of(lambda x: radial_functions(x, torch.ones_like(x), 5.0, 6)[0], r)
    torch.testing.assert_close(slopes, expected, rtol=1e-7, atol=1e-8)
    assert (values[:, r >= 5.0] == 0).all()
    assert (slopes[:, r >= 5.0] == 0).all()


def test_fading_has_two_vanishing_derivatives_at_the_cutoff():
    near = torch.tensor(5.0 - 1e-3, dtype=torch.float64)
    value, slope = fade(near, 5.0)
    # three powers of the distance to the cutoff are left: 56 ((1 - x)^3)
    assert value.item() == pytest.approx(56 * (2e-4) ** 3, rel=1e-2)
    assert slope.item() == pytest.approx(-168 * (2e-4) ** 2 / 5, rel=1e-2)


def test_a_softened_distance_is_the_distance_above_contact_and_stops_below():
    r = torch.linspace(0.1, 4.0, 400, dtype=torch.float64)
    contact = torch.full_like(r, 2.0)
    soft, slope = softened(r, contact)
    torch.testing.assert_close(soft[r >= 2], r[r >= 2])
    torch.testing.assert_close(soft[r < 1.6], torch.full_like(r[r < 1.6], 1.8))
    torch.testing.assert_close(slope, slope_of(lambda x: softened(x, contact)[0], r), rtol=1e-7, atol=1e-8)


def test_harmonics_are_orthogonal_and_of_unit_length():
    points = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = harmonics((points / points.norm(dim=1, keepdim=True)).T, 2)
    products = found @ found.T / len(points)
    torch.testing.assert_close(
        products, torch.diag(1 / torch.tensor([1.0, *[3.0] * 3, *[5.0] * 5])).double(), atol=5e-3, rtol=0
    )
    for part in (slice(0, 1), slice(1, 4), slice(4, 9)):
        torch.testing.assert_close(found[part].square().sum(0), torch.ones(len(points), dtype=torch.float64))


def test_products_turn_like_the_harmonics():
    random = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=random, dtype=torch.float64))[0]
    points = torch.nn.functional.normalize(torch.randn(3, 40, generator=random, dtype=torch.float64), dim=0)
    before, after = harmonics(points, 2)[4:], harmonics(turn @ points, 2)[4:]
    turn_two = after @ torch.linalg.pinv(before)  # the matrix that turns degree two
    torch.testing.assert_close(turn_two @ before, after)
    v, w = torch.randn(2, 3, 7, generator=random, dtype=torch.float64)
    torch.testing.assert_close(product_vectors(turn @ v, turn @ w), turn_two @ product_vectors(v, w))
    torch.testing.assert_close(product_vectors(points, points), before)
    q, p = torch.randn(2, 5, 7, generator=random, dtype=torch.float64)
    torch.testing.assert_close(product_tensors(turn_two @ q, turn_two @ p), turn_two @ product_tensors(q, p))


def test_sums_over_neighbors_and_their_derivatives_are_those_of_plain_sums():
    graph = random_graph(2)
    half = graph.edge_count // 2
    first, second = graph.center_index[:half], graph.neighbor_index[:half]
    table = neighbor_table(first, second, graph.atom_count)
    vectors = graph.edge_vectors()[:half].T.clone().requires_grad_()
    sent = torch.randn(graph.atom_count, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(graph.atom_count, 18, 4, dtype=torch.float64, requires_grad=True)

    def by_table():
        spread = table.spread(torch.cat([vectors, -vectors], 1), vectors.new_tensor([7.0, 0, 0]))
        r = spread.detach().norm(dim=0)
        values, slopes = radial_functions(r.flatten(), torch.ones_like(r.flatten()), 3.4, 4)
        geometry = TableGeometry(table, r, spread.detach() / r, values.view(4, *r.shape), slopes.view(4, *r.shape), 2)
        return table_densities(sent, spread, geometry)

    def plain():
        edges = torch.cat([vectors, -vectors], 1)
        r = edges.norm(dim=0)
        radial = radial_functions(r, torch.ones_like(r), 3.4, 4)[0]
        angular = harmonics(edges / r, 2)
        received = sent[graph.neighbor_index]
        terms = torch.einsum("ke,le,ec->elck", radial, angular, received).flatten(1, 2)
        return torch.zeros(graph.atom_count, 18, 4, dtype=torch.float64).index_add(0, graph.center_index, terms)

    results = []
    for densities in (by_table(), plain()):
        pull, on_sent = torch.autograd.grad((densities * weights).tanh().sum(), (vectors, sent), create_graph=True)
        again = torch.autograd.grad((pull**2).sum() + (on_sent**3).sum(), (sent, weights))
        results.append((densities, pull, on_sent, *again))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"layers": 2, "electrostatics": "learned"}], ids=["one layer", "two layers"])
def test_gradients_for_training_are_those_of_finite_differences(settings):
    graph = water(0)
    model = density(**settings).train()
    model.initialize(graph)

    def loss():
        return (model(graph).forces - graph.forces).square().sum()

    loss().backward()
    random = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        direction *= 1e-4 / direction.norm()
        with torch.no_grad():
            parameter += direction
            up = loss().item()
            parameter -= 2 * direction
            down = loss().item()
            parameter += direction
        assert (parameter.grad * direction).sum().item() == pytest.approx((up - down) / 2, rel=1e-4, abs=1e-7)


def test_evaluation_and_training_give_the_same_numbers():
    graph = random_graph(2)
    model = density(layers=2)
    for name in ("forces", "energies", "virials"):
        one, other = (getattr(model.train(mode)(graph), name) for mode in (True, False))
        torch.testing.assert_close(one.detach(), other)
        assert one.requires_grad and not other.requires_grad


@pytest.mark.parametrize("types", [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("settings", [{}, {"electrostatics": "learned", "layers": 2}], ids=["fixed", "learned"])
def test_two_atoms_pushed_together_never_gain_energy(types, settings):
    graph = collate([water(k) for k in range(3)])
    model = trained(graph, **settings)
    contact = model.contacts.distances[0, types[0] - 1, types[1] - 1].item()
    grid = np.arange(0.3, 0.8 * contact, 0.005)
    energies = model(collate([pair(d, types) for d in grid])).energies.numpy()
    assert (np.diff(energies) < 0).all()
    assert energies[0] > energies[-1] + 100


def test_repulsion_from_the_data_is_three_times_its_largest_force_a_tenth_below_contact(tmp_path):
    graph = collate([water(k) for k in range(3)])
    one_kind = replace(
        graph, type_index=torch.zeros_like(graph.type_index), bond_kind=torch.zeros_like(graph.bond_kind)
    )
    settings = {"types": 1, "node_features": "embedding", "electrostatics": "none", "bond_kinds": 0, "repulsion": None}
    model = density(**settings)
    model.initialize(one_kind)
    contact = model.contacts.distances[:1, 0, 0]
    r = (0.9 * contact).requires_grad_()
    model.contacts.pair_energies(r, contact).sum().backward()
    assert -r.grad.item() == pytest.approx(3 * graph.forces.norm(dim=1).max().item(), rel=1e-5)
    path = tmp_path / "model.safetensors"
    save_model(path, model, ModelCard(model.settings, ("A",), None))
    assert load_model(path, dtype=torch.float64).model.contacts.strength.item() == pytest.approx(
        model.contacts.strength.item(), rel=1e-6
    )


def test_atoms_farther_apart_than_in_the_data_feel_no_repulsion():
    graph = collate([water(k) for k in range(3)])
    model = density(electrostatics="none")
    model.initialize(graph)
    half = graph.edge_count // 2
    r = graph.edge_vectors()[:half].norm(dim=1)
    assert model.contacts.pair_energies(r, model.contacts.of_edges(graph)).abs().max() == 0
    bonded = graph.bond_kind[:half] == 1
    closest = r[bonded].min()
    assert model.contacts.distances[1, 0, 1].item() == pytest.approx(0.95 * closest.item(), rel=1e-6)
    assert model.contacts.distances[1, 1, 0] == model.contacts.distances[1, 0, 1]


def test_the_network_starts_at_the_size_of_what_fitted_potentials_leave():
    graph = random_graph(3)
    graph = replace(graph, forces=25.0 * graph.forces)
    model = density(electrostatics="none", repulsion=0.0)
    model.initialize(graph)
    model.eval()
    fitted, whole = model.fixed_part(graph).forces, model(graph).forces
    sizes = [f.square().mean().sqrt().item() for f in (whole - fitted, graph.forces - fitted)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)


@pytest.mark.parametrize("settings", [{}, {"node_features": "embedding", "bond_kinds": 3, "electrostatics": "none"}])
def test_potentials_that_made_the_forces_are_found(settings):
    truth, model = density(**settings, repulsion=0.0).eval(), density(seed=1, **settings, repulsion=0.0).eval()
    frames = collate([water(k) for k in range(5)])
    counts = truth.settings.function_counts
    truth.fitted_pairs.coefficients[sum(counts[:2]) : sum(counts[:3])] = 0  # second neighbors
    truth.contacts.take(approaches(frames))
    made = truth.fixed_part(frames)
    for part in (model.fitted_pairs.coefficients, model.angles.coefficients, model.network.energy_scale):
        part.zero_()
    model.contacts.load_state_dict(truth.contacts.state_dict())
    model.fit_classical(replace(frames, forces=made.forces, virials=made.virials))
    torch.testing.assert_close(model.fixed_part(frames).forces, made.forces, rtol=0, atol=1e-3)
    other, known = (m.fixed_part(water(7)) for m in (model, truth))
    torch.testing.assert_close(other.forces, known.forces, rtol=0, atol=1e-2)
    torch.testing.assert_close(other.virials, known.virials, rtol=0, atol=1.0)


def test_the_energy_of_an_angle_is_that_of_its_cosine():
    frame = Frame(
        timestep=0,
        cell=20 * np.eye(3),
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 4),
        types=np.array([1, 2, 2]),
        positions=np.array([[0.1, 0, 0], [1.1, 0, 0], [0.1 + np.cos(1.9), np.sin(1.9), 0]]),
        bonds=np.array([[0, 1], [0, 2]]),
    )
    model = density(node_features="embedding", electrostatics="none")
    model.angles.coefficients.zero_()
    model.angles.coefficients[1, 0, 1] = 3.0  # second power, O in the middle, H at an end
    graph = build_graph(frame, 3.4, FIELD)
    vectors = graph.edge_vectors()[: graph.edge_count // 2]
    energy = model.angles.energies(graph, model.network.inputs(graph), vectors)
    assert energy.item() == pytest.approx(2 * 3.0 * np.cos(1.9) ** 2, rel=1e-12)


def test_energies_of_the_data_shift_those_of_the_model():
    graphs = [random_graph(1, seed=k, molecules=k) for k in (2, 3, 4)]
    graph = collate(graphs)
    graph = replace(graph, energies=torch.tensor([-40.0, -55.0, -80.0], dtype=torch.float64))
    model = density(electrostatics="none", repulsion=0.0, bond_kinds=0)
    model.initialize(graph)
    before = model.eval()(graph).energies
    shift = -11.0 * torch.bincount(graph.graph_index) / 3
    model.initialize(replace(graph, energies=graph.energies + shift))
    torch.testing.assert_close(model(graph).energies, before + shift)


def test_mean_energies_of_the_atoms_of_a_type_do_not_follow_from_the_random_weights_at_the_start():
    # one atom in twenty-seven is of the second type: what energies of all others are off by would be its energy
    rng = np.random.default_rng(5)
    graphs = []
    for number in range(12):
        types = np.ones(27, dtype=int)
        types[0] += number % 2
        frame = Frame(
            timestep=number,
            cell=7.8 * np.eye(3),
            origin=np.zeros(3),
            periodic=(True, True, False),
            ids=np.arange(1, 28),
            types=types,
            positions=np.indices((3, 3, 3)).reshape(3, -1).T * 2.6 + rng.uniform(-0.3, 0.3, (27, 3)),
            forces=rng.normal(size=(27, 3)),
            energy=-50.0 * 27 - 30.0 * (number % 2),
        )
        graphs.append(build_graph(frame, 3.4, FIELD))
    graph, means = collate(graphs), []
    for seed in range(4):
        model = density(seed=seed, node_features="embedding", electrostatics="none", repulsion=0.0, bond_kinds=0)
        model.fitted_pairs.coefficients.zero_()
        model.angles.coefficients.zero_()
        model.initialize(graph)
        energies = model.network.type_energies[graph.type_index] + model._bare_energies(graph)
        means.append([float(energies[graph.type_index == kind].mean()) for kind in (0, 1)])
    np.testing.assert_allclose(means, np.mean(means, axis=0)[None].repeat(4, axis=0), rtol=1e-9)
    assert np.ptp(means[0]) == pytest.approx(30.0, abs=3.0)  # what pair potentials make of random forces aside


def test_what_frames_of_one_composition_do_not_tell_is_taken_from_isolated_atoms():
    graphs = [random_graph(1, seed=k, molecules=3) for k in (2, 3, 4)]
    graph = collate(graphs)
    types = len(torch.unique(graph.type_index))
    atoms = torch.tensor([-54321.0, -1234.5, 77.0][:types], dtype=torch.float64)
    model = density(types=types, electrostatics="none", repulsion=0.0, bond_kinds=0)
    total = torch.zeros(3, dtype=torch.float64).index_add(0, graph.graph_index, atoms[graph.type_index])
    cohesion = -9.0 * torch.bincount(graph.graph_index)
    model.start_from_atoms(atoms)
    model.initialize(replace(graph, energies=total + cohesion))
    found = model.network.type_energies - atoms
    assert found.abs().max() < 1000  # of the size of the cohesion and of the network's own energies, not of the atoms
    assert (model.eval()(graph).energies - total - cohesion).sum().abs() < 1e-6
    before = model.network.type_energies.clone()
    model.adapt(replace(graph, energies=total + cohesion - 30.0), approaches(graph, types), same_types=True)
    change = model.network.type_energies - before
    counts = torch.bincount(graph.type_index, minlength=types).double()
    torch.testing.assert_close(change / change[0], counts / counts[0])  # the smallest correction


def test_charges_that_are_learned_add_up_to_those_of_the_data():
    graph = random_graph(2)
    model = density(electrostatics="learned")
    torch.nn.init.normal_(model.network.charges.weight)
    places = graph.edge_vectors()[: graph.edge_count // 2]
    r = places.norm(dim=1)
    charges = model.network(graph, places, r, torch.ones_like(r))[1].detach()
    sums = [torch.zeros(2, dtype=torch.float64).index_add(0, graph.graph_index, q) for q in (charges, graph.charges)]
    torch.testing.assert_close(*sums, atol=1e-12, rtol=0)
    assert (charges - graph.charges).abs().max() > 1e-3


def test_a_saved_model_says_the_same_after_loading(tmp_path):
    graph = random_graph(1)
    model = trained(graph).float().eval()
    card = ModelCard(model.settings, ("O", "H"), FIELD)
    save_model(tmp_path / "model.safetensors", model, card)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.card.settings == model.settings
    assert loaded.card.kind == "density"
    single = graph.to(dtype=torch.float32)
    torch.testing.assert_close(loaded.model(single).forces, model(single).forces)


def test_it_learns_argon_from_a_few_frames():
    # 24 atoms on a shaken lattice with the forces of Lennard-Jones: the pair terms are linear in the densities
    random = np.random.default_rng(0)
    graphs = []
    for _ in range(6):
        lattice = np.array(list(np.ndindex(3, 3, 3))) * 3.8
        positions = lattice + random.normal(0, 0.25, lattice.shape)
        frame = Frame(0, np.eye(3) * 11.4, np.zeros(3), (True,) * 3, np.arange(1, 28), np.ones(27, int), positions)
        graph = build_graph(frame, 5.0, ARGON)
        r = graph.edge_vectors()
        d = r.norm(dim=1, keepdim=True)
        power = (3.405 / d) ** 6
        force = -24 * 0.2378 * (2 * power**2 - power) / d**2 * r
        total = torch.zeros(27, 3, dtype=torch.float64).index_add(0, graph.center_index, force)
        graphs.append(replace(graph, forces=total))
    train, test = collate(graphs[:5]), graphs[5]
    model = density(types=1, cutoff=5.0, electrostatics="none", bond_kinds=0, features=16, width=16)
    model.initialize(train)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 150)
        optimizer.zero_grad()
        (model(train).forces - train.forces).abs().mean().backward()
        optimizer.step()
    error = (model.eval()(test).forces - test.forces).abs().sum() / test.forces.abs().sum()
    assert error < 0.1


def test_the_part_without_parameters_may_be_known_before():
    model, graph = trained(water(0)), water(1)
    for training in (True, False):
        model.train(training)
        whole, known = model(graph), model(graph, model.fixed_part(graph))
        for name in ("forces", "energies", "virials"):
            torch.testing.assert_close(getattr(known, name), getattr(whole, name), rtol=1e-13, atol=1e-11)
        assert (model.fixed_part(graph).forces - whole.forces).abs().max() > 1e-3


def test_atoms_without_neighbors_leave_scales_finite():
    graph = water(0)
    none = graph.center_index[:0]
    alone = replace(graph, center_index=none, neighbor_index=none, cell_shift=graph.cell_shift[:0], bond_kind=none)
    model = density(electrostatics="none")
    model.initialize(alone)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert torch.equal(model.eval()(alone).forces, torch.zeros_like(alone.positions))


def test_pairs_that_never_met_have_no_closest_approach():
    graph = water(0)
    model = density(types=3)
    model.initialize(graph)
    half = graph.edge_count // 2
    bonded = graph.bond_kind[:half] == 1
    closest = graph.edge_vectors()[:half].norm(dim=1)[bonded].min().item()
    assert model.closest_in_data(1, 0, 1) == pytest.approx(closest, rel=1e-6)
    assert model.closest_in_data(1, 0, 0) is None and model.closest_in_data(0, 0, 2) is None
    short = density(types=3, cutoff=2.6)  # contacts are at most 0.6 cutoffs: data have no oxygens so close
    short.contacts.take(approaches(graph, types=3))
    assert short.closest_in_data(0, 0, 0) is None
