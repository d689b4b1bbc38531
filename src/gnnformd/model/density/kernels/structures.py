"""What the compiled loops take and give: named tuples of arrays, and the types of arrays in annotations.

Letters in shapes: N centers, M all atoms (centers, their images and neighbors), E directed edges, S species, G groups
of neighbors, K radial functions, C channels, F features, W width of the perceptrons, B blocks of centers.

A *species* is a kind of atom: type, charge, epsilon and sigma. A *group* holds the neighbors of a center that share
bond kind and species; group ``b S + t`` is the one of bond kind b and species t. A *block* holds at most `ATOMS`
centers of one species. Blocks are stored whole: rows of centers that a block does not have are computed and not used.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ATOMS",
    "HARMONICS",
    "HARMONIC_COUNTS",
    "INVARIANTS",
    "MIXED_COUNTS",
    "Blocks",
    "CoulombParameters",
    "CoulombResults",
    "Doubles",
    "EdgeGradients",
    "EnergyTerms",
    "Floats",
    "Forces",
    "Indices",
    "Layer",
    "LayerGradients",
    "LayerInputs",
    "LayerOutputs",
    "LayerResults",
    "LayerWeights",
    "Layout",
    "MeshKernel",
    "MixedDensities",
    "MixingWeights",
    "NeighborLists",
    "Neighborhood",
    "NetworkWeights",
    "NetworkWorkspace",
    "Number",
    "PairGeometry",
    "PairParameters",
    "PairTables",
    "PointCharges",
    "Results",
    "Scratch",
    "Sent",
    "Shell",
    "SumWorkspace",
    "SurroundingsWeights",
    "WaveVectors",
]

ATOMS = 16
"""Centers of a block."""

HARMONICS = 25
"""Spherical harmonics of degrees 0 to 4, the highest there may be."""

HARMONIC_COUNTS = (9, 9, 9, 16, 25)
"""Harmonics that are computed where the highest degree is 0, 1, ...; those that a model does not have count nothing."""

MIXED_COUNTS = (17, 17, 17, 31, 49)
"""Mixed densities of an atom and a feature where the highest degree is 0, 1, ...: one of degree 0, two of each
component of the others. Those that a model does not have are zero."""

INVARIANTS = 3
"""Invariants of an atom and a feature that the perceptron is given."""

Floats = NDArray[np.floating[Any]]
"""float32 or float64, whichever the model computes in."""

Doubles = NDArray[np.float64]
Indices = NDArray[np.integer[Any]]
Number = float | np.floating[Any]


class Shell(NamedTuple):
    """Edges that share radial functions, ordered by center.

    Attributes
    ----------
    start
        Center i has the edges ``start[i]`` to ``start[i + 1]``, (N + 1,).
    neighbor
        Of each edge, (E,).
    pair
        Twice the number of the half edge, plus one for the second of its two directions, (E,).
    functions, offset
        Number of radial functions, and of the first of them among the functions of all shells.
    """

    start: Indices
    neighbor: Indices
    pair: Indices
    functions: int
    offset: int


class PairGeometry(NamedTuple):
    """Half edges.

    Attributes
    ----------
    vectors
        angstrom, (E/2, 3).
    distance, soft
        Plain and softened, angstrom, (E/2,).
    soft_slope
        Derivative of the softened distance, (E/2,).
    cutoff
        angstrom, in the type of the arrays.
    """

    vectors: Floats
    distance: Floats
    soft: Floats
    soft_slope: Floats
    cutoff: Number


class EdgeGradients(NamedTuple):
    """Gradients of each directed edge, in the order of a shell.

    Attributes
    ----------
    vectors
        In the vector from center to neighbor, (E, 3).
    received
        In the numbers that the edge received, (E, C).
    """

    vectors: Floats
    received: Floats


class Scratch(NamedTuple):
    """Numbers of the neighbors of one atom.

    Attributes
    ----------
    values
        Number r of neighbor e is at ``r columns + e``; see `neighbor_scratch` for the rows.
    columns
        Length of a row, a whole number of vectors.
    padded
        Number of radial functions, filled up to whole vectors.
    """

    values: Floats
    columns: int
    padded: int


class Neighborhood(NamedTuple):
    """The neighbors of one center within the cutoff, group by group; each group begins with a whole vector.

    Attributes
    ----------
    values, columns
        As in `Scratch`.
    begin, end
        First column of each group, and the one after its last neighbor, (G,).
    atom
        Number of the atom in each column, (columns,).
    center
        Number of the atom whose neighbors these are.
    row
        Of the center in its block.
    """

    values: Floats
    columns: int
    begin: Indices
    end: Indices
    atom: Indices
    center: int
    row: int


class Blocks(NamedTuple):
    """Centers in blocks.

    Attributes
    ----------
    order, start
        Block b holds the centers ``order[start[b] : start[b + 1]]``, (N,) and (B + 1,).
    species
        Of the centers of each block, (B,).
    depth
        Steps from neighbor to neighbor to a center whose energy counts, in ascending order, (B,).
    """

    order: Indices
    start: Indices
    species: Indices
    depth: Indices


class NeighborLists(NamedTuple):
    """Candidates for neighbors, sorted by group; those beyond the cutoff are skipped.

    Attributes
    ----------
    bounds
        Group g of center i has candidates ``neighbor[bounds[i, g] : bounds[i, g + 1]]``, (N, G + 1).
    neighbor
        (E,).
    blocks
        The centers.
    """

    bounds: Indices
    neighbor: Indices
    blocks: Blocks


class PairParameters(NamedTuple):
    """What the energies of pairs depend on. The first three are of each species of center, (S, G), or of one, (G,).

    Attributes
    ----------
    charge
        Coulomb constant times the product of the charges, kcal/mol angstrom.
    weight
        How much of the bare Coulomb energy counts.
    contact
        Contact distance, angstrom.
    strength
        Of the repulsion below the contact distance, kcal/mol.
    cutoff
        angstrom.
    switch
        Share of the cutoff from which the Coulomb energy fades out.
    step
        Between the rows of tables, angstrom.
    smooth
        ``erf(a r)/r`` in polynomials of the distance over ``step``, 1/angstrom, (rows, 8).
    """

    charge: Doubles
    weight: Doubles
    contact: Doubles
    strength: float
    cutoff: float
    switch: float
    step: float
    smooth: Floats


class PairTables(NamedTuple):
    """Pair potentials in polynomials of the softened distance.

    Attributes
    ----------
    table
        Number of the table of each group, for each species of center; 0 where there is no potential, (S, G).
    tables
        kcal/mol; row k holds the coefficients of the powers of t, where ``k + t`` is the distance over the step,
        (tables, rows, 8).
    """

    table: Indices
    tables: Floats


class EnergyTerms(NamedTuple):
    """Energies without a network.

    Attributes
    ----------
    pairs, tables
        Coulomb energy and repulsion, and the fitted potentials.
    angles
        Coefficients of ``cos^n``, n from 1, for each species of center and of both ends, kcal/mol, (S, S, S, powers).
    species
        Energy of each species, kcal/mol, (S,).
    """

    pairs: PairParameters
    tables: PairTables
    angles: Doubles
    species: Doubles


class Layout(NamedTuple):
    """The densities of a center. The first two are of each species of center, (S, G), or of one, (G,).

    Attributes
    ----------
    counts, offsets
        Radial functions of each group, and where their densities begin.
    padded
        Number of functions of the longest group, filled up to whole vectors.
    inner
        Number of densities of one harmonic, filled up to whole vectors.
    cutoff
        angstrom.
    degree
        Highest degree of the harmonics.
    channels
        Numbers that each neighbor sends; 0 in a first layer, whose weights have them in them.
    functions
        Radial functions of all groups: those of channel c begin at ``c functions``; 0 in a first layer.
    """

    counts: Indices
    offsets: Indices
    padded: int
    inner: int
    cutoff: Number
    degree: int
    channels: int
    functions: int


class MixingWeights(NamedTuple):
    """Weights from densities to mixed densities, of each species of center.

    Attributes
    ----------
    constant
        Added to those of degree zero, (S, F).
    scalars, vectors, tensors, thirds, fourths
        Of degrees 0, (S, inner F), and 1 to 4, (S, inner 2 F) each, or (S, 0) where the model has no degree 3 or 4.
    scalars_transposed, vectors_transposed, tensors_transposed, thirds_transposed, fourths_transposed
        The same, transposed.
    """

    constant: Floats
    scalars: Floats
    vectors: Floats
    tensors: Floats
    thirds: Floats
    fourths: Floats
    scalars_transposed: Floats
    vectors_transposed: Floats
    tensors_transposed: Floats
    thirds_transposed: Floats
    fourths_transposed: Floats


class SurroundingsWeights(NamedTuple):
    """What grades of atoms are made of, for each species (see `gnnformd.model.density.surroundings.Surroundings`).

    Attributes
    ----------
    axes, offset
        From the last activation to coordinates z, (S, W D) and (S, D).
    representatives
        z of each, (S, D K).
    half_squares
        Half the squared length of the z of each, (S, K).
    scale
        From distances to grades, (S,).
    """

    axes: Floats
    offset: Floats
    representatives: Floats
    half_squares: Floats
    scale: Doubles


class NetworkWeights(NamedTuple):
    """Weights of a single layer behind its mixed densities; matrices (inputs, outputs) are flat.

    Attributes
    ----------
    polynomial
        Of the invariants, kcal/mol, (products F,).
    first_bias, first, first_transposed
        From invariants to the first activation, (S, W), and (3 F, W) and its transpose.
    hidden, hidden_transposed, hidden_bias
        From there to the second activation, (W, W) and (W,).
    last
        From there to the energy, kcal/mol, (W,).
    floor
        Start and depth of the floor of the energies of each species, kcal/mol, (S, 2).
    surroundings
        For extrapolation grades.
    """

    polynomial: Floats
    first_bias: Floats
    first: Floats
    first_transposed: Floats
    hidden: Floats
    hidden_transposed: Floats
    hidden_bias: Floats
    last: Floats
    floor: Doubles
    surroundings: SurroundingsWeights


class LayerWeights(NamedTuple):
    """Weights of one of several layers behind its mixed densities; matrices (inputs, outputs) are flat.

    Attributes
    ----------
    polynomial
        Of the invariants, kcal/mol, (products F,).
    first_bias, first, first_transposed
        From invariants to the first activation, (S, W), and (3 F, W) and its transpose.
    second, second_transposed, second_bias
        From there to scalars, (W, W) and (W,).
    hidden, hidden_transposed, hidden_bias
        From scalars to the second activation, (W, W) and (W,).
    last
        From there to the energy, kcal/mol, (W,).
    message, message_transposed, message_bias
        From scalars to what is sent to the next layer, (W, C) and (C,).
    surroundings
        For extrapolation grades, in the last layer.
    """

    polynomial: Floats
    first_bias: Floats
    first: Floats
    first_transposed: Floats
    second: Floats
    second_transposed: Floats
    second_bias: Floats
    hidden: Floats
    hidden_transposed: Floats
    hidden_bias: Floats
    last: Floats
    message: Floats
    message_transposed: Floats
    message_bias: Floats
    surroundings: SurroundingsWeights


Network = TypeVar("Network", NetworkWeights, LayerWeights)


class Layer(NamedTuple, Generic[Network]):
    """One layer: its densities, how they are mixed, and the network behind them."""

    layout: Layout
    mixing: MixingWeights
    network: Network


class MixedDensities(NamedTuple):
    """Mixed densities of a block; of degrees from 1 on there are two mixtures, side by side.

    Attributes
    ----------
    scalars, vectors, tensors
        Of degree 0, (ATOMS, F), 1, (3, ATOMS, 2 F), and 2, (5, ATOMS, 2 F), flat.
    thirds, fourths
        Of degree 3, (7, ATOMS, 2 F), and 4, (9, ATOMS, 2 F), flat; empty where the model has them not.
    invariants
        Those that the perceptron is given, (ATOMS, 3 F), flat.
    features
        F.
    rows
        All of them, flat, as in `NetworkWorkspace`.
    coupling_gradient
        See `NetworkWorkspace`.
    """

    scalars: Floats
    vectors: Floats
    tensors: Floats
    thirds: Floats
    fourths: Floats
    invariants: Floats
    features: int
    rows: Floats
    coupling_gradient: Floats


class NetworkWorkspace(NamedTuple):
    """Memory for the network of a block.

    Attributes
    ----------
    rows
        Mixed densities, then invariants, (M + INVARIANTS, ATOMS F), with M of `MIXED_COUNTS`.
    activations
        Activations and their derivatives, (4, ATOMS W).
    energies
        Of the centers, kcal/mol, (ATOMS,) float64.
    coupling_gradient
        Gradient of the couplings in the mixed densities, (M ATOMS F,); empty in layers up to degree 2.
    grades
        Extrapolation grades of the centers, (ATOMS,) float64.
    coordinates, products
        Of the surroundings of the centers, (ATOMS D,), and with each representative, (ATOMS K,).
    """

    rows: Floats
    activations: Floats
    energies: Doubles
    coupling_gradient: Floats
    grades: Doubles
    coordinates: Floats
    products: Floats


class SumWorkspace(NamedTuple):
    """Memory for sums over the neighbors of a center.

    Attributes
    ----------
    transposed
        Radial functions with one row for each neighbor, (columns, padded).
    sums
        Densities of a group and channel, (harmonics, padded).
    gradient
        Gradient in the densities of a group, (C, harmonics, padded); zero where the model has no degrees.
    """

    transposed: Floats
    sums: Floats
    gradient: Floats


class Sent(NamedTuple):
    """What the neighbors send.

    Attributes
    ----------
    source
        Atom j sends row ``source[j]``, (M,).
    numbers
        (N, C).
    """

    source: Indices
    numbers: Floats


class LayerInputs(NamedTuple):
    """What a layer is given.

    Attributes
    ----------
    sent
        By the neighbors; in a first layer, which has no channels, no numbers.
    mixed, scalars
        Mixed densities (B, M ATOMS F) and scalars (B, ATOMS W) of the layer before; of no blocks in a first layer.
    """

    sent: Sent
    mixed: Floats
    scalars: Floats


class LayerOutputs(NamedTuple):
    """What a layer gives.

    Attributes
    ----------
    mixed, scalars
        Of all blocks, written, (B, M ATOMS F) and (B, ATOMS W).
    sent
        To the next layer, written, (N, C).
    energies
        Of all atoms, added to, kcal/mol, (M,).
    grades
        Extrapolation grades of the centers, written, (N,); of none where they are not asked for.
    """

    mixed: Floats
    scalars: Floats
    sent: Floats
    energies: Doubles
    grades: Doubles


class LayerGradients(NamedTuple):
    """A layer on the way back: what it gave, and the gradient of the energy in that.

    Attributes
    ----------
    received
        What was sent to this layer.
    mixed, scalars
        Mixed densities and scalars of this layer, as in `LayerOutputs`.
    on_mixed, on_scalars
        Gradient in them through all later layers; the gradient through this one is added. Messages are left out.
    on_sent
        Gradient in what this layer sent, (N, C), of no rows in the last layer.
    on_energies
        Gradient in the energies that the layers give the centers, (N,): 1, less at the floor of the energies, and 0
        for centers whose energies do not count.
    """

    received: Sent
    mixed: Floats
    scalars: Floats
    on_mixed: Floats
    on_scalars: Floats
    on_sent: Floats
    on_energies: Floats


class Forces(NamedTuple):
    """Sums to which gradients are added.

    Attributes
    ----------
    forces
        kcal/mol/angstrom, (M, 3).
    virial
        ``sum r f`` in the order xx, yy, zz, xy, xz, yz, kcal/mol, (6,).
    """

    forces: Doubles
    virial: Doubles


class Results(NamedTuple):
    """What a model of one layer gives.

    Attributes
    ----------
    energies
        Of the centers, written, kcal/mol, (M,).
    sums
        Forces and virial, added to.
    nearest
        (distance over contact distance, i, j) of the closest pair, lowered if a pair is closer, (3,).
    grades
        Extrapolation grades of the centers, written, (N,); of none where they are not asked for.
    """

    energies: Doubles
    sums: Forces
    nearest: Doubles
    grades: Doubles


class LayerResults(NamedTuple):
    """What one of several layers gives on the way back.

    Attributes
    ----------
    energies
        Of all atoms, added to in the first layer, kcal/mol, (M,).
    sums, nearest
        As in `Results`.
    on_received
        Gradient in what was sent to this layer, added to, (N, C).
    """

    energies: Doubles
    sums: Forces
    nearest: Doubles
    on_received: Floats


class PointCharges(NamedTuple):
    """Charges and where they are.

    Attributes
    ----------
    positions
        angstrom, or fractional coordinates, (N, 3) float64.
    charges
        e, (N,).
    """

    positions: Doubles
    charges: Floats


class CoulombParameters(NamedTuple):
    """What the Coulomb energy of close pairs depends on.

    Attributes
    ----------
    weight, contact
        As in `PairParameters`, (S, G).
    constant
        Coulomb constant, kcal/mol angstrom/e^2.
    cutoff, switch
        As in `PairParameters`.
    splitting
        ``a`` of the smeared charges, 1/angstrom.
    """

    weight: Doubles
    contact: Doubles
    constant: float
    cutoff: float
    switch: float
    splitting: float


class CoulombResults(NamedTuple):
    """Sums to which Coulomb energies are added.

    Attributes
    ----------
    potentials
        Derivatives of the energy by the charges, kcal/mol/e, (N,).
    sums
        Forces on the centers, (N, 3), and virial.
    """

    potentials: Doubles
    sums: Forces


class WaveVectors(NamedTuple):
    """Wave vectors ``x a + y b + z c`` of whole numbers and the reciprocal lattice a, b, c.

    Attributes
    ----------
    counts
        Largest x, y and z, (3,).
    rows
        x and ``y + counts[1]`` of each row of wave vectors, (R, 2).
    numbers
        z of each wave vector of a row, from ``-counts[2]`` up to whole vectors, (Z',).
    """

    counts: Indices
    rows: Indices
    numbers: Floats


class MeshKernel(NamedTuple):
    """What the energy of the waves on a mesh depends on.

    Attributes
    ----------
    values
        Twice the energy of a wave of amplitude one, zero at the origin, (X, Y, Z/2 + 1).
    numbers
        Of the waves along x, y and z.
    reciprocal
        Rows are the reciprocal lattice vectors, 1/angstrom, (3, 3).
    slope
        ``1 / 4 a^2``.
    even
        Whether Z is even.
    """

    values: Floats
    numbers: tuple[Floats, Floats, Floats]
    reciprocal: Doubles
    slope: float
    even: bool
