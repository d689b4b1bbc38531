"""The fused activation against PyTorch's own operations."""

import torch
from torch.nn.functional import prelu

from gnnformd.model.gamd.prelu_dropout import prelu_dropout


def sample(rows: int = 700) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(rows, 128).requires_grad_(), torch.tensor([0.3]).requires_grad_()


def test_without_dropout_values_and_gradients_are_those_of_prelu() -> None:
    values, slope = sample()
    ours, theirs = prelu_dropout(values, slope, 0.0), prelu(values, slope)
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(ours)
    mine = torch.autograd.grad(ours, (values, slope), weights)
    plain = torch.autograd.grad(theirs, (values, slope), weights)
    assert torch.equal(mine[0], plain[0])
    exact = (weights.double() * values.double().clamp(max=0)).sum()
    torch.testing.assert_close(mine[1][0].double(), exact.detach(), rtol=1e-5, atol=1e-3)


def test_the_backward_pass_drops_what_the_forward_pass_dropped() -> None:
    values, slope = sample()
    result = prelu_dropout(values, slope, 0.1)
    kept = result != 0
    torch.testing.assert_close(result[kept], (prelu(values, slope) / 0.9)[kept])
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert torch.equal(gradient != 0, kept)


def test_the_share_of_dropped_values_is_the_rate_in_every_row_and_column() -> None:
    values, slope = torch.ones(20_000, 128), torch.tensor([0.3])
    dropped = (prelu_dropout(values, slope, 0.1) == 0).double()
    assert abs(dropped.mean().item() - 0.1) < 5 * (0.09 / dropped.numel()) ** 0.5
    for axis in (0, 1):
        mean = dropped.mean(axis)
        spread = (0.09 / dropped.shape[axis]) ** 0.5
        assert (mean - 0.1).abs().max() < 6 * spread
        assert abs(mean.std().item() / spread - 1) < 0.25
    pairs = (dropped[:, :-1] * dropped[:, 1:]).mean().item()
    assert abs(pairs - 0.01) < 5e-4


def test_masks_follow_torchs_generator_and_differ_from_call_to_call() -> None:
    values, slope = sample()
    torch.manual_seed(5)
    first, second = prelu_dropout(values, slope, 0.1), prelu_dropout(values, slope, 0.1)
    torch.manual_seed(5)
    assert torch.equal(prelu_dropout(values, slope, 0.1), first)
    assert not torch.equal(first == 0, second == 0)


def test_double_precision_takes_the_plain_operations() -> None:
    values, slope = sample(10)
    wide = prelu_dropout(values.double(), slope.double(), 0.0)
    torch.testing.assert_close(wide, prelu(values, slope).double())
