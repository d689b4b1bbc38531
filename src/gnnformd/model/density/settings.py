"""Settings of the density model, as they are written under ``model:`` in a configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat

from gnnformd.model.base_settings import LONGEST_CUTOFF, NetworkSettings

__all__ = ["DensitySettings", "ScaledSettings"]


class DensitySettings(NetworkSettings):
    """Settings of the conservative, equivariant network (see `gnnformd.model.density.model.DensityModel`)."""

    kind: Literal["density"] = "density"
    cutoff: float = Field(6.0, gt=0, le=LONGEST_CUTOFF, description="Edges join atoms closer than this, angstrom.")
    layers: int = Field(
        1, ge=1, description="Message-passing layers; each one widens what an atom feels by the cutoff."
    )
    features: int = Field(48, ge=1, description="Mixed densities of each atom and degree (F).")
    width: int = Field(64, ge=1, description="Width of the hidden layers of the perceptrons.")
    l_max: int = Field(
        2, ge=0, le=4, description="Highest degree of the spherical harmonics; at most 2 in the layers after the first."
    )
    body_order: Literal[2, 3, 4] = Field(
        4, description="Atoms joined by one invariant: pairs, products of two densities, products of three."
    )
    radial_functions: int = Field(12, ge=2, description="Functions of the distance to atoms that are not bonded.")
    bonded_functions: int = Field(12, ge=2, description="Functions of the distance for each kind of bond.")
    bond_kinds: int = Field(
        3,
        ge=0,
        le=3,
        description="Kinds of bond with radial functions of their own: 1 for bonded atoms, 2 for second and 3 for "
        "third neighbors too; farther atoms, or all with 0, count as not bonded.",
    )
    channels: int | None = Field(
        None,
        ge=1,
        description="Numbers by which neighbors are told apart in the first layer; by default one per type of atom, at "
        "most sixteen (with physical node_features five).",
    )
    message_channels: int = Field(8, ge=1, description="Numbers that neighbors send in the layers after the first.")
    node_features: Literal["physical", "embedding"] = Field(
        "physical", description="Charge, epsilon and sigma of the atom, or a learned vector for each type."
    )
    electrostatics: Literal["none", "fixed", "learned"] = Field(
        "fixed",
        description="Coulomb energy of all atoms and their periodic images: none, with the charges of the data, or "
        "with charges that the network corrects.",
    )
    repulsion: NonNegativeFloat | None = Field(
        1000.0,
        description="Strength of the repulsion below the closest distances of the data, kcal/mol; none: such that "
        "atoms a tenth closer repel each other by three times the largest force in the data.",
    )

    @property
    def function_counts(self) -> list[int]:
        """Number of radial functions for atoms that are not bonded, then for each kind of bond that has its own."""
        return [self.radial_functions] + [self.bonded_functions] * self.bond_kinds


class ScaledSettings(DensitySettings):
    """Settings of density models that ``gnnformd specialize`` makes from a model for many liquids.

    They are read, not trained.
    """

    scaled_functions: int = Field(
        ge=1, description="Functions of the distance in units of sigma that all kinds of atoms share."
    )
    scaled_reach: float = Field(gt=0, description="Where these functions end, in units of sigma.")
    scaled_end: float | None = Field(
        None, gt=0, description="Where they end for all pairs, angstrom, if sooner than by their reach."
    )
