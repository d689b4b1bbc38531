"""Polynomial of mixed densities for all atoms, its gradient, and the derivative of that along a change.

Mixed densities are (M, N, F) in one row: scalars, two vectors, two tensors and, where there are any, two mixtures each
of degree 3 and 4. The equations are those of `gnnformd.model.density.layer.DensityLayer`; weights are (P, F) in the
order of `gnnformd.model.density.layer.PRODUCTS`, then those of the couplings (`gnnformd.model.density.couplings`). F is
a multiple of the length of a vector (`lanes_of`).
"""

from __future__ import annotations

from typing import NamedTuple

from gnnformd.model.density.kernels.couplings import (
    COUPLING_COUNTS,
    couplings,
    couplings_second,
    couplings_vjp,
)
from gnnformd.model.density.kernels.simd import Vector, fill, lanes_of, load, store
from gnnformd.model.density.kernels.simd_functions import total
from gnnformd.model.density.kernels.structures import Floats
from gnnformd.model.density.kernels.tensor_products import (
    add3,
    add5,
    add_to,
    dot3,
    dot5,
    load3,
    load5,
    matrix_times,
    product_tensors,
    product_vectors,
    scale3,
    scale5,
    store3,
    store5,
)
from gnnformd.numba_jit import kernel

__all__ = ["PolynomialGradients", "polynomial", "polynomial_second", "polynomial_vjp"]

SECOND = 7  # rows from the first component of the first mixture of degree 2 on
THIRD, FOURTH = 17, 31  # the same for degrees 3 and 4
WITH_SECONDS, WITH_THIRDS = 9, 13  # products and couplings in all of layers up to degree 2 and 3


class PolynomialGradients(NamedTuple):
    """Gradients in mixed densities (M N F), weights (P F), energies (N,) and invariants (N 3F), each in one row."""

    mixed: Floats
    weights: Floats
    energies: Floats
    perceived: Floats


@kernel
def _dot(one: Floats, other: Floats, count: int, at_one: int, at_other: int, step: int) -> Vector:
    """Sum of products of components."""
    result = load(one, at_one) * load(other, at_other)
    for m in range(1, count):
        result = result + load(one, at_one + m * step) * load(other, at_other + m * step)
    return result


@kernel
def _coupling_count(products: int) -> int:
    """How many of the products are couplings."""
    return COUPLING_COUNTS[2 if products == WITH_SECONDS else 3 if products == WITH_THIRDS else 4]


@kernel
def polynomial(
    atoms: tuple[int, int], mixed: Floats, weights: Floats, features: int, energies: Floats, perceived: Floats
) -> None:
    """Energies (N,) and the invariants s, v.w, q.p that the perceptron is given, (N, 3F), of atoms in a range."""
    products, step = len(weights) // features, len(energies) * features
    count = _coupling_count(products)
    first = (products - count) * features
    for n in range(atoms[0], atoms[1]):
        energy = fill(mixed, 0.0)
        for f in range(0, features, lanes_of(mixed)):
            at = n * features + f
            s = load(mixed, at)
            v, w = load3(mixed, at + step, step), load3(mixed, at + 4 * step, step)
            q, p = load5(mixed, at + SECOND * step, step), load5(mixed, at + 12 * step, step)
            vw, qp = dot3(v, w), dot5(q, p)
            target = 3 * n * features + f
            store(perceived, target, s)
            store(perceived, target + features, vw)
            store(perceived, target + 2 * features, qp)
            of_s = load(weights, 3 * features + f) + s * load(weights, 4 * features + f)
            energy = energy + s * (load(weights, f) + s * of_s)
            energy = energy + vw * (load(weights, features + f) + s * load(weights, 5 * features + f))
            energy = energy + qp * (load(weights, 2 * features + f) + s * load(weights, 6 * features + f))
            energy = energy + load(weights, 7 * features + f) * dot5(product_vectors(v, w), q)
            energy = energy + load(weights, 8 * features + f) * dot5(product_tensors(q, p), p)
            if products > WITH_SECONDS:
                ab = _dot(mixed, mixed, 7, at + THIRD * step, at + (THIRD + 7) * step, step)
                energy = energy + ab * (load(weights, 9 * features + f) + s * load(weights, 10 * features + f))
            if products > WITH_THIRDS:
                cd = _dot(mixed, mixed, 9, at + FOURTH * step, at + (FOURTH + 9) * step, step)
                energy = energy + cd * (load(weights, 11 * features + f) + s * load(weights, 12 * features + f))
            energy = energy + couplings(mixed, step, at, count, weights, first + f, features)
        energies[n] = total(energy)


