from dataclasses import replace

import numpy as np
import pytest

from gnnformd.simulation.ase.dump_file import write_dump_frame
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.frame import Frame


@pytest.mark.parametrize(
    "cell",
    [np.diag([9.0, 10.0, 11.0]), np.array([[9.0, 0, 0], [2.0, 10, 0], [-3.0, 1.5, 11]])],
    ids=["orthogonal", "tilted"],
)
def test_what_is_written_is_read_back_to_the_last_digit(tmp_path, cell):
    rng = np.random.default_rng(1)
    frame = Frame(
        timestep=7,
        cell=cell,
        origin=np.array([-1.0, 0.25, 3.0]),
        periodic=(True, True, True),
        ids=np.array([2, 5, 9]),
        types=np.array([1, 2, 1]),
        positions=rng.normal(size=(3, 3)) * 10,
        forces=rng.normal(size=(3, 3)) * 100,
        molecule_ids=np.array([1, 1, 2]),
        velocities=rng.normal(size=(3, 3)),
    )
    path = tmp_path / "t.dump"
    with path.open("w") as file:
        write_dump_frame(file, frame)
        write_dump_frame(file, replace(frame, timestep=8))
    first, second = read_dump(path)
    assert (first.timestep, second.timestep) == (7, 8)
    assert np.allclose(first.cell, cell, rtol=0, atol=1e-14)
    assert np.allclose(first.origin, frame.origin, rtol=0, atol=1e-14)
    for name in ("ids", "types", "positions", "forces", "molecule_ids", "velocities"):
        assert (getattr(first, name) == getattr(frame, name)).all(), name


def test_a_frame_without_forces_is_refused(tmp_path):
    frame = Frame(0, np.eye(3), np.zeros(3), (True,) * 3, np.array([1]), np.array([1]), np.zeros((1, 3)))
    with (tmp_path / "t.dump").open("w") as file, pytest.raises(ValueError, match="without forces"):
        write_dump_frame(file, frame)
