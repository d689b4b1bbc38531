import numpy as np
import pytest

from gnnformd.force_field import AtomType, ForceField
from gnnformd.trajectory.frame import Frame


@pytest.fixture(scope="session")
def water_field():
    """SPC/Fw (Wu, Tepper and Voth 2006)."""
    return ForceField(types=(AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41)))


@pytest.fixture(scope="session")
def make_water():
    """Frames of m**3 water molecules on a jittered lattice of 3.1 angstrom, with made-up targets."""

    def make(m=3, seed=0, **changes):
        rng = np.random.default_rng(seed)
        molecule = np.array([[0, 0, 0], [1.012, 0, 0], [-0.4, 0.929, 0]])
        centers = 3.1 * np.stack(np.meshgrid(*[np.arange(m)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
        positions = (centers + molecule + rng.normal(0, 0.1, (m**3, 3, 3))).reshape(-1, 3)
        atoms = len(positions)
        fields = {
            "timestep": 10 * seed,
            "cell": np.diag([3.1 * m] * 3),
            "origin": np.zeros(3),
            "periodic": (True, True, True),
            "ids": np.arange(1, atoms + 1),
            "types": np.tile([1, 2, 2], m**3),
            "positions": positions,
            "forces": rng.normal(size=(atoms, 3)),
            "energy": float(rng.normal()),
            "virial": rng.normal(size=(3, 3)),
            "bonds": np.array([[3 * k, 3 * k + h] for k in range(m**3) for h in (1, 2)]),
        }
        return Frame(**{**fields, **changes})

    return make
