"""Pair potentials and the smooth Coulomb energy as tables of the distance, for the compiled loops."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnformd.model.density.kernels.simd_functions import COLUMNS
from gnnformd.model.density.kernels.structures import PairTables
from gnnformd.model.density.model import DensityModel
from gnnformd.model.density.numba_engine.packed_weights import Shells, dtype_of
from gnnformd.model.density.radial import fade
from gnnformd.model.density.terms import PairKinds

__all__ = ["pair_tables", "smooth_table", "step_of"]

Array = NDArray[Any]
ROWS_PER_ANGSTROM = 128  # of tables, at least
ROWS_PER_WAVE = 100


def step_of(model: DensityModel) -> float:
    """Distance between the rows of tables, angstrom; the cutoff is a multiple of it.

    What the polynomials leave out of a slope is ``step^6/46080`` of the seventh derivative: below 3e-12 of its size for
    the shortest wave, which has 100 rows or more.
    """
    waves = max(model.settings.function_counts) / 2  # of the shortest, up to the cutoff
    waves = max(waves, *(model.cutoff / term.shortest_wave for term in model.each_pair_term()))
    return model.cutoff / math.ceil(max(ROWS_PER_ANGSTROM * model.cutoff, ROWS_PER_WAVE * waves))


def pair_tables(model: DensityModel, inputs: Tensor, used: Array) -> PairTables:
    """Pair potentials of each species of center and each group, as functions of the softened distance.

    A potential is a sum of radial functions with large factors that nearly cancel; it is summed in float64 here, once.

    Parameters
    ----------
    model, inputs, used
        As for `gnnformd.model.density.numba_engine.packed_weights.packed_mixing`.

    Returns
    -------
    PairTables
        The first table is zero.
    """
    r = _distances(model)
    r[0] = r[1]  # softened distances are larger
    index = np.zeros(used.shape, np.int64)
    tables = [np.zeros((len(r) - 1, COLUMNS))]
    shell_of_bond = Shells.of(model, used.shape[1]).of_bond
    for k, bond, t in zip(*np.nonzero(used), strict=True):
        derivatives = _fitted(model, (inputs[k], inputs[t]), shell_of_bond[bond], r)
        derivatives += _other_terms(model, inputs, (k, t, bond), r)
        if derivatives.any():
            index[k, bond, t] = len(tables)
            tables.append(_polynomials(0.5 * derivatives, step_of(model)))  # half of it for each of the two atoms
    return PairTables(index.reshape(len(inputs), -1), np.stack(tables).astype(dtype_of(model)))


def _fitted(model: DensityModel, atoms: tuple[Tensor, Tensor], shell: int, r: Array) -> Array:
    """Fitted pair potential with three derivatives, (4, rows + 1), in float64: large factors that nearly cancel."""
    counts = model.settings.function_counts
    first = sum(counts[:shell])
    matrices = model.fitted_pairs.coefficients[first : first + counts[shell]].double()
    x, y = atoms
    factors = torch.einsum("p,npq,q->n", x, matrices, y) + torch.einsum("p,npq,q->n", y, matrices, x)
    found: Array = factors.numpy() @ _with_derivatives(r, model.cutoff, counts[shell])
    return found


def _other_terms(model: DensityModel, inputs: Tensor, pair: tuple[int, int, int], r: Array) -> Array:
    """Sum of all other pair terms with three derivatives by automatic differentiation, (4, rows + 1)."""
    total = np.zeros((4, len(r)))
    for term in model.each_pair_term():
        if term is model.fitted_pairs:
            continue
        exact = copy.deepcopy(term).double()
        distance = torch.from_numpy(r).requires_grad_()
        first, second, bond = (torch.full((len(r),), int(number)) for number in pair)
        derivative = exact.energies(distance, PairKinds(inputs, first, second, bond))
        total[0] += derivative.detach().numpy()
        for order in range(1, 4):
            if not derivative.requires_grad:
                break
            (derivative,) = torch.autograd.grad(derivative.sum(), distance, create_graph=True)
            total[order] += derivative.detach().numpy()
    return total


def smooth_table(model: DensityModel) -> Array:
    """Polynomials of ``erf(a r)/r``, where ``a`` is the splitting of the Coulomb energy, (rows, 8)."""
    splitting = 0.0 if model.electrostatics is None else model.electrostatics.splitting
    r = _distances(model)
    scale = 2 * splitting / np.sqrt(np.pi)
    derivatives = np.zeros((4, len(r)))
    derivatives[:, 0] = scale, 0.0, -2 / 3 * scale * splitting**2, 0.0
    x = r[1:]
    gauss = scale * np.exp(-((splitting * x) ** 2))
    value = torch.erf(torch.from_numpy(splitting * x)).numpy() / x
    slope = (gauss - value) / x
    second = -2 * splitting**2 * gauss - 2 * slope / x
    third = 4 * splitting**4 * x * gauss - 2 * second / x + 2 * slope / x**2
    derivatives[:, 1:] = value, slope, second, third
    return _polynomials(derivatives, step_of(model)).astype(dtype_of(model))


def _distances(model: DensityModel) -> Array:
    """Distances from zero to the cutoff and beyond, angstrom."""
    step = step_of(model)
    return step * np.arange(round(model.cutoff / step) + 3)


def _with_derivatives(r: Array, cutoff: float, count: int) -> Array:
    """Radial functions (see `gnnformd.model.density.radial`) and their first three derivatives, (4, K, rows + 1)."""
    x = np.minimum(r / cutoff, 1.0)
    wave = np.pi / cutoff * np.arange(1, count + 1)[:, None]
    sine, cosine = np.sin(wave * r), np.cos(wave * r)
    waves = sine, wave * cosine, -(wave**2) * sine, -(wave**3) * cosine
    over = 1 / r, -1 / r**2, 2 / r**3, -6 / r**4
    envelope, slope = (f.numpy() for f in fade(torch.from_numpy(r), cutoff))
    second, third = -168.0 * x**4 * (1.0 - x) * (5.0 - 7.0 * x), -336.0 * x**3 * (10.0 - x * (30.0 - 21.0 * x))
    fading = envelope, slope, second / cutoff**2, third / cutoff**3
    found = np.sqrt(2.0 / cutoff) * np.stack(_product(_product(waves, over), fading))
    return np.where(r < cutoff, found, 0.0)


def _product(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    """Product of two functions, both with three derivatives."""
    return (
        a[0] * b[0],
        a[1] * b[0] + a[0] * b[1],
        a[2] * b[0] + 2 * a[1] * b[1] + a[0] * b[2],
        a[3] * b[0] + 3 * a[2] * b[1] + 3 * a[1] * b[2] + a[0] * b[3],
    )


def _polynomials(derivatives: Array, step: float) -> Array:
    """Polynomials between points with these values and three derivatives, (4, rows + 1) to (rows, 8).

    Their slopes are quintics with the right slopes, second and third derivatives at both ends. Differences of values
    are not used: where large numbers nearly cancel, they are mostly rounding.
    """
    f, u, v, w = derivatives * np.array([[1.0], [step], [step**2], [0.5 * step**3]])
    gap, dv, dw = np.diff(u) - v[:-1] - w[:-1], np.diff(v) - 2 * w[:-1], np.diff(w)
    table = np.zeros((len(f) - 1, COLUMNS))
    table[:, :4] = np.stack([f, u, v / 2, w / 3], axis=1)[:-1]
    table[:, 4] = (10 * gap - 4 * dv + dw) / 4
    table[:, 5] = (-15 * gap + 7 * dv - 2 * dw) / 5
    table[:, 6] = (6 * gap - 3 * dv + dw) / 6
    return table
