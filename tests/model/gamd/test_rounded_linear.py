import torch
from torch.nn.functional import linear

from gnnformd.model.gamd.rounded_linear import rounded_linear

BFLOAT16 = 2.0**-8  # largest relative rounding error of one number


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (4096, 32), (16, 32), (16,)
    values, weight, bias = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return values, weight, bias


def test_the_result_is_not_rounded() -> None:
    assert torch.equal(rounded_linear(*inputs()), linear(*inputs()))


def test_gradients_are_those_of_the_linear_map_up_to_the_rounding_of_each_term() -> None:
    values, weight, bias = inputs()
    upstream = torch.randn(4096, 16, generator=torch.Generator().manual_seed(1))
    exact = torch.autograd.grad(linear(values, weight, bias), (values, weight, bias), upstream)
    rounded = torch.autograd.grad(rounded_linear(values, weight, bias), (values, weight, bias), upstream)
    for name, a, b in zip(("values", "weight"), exact, rounded, strict=False):
        error = (a - b).norm() / a.norm()
        assert 0 < error < BFLOAT16, name
    assert torch.equal(exact[2], rounded[2])
