"""SOAP is Adam for vectors, does not depend on the basis of matrices, and goes on where it stood."""

import copy

import torch

from gnnformd.training.soap import Soap


def problem(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``|A X B - C|^2`` with matrices whose singular values spread over two orders of magnitude."""
    made = torch.Generator().manual_seed(seed)
    spread = torch.logspace(0, -2, 8, dtype=torch.float64)
    a, b = (
        torch.linalg.qr(torch.randn(8, 8, generator=made, dtype=torch.float64))[0]
        @ torch.diag(spread)
        @ torch.linalg.qr(torch.randn(8, 8, generator=made, dtype=torch.float64))[0]
        for _ in range(2)
    )
    return a, b, torch.randn(8, 8, generator=made, dtype=torch.float64)


def minimized(optimizer: torch.optim.Optimizer, x: torch.Tensor, steps: int, turn: torch.Tensor) -> list[float]:
    a, b, c = problem()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (a @ turn @ x @ b - a @ c @ b).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_vectors_are_treated_as_by_adam() -> None:
    start = torch.linspace(-1, 1, 7, dtype=torch.float64)
    one, other = (start.clone().requires_grad_() for _ in range(2))
    soap = Soap([one], 0.01)
    adam = torch.optim.Adam([other], lr=0.01, betas=(0.95, 0.95))
    for k in range(30):
        for x, optimizer in ((one, soap), (other, adam)):
            optimizer.zero_grad()
            (x**4 + k * x).sum().backward()
            optimizer.step()
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_matrix_in_another_basis_takes_the_same_steps() -> None:
    turn = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    losses = []
    for basis in (torch.eye(8, dtype=torch.float64), turn):
        x = torch.zeros(8, 8, dtype=torch.float64, requires_grad=True)
        losses.append(minimized(Soap([x], 0.05, shrinkage=0.0), x, 60, basis))
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=1e-6, atol=0)


def test_mean_squares_stay_with_their_eigenvectors_when_these_change_places() -> None:
    x = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    soap, squares = Soap([x], 0.01, every=1), torch.zeros(3, 3, dtype=torch.float64)
    for k in range(20):  # the bases stay those of rows and columns; the smallest eigenvalue becomes the largest
        x.grad = torch.diag(torch.tensor([3.0 - k / 10, 1.0, 0.1 + k], dtype=torch.float64))
        squares.lerp_(x.grad.square(), 0.05)
        soap.step()
    state = soap.state[x]
    found = state["left_basis"].square() @ state["squares"] @ state["right_basis"].square().mT
    torch.testing.assert_close(found[0], squares, rtol=1e-12, atol=1e-12)


def test_a_parameter_takes_the_same_steps_alone_and_beside_others() -> None:
    made = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (5,), (4, 3), (1, 6), (3, 4), (4, 3))
    start = [torch.randn(shape, generator=made, dtype=torch.float64) for shape in shapes]
    alone, together = ([x.clone().requires_grad_() for x in start] for _ in range(2))
    optimizers = [Soap([x], 0.05, every=3) for x in alone]
    all_of_them = Soap(together, 0.05, every=3)
    for _ in range(8):
        for x, y in zip(alone, together, strict=True):
            gradient = torch.randn(x.shape, generator=made, dtype=torch.float64)
            x.grad, y.grad = gradient, gradient.clone()
        alone[2].grad = together[2].grad = None  # has no part in the loss
        for optimizer in (*optimizers, all_of_them):
            optimizer.step()
    for x, y in zip(alone, together, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
    assert torch.equal(together[2], start[2])


def test_an_ill_conditioned_problem_takes_fewer_steps_than_with_adam() -> None:
    identity = torch.eye(8, dtype=torch.float64)
    x, y = (torch.zeros(8, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    soap = minimized(Soap([x], 0.02, shrinkage=0.0), x, 400, identity)
    adam = minimized(torch.optim.Adam([y], lr=0.02, betas=(0.95, 0.95)), y, 400, identity)
    assert soap[-1] < 0.2 * adam[-1]


def test_matrices_shrink_with_the_learning_rate_and_vectors_do_not() -> None:
    matrix = torch.full((3, 3), 2.0, dtype=torch.float64, requires_grad=True)
    vector = torch.full((3,), 2.0, dtype=torch.float64, requires_grad=True)
    soap = Soap([matrix, vector], 0.05, shrinkage=0.1)
    for x in (matrix, vector):
        x.grad = torch.zeros_like(x)
    for _ in range(10):
        soap.step()
    torch.testing.assert_close(matrix, torch.full_like(matrix, 2.0 * (1 - 0.05 * 0.1) ** 10), rtol=1e-14, atol=0)
    assert torch.equal(vector, torch.full_like(vector, 2.0))


def test_what_is_remembered_can_be_stored() -> None:
    identity = torch.eye(8, dtype=torch.float64)
    x = torch.zeros(8, 8, dtype=torch.float64, requires_grad=True)
    first = Soap([x], 0.05)
    minimized(first, x, 25, identity)
    y = x.detach().clone().requires_grad_()
    second = Soap([y], 0.05)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert minimized(first, x, 25, identity) == minimized(second, y, 25, identity)


def test_gradients_that_are_not_finite_are_no_error() -> None:
    x = torch.ones(4, 4, dtype=torch.float64, requires_grad=True)
    soap = Soap([x], 0.01)
    x.grad = torch.full_like(x, torch.nan)
    for _ in range(12):  # the training says what is wrong, as with Adam
        soap.step()
    assert x.isnan().all()
