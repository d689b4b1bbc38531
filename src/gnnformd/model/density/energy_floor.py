"""EnergyFloor: how low the network's energy of an atom is in the data, and where it saturates below that."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["EnergyFloor", "saturated"]

NONE = float(torch.finfo(torch.float32).min)  # of atoms whose energies are not bounded, kcal/mol
TAIL = 0.1  # share of the atoms of a type whose energies are its lower tail
SHALLOWEST = 0.5  # kcal/mol


class EnergyFloor(nn.Module):
    """Saturation of the network's energy of an atom below those of the training data.

    ``f(e) = e`` from ``start`` on, and ``start - depth tanh((start - e)/depth)`` below. Value, first and second
    derivative are continuous. The energy of an atom is so above ``start - depth``, whatever its environment; without
    that the polynomial of densities has no lower bound.

    Parameters
    ----------
    type_count
        T.

    Attributes
    ----------
    start
        Of each type, kcal/mol, (T,); `NONE` where energies are not bounded.
    depth
        Of each type, kcal/mol, (T,).
    """

    start: Tensor
    depth: Tensor

    def __init__(self, type_count: int) -> None:
        super().__init__()
        self.register_buffer("start", torch.full((type_count,), NONE))
        self.register_buffer("depth", torch.ones(type_count))

    @torch.no_grad()
    def remove(self) -> None:
        """Bound no energies."""
        self.start.fill_(NONE)
        self.depth.fill_(1.0)

    @torch.no_grad()
    def take(self, samples: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the floor from energies of atoms in the data.

        With the lowest energy of a type, and ``w`` from there to the energy below which are a tenth of its atoms
        (2.5 standard deviations, if ten thousand energies are Gaussian), the floor starts ``w`` below the lowest, and
        is as deep. Of Gaussian energies at twice the temperature one in 200 000 is below its start. The energies of
        a type that is not in the data are not bounded.

        Parameters
        ----------
        samples
            Energies, kcal/mol, and types (from 0) of atoms.
        """
        self.remove()
        energies, types = (torch.cat(values) for values in zip(*samples, strict=True))
        for kind in torch.unique(types).tolist():
            own = energies[types == kind].double().sort().values
            lowest = own[0]
            width = (own[int(TAIL * len(own))] - lowest).clamp(min=SHALLOWEST)
            self.start[kind], self.depth[kind] = lowest - width, width

    def forward(self, energies: Tensor, types: Tensor) -> Tensor:
        """Energies of atoms from those of the network, kcal/mol, and their types, (N,)."""
        return saturated(energies, *self.of_types(types))

    def of_types(self, types: Tensor) -> tuple[Tensor, Tensor]:
        """Start and depth for atoms of these types, kcal/mol, (N,) each."""
        return self.start.index_select(0, types), self.depth.index_select(0, types)


def saturated(energies: Tensor, start: Tensor, depth: Tensor) -> Tensor:
    """See `EnergyFloor`; all kcal/mol, (N,)."""
    above = torch.maximum(energies, start)
    return above + depth * torch.tanh((energies - above) / depth)