@kernel
def _mixtures_vjp(
    mixed: Floats,
    count: int,
    row: int,
    step: int,
    s: Vector,
    on_energy: Vector,
    weights: Floats,
    first: int,
    features: int,
    out: Floats,
    out_weights: Floats,
) -> Vector:
    """Gradients of ``on_energy (c + s d) sum_m a_m b_m`` in the two mixtures of a degree and in c and d.

    The mixtures have ``count`` components each and begin at ``row``; c and d stand at ``first`` and
    ``first + features``. Returns the gradient in s.
    """
    d = on_energy * load(weights, first + features)
    factor, product = on_energy * load(weights, first) + s * d, fill(mixed, 0.0)
    for m in range(count):
        here, there = row + m * step, row + (count + m) * step
        one, other = load(mixed, here), load(mixed, there)
        store(out, here, factor * other)
        store(out, there, factor * one)
        product = product + one * other
    add_to(out_weights, first, on_energy * product)
    add_to(out_weights, first + features, on_energy * s * product)
    return d * product


@kernel
def polynomial_vjp(
    atoms: tuple[int, int],
    mixed: Floats,
    weights: Floats,
    features: int,
    on_energies: Floats,
    on_perceived: Floats,
    out_mixed: Floats,
    out_weights: Floats,
) -> None:
    """Gradients in the mixed densities, and those in the weights, which are added.

    ``on_energies`` (N,) and ``on_perceived`` (N 3F) are the gradients in what `polynomial` writes.
    """
    products, step = len(weights) // features, len(on_energies) * features
    count = _coupling_count(products)
    first = (products - count) * features
    for n in range(atoms[0], atoms[1]):
        on_energy = fill(mixed, on_energies[n])
        for f in range(0, features, lanes_of(mixed)):
            at, source = n * features + f, 3 * n * features + f
            s = load(mixed, at)
            v, w = load3(mixed, at + step, step), load3(mixed, at + 4 * step, step)
            q, p = load5(mixed, at + SECOND * step, step), load5(mixed, at + 12 * step, step)
            vw, qp = dot3(v, w), dot5(q, p)
            c3, c4 = on_energy * load(weights, 3 * features + f), on_energy * load(weights, 4 * features + f)
            c5, c6 = on_energy * load(weights, 5 * features + f), on_energy * load(weights, 6 * features + f)
            c7, c8 = on_energy * load(weights, 7 * features + f), on_energy * load(weights, 8 * features + f)
            g0 = on_energy * load(weights, f) + load(on_perceived, source)
            g0 = g0 + s * (2.0 * c3 + 3.0 * s * c4) + c5 * vw + c6 * qp
            g1 = on_energy * load(weights, features + f) + load(on_perceived, source + features) + s * c5
            g2 = on_energy * load(weights, 2 * features + f) + load(on_perceived, source + 2 * features) + s * c6
            products_vw, products_pp = product_vectors(v, w), product_tensors(p, p)
            store3(out_mixed, at + step, step, add3(scale3(g1, w), scale3(c7, matrix_times(q, w))))
            store3(out_mixed, at + 4 * step, step, add3(scale3(g1, v), scale3(c7, matrix_times(q, v))))
            on_q = add5(scale5(g2, p), add5(scale5(c7, products_vw), scale5(c8, products_pp)))
            store5(out_mixed, at + SECOND * step, step, on_q)
            on_p = add5(scale5(g2, q), scale5(2.0 * c8, product_tensors(q, p)))
            store5(out_mixed, at + 12 * step, step, on_p)
            own = on_energy * s
            add_to(out_weights, f, own)
            add_to(out_weights, features + f, on_energy * vw)
            add_to(out_weights, 2 * features + f, on_energy * qp)
            add_to(out_weights, 3 * features + f, own * s)
            add_to(out_weights, 4 * features + f, own * s * s)
            add_to(out_weights, 5 * features + f, own * vw)
            add_to(out_weights, 6 * features + f, own * qp)
            add_to(out_weights, 7 * features + f, on_energy * dot5(products_vw, q))
            add_to(out_weights, 8 * features + f, on_energy * dot5(products_pp, q))
            if products > WITH_SECONDS:
                row = at + THIRD * step
                g0 = g0 + _mixtures_vjp(
                    mixed, 7, row, step, s, on_energy, weights, 9 * features + f, features, out_mixed, out_weights
                )
            if products > WITH_THIRDS:
                row = at + FOURTH * step
                g0 = g0 + _mixtures_vjp(
                    mixed, 9, row, step, s, on_energy, weights, 11 * features + f, features, out_mixed, out_weights
                )
            store(out_mixed, at, g0)
            couplings_vjp(mixed, step, at, count, weights, first + f, features, on_energy, out_mixed, out_weights)


@kernel
def _mixtures_second(
    mixed: Floats,
    change: Floats,
    count: int,
    row: int,
    step: int,
    s: Vector,
    ds: Vector,
    on_energy: Vector,
    weights: Floats,
    first: int,
    features: int,
    out: PolynomialGradients,
) -> tuple[Vector, Vector]:
    """Differentiate what `_mixtures_vjp` writes along a change; gradients in the energy and in s are returned."""
    c, d = load(weights, first), load(weights, first + features)
    other = row + count * step
    product = _dot(mixed, mixed, count, row, other, step)
    along = _dot(change, mixed, count, row, other, step) + _dot(mixed, change, count, row, other, step)
    along_s = ds * product + s * along
    add_to(out.weights, first, on_energy * along)
    add_to(out.weights, first + features, on_energy * along_s)
    factor, change_of_factor = on_energy * (c + s * d), on_energy * ds * d
    for m in range(count):
        here, there = row + m * step, other + m * step
        store(out.mixed, here, factor * load(change, there) + change_of_factor * load(mixed, there))
        store(out.mixed, there, factor * load(change, here) + change_of_factor * load(mixed, here))
    return along * c + along_s * d, on_energy * d * along


@kernel
def polynomial_second(
    atoms: tuple[int, int],
    mixed: Floats,
    weights: Floats,
    features: int,
    on_energies: Floats,
    on_perceived: Floats,
    change: Floats,
    out: PolynomialGradients,
) -> None:
    """Gradients of ``sum change . out_mixed``, where ``out_mixed`` is what `polynomial_vjp` writes.

    Those in the weights are added, the others are written.
    """
    products, step = len(weights) // features, len(on_energies) * features
    count = _coupling_count(products)
    first = (products - count) * features
    for n in range(atoms[0], atoms[1]):
        on_energy, of_energy = fill(mixed, on_energies[n]), fill(mixed, 0.0)
        for f in range(0, features, lanes_of(mixed)):
            at, source = n * features + f, 3 * n * features + f
            s, ds = load(mixed, at), load(change, at)
            v, w = load3(mixed, at + step, step), load3(mixed, at + 4 * step, step)
            q, p = load5(mixed, at + SECOND * step, step), load5(mixed, at + 12 * step, step)
            dv, dw = load3(change, at + step, step), load3(change, at + 4 * step, step)
            dq, dp = load5(change, at + SECOND * step, step), load5(change, at + 12 * step, step)
            vw, qp, dvw, dqp = dot3(v, w), dot5(q, p), dot3(dv, w) + dot3(v, dw), dot5(dq, p) + dot5(q, dp)
            store(out.perceived, source, ds)
            store(out.perceived, source + features, dvw)
            store(out.perceived, source + 2 * features, dqp)
            w5, w6 = load(weights, 5 * features + f), load(weights, 6 * features + f)
            w7, w8 = load(weights, 7 * features + f), load(weights, 8 * features + f)
            products_vw, products_pp, products_qp = product_vectors(v, w), product_tensors(p, p), product_tensors(q, p)
            change_vw = add5(product_vectors(dv, w), product_vectors(v, dw))
            d3, d4 = 2.0 * s * ds, 3.0 * s * s * ds
            d5, d6 = ds * vw + s * dvw, ds * qp + s * dqp
            d7 = dot5(change_vw, q) + dot5(products_vw, dq)
            d8 = dot5(dq, products_pp) + 2.0 * dot5(dp, products_qp)
            of_energy = of_energy + ds * load(weights, f) + dvw * load(weights, features + f)
            of_energy = of_energy + dqp * load(weights, 2 * features + f) + d3 * load(weights, 3 * features + f)
            of_energy = of_energy + d4 * load(weights, 4 * features + f) + d5 * w5 + d6 * w6 + d7 * w7 + d8 * w8
            add_to(out.weights, f, on_energy * ds)
            add_to(out.weights, features + f, on_energy * dvw)
            add_to(out.weights, 2 * features + f, on_energy * dqp)
            add_to(out.weights, 3 * features + f, on_energy * d3)
            add_to(out.weights, 4 * features + f, on_energy * d4)
            add_to(out.weights, 5 * features + f, on_energy * d5)
            add_to(out.weights, 6 * features + f, on_energy * d6)
            add_to(out.weights, 7 * features + f, on_energy * d7)
            add_to(out.weights, 8 * features + f, on_energy * d8)
            c5, c6, c7, c8 = on_energy * w5, on_energy * w6, on_energy * w7, on_energy * w8
            on_s = ds * on_energy * (2.0 * load(weights, 3 * features + f) + 6.0 * s * load(weights, 4 * features + f))
            on_s = on_s + c5 * dvw + c6 * dqp
            g1 = on_energy * load(weights, features + f) + load(on_perceived, source + features) + s * c5
            g2 = on_energy * load(weights, 2 * features + f) + load(on_perceived, source + 2 * features) + s * c6
            on_v = add3(matrix_times(dq, w), matrix_times(q, dw))
            on_w = add3(matrix_times(dq, v), matrix_times(q, dv))
            on_v = add3(scale3(c7, on_v), add3(scale3(g1, dw), scale3(ds * c5, w)))
            on_w = add3(scale3(c7, on_w), add3(scale3(g1, dv), scale3(ds * c5, v)))
            store3(out.mixed, at + step, step, on_v)
            store3(out.mixed, at + 4 * step, step, on_w)
            on_q = add5(scale5(c7, change_vw), scale5(2.0 * c8, product_tensors(p, dp)))
            on_p = scale5(2.0 * c8, add5(product_tensors(dq, p), product_tensors(q, dp)))
            store5(out.mixed, at + SECOND * step, step, add5(on_q, add5(scale5(g2, dp), scale5(ds * c6, p))))
            store5(out.mixed, at + 12 * step, step, add5(on_p, add5(scale5(g2, dq), scale5(ds * c6, q))))
            if products > WITH_SECONDS:
                row, weight = at + THIRD * step, 9 * features + f
                more, more_on_s = _mixtures_second(
                    mixed, change, 7, row, step, s, ds, on_energy, weights, weight, features, out
                )
                of_energy, on_s = of_energy + more, on_s + more_on_s
            if products > WITH_THIRDS:
                row, weight = at + FOURTH * step, 11 * features + f
                more, more_on_s = _mixtures_second(
                    mixed, change, 9, row, step, s, ds, on_energy, weights, weight, features, out
                )
                of_energy, on_s = of_energy + more, on_s + more_on_s
            store(out.mixed, at, on_s)
            of_energy = of_energy + couplings_second(
                mixed, change, step, at, count, weights, first + f, features, on_energy, out.mixed, out.weights
            )
        out.energies[n] = total(of_energy)
