"""Files as people have them: other line ends, a missing last one, byte order marks, names of atoms, ids with gaps."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.graph.type_matching import KnownTypes, match_types
from gnnformd.trajectory.elements import ElementTypes
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.read import read_frames

DUMP = """ITEM: UNITS
real
ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS pp pp pp
0 10
0 11
0 12
ITEM: ATOMS id element x y z fx fy fz
70 H 1 2 3 0.5 0 0
5 O 4 5 6 -0.75 0 1e-12
1000000 H 7 8 9 0.25 0 1.25E6
"""
EXTXYZ = """3
Lattice="10 0 0 0 11 0 0 0 12" Properties=species:S:1:pos:R:3:forces:R:3 energy=-2.5 units=real pbc="T T T"
O 4 5 6 -0.75 0 1e-12
H 1 2 3 0.5 0 0
H 7 8 9 0.25 0 1.25E6
"""
DATA = """three atoms

3 atoms
2 atom types
0 10 xlo xhi
0 11 ylo yhi
0 12 zlo zhi

Masses

1 15.9994 # O
2 1.008 # H

Atoms # atomic

70 2 1 2 3
5 1 4 5 6
1000000 2 7 8 9
"""
LINE_ENDS = {"unix": "\n", "windows": "\r\n"}


def only(path: Path) -> Frame:
    (frame,) = read_frames(path, elements=ElementTypes(("O", "H")))
    return frame


def written(path: Path, text: str, end: str, *, last: bool = True) -> Path:
    text = text if last else text.removesuffix("\n")
    path.write_bytes(text.replace("\n", end).encode())
    return path


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("last", [True, False], ids=["", "no last line end"])
def test_a_dump_with_ids_with_gaps_and_forces_of_every_size(tmp_path: Path, end: str, last: bool) -> None:
    path = written(tmp_path / "t.dump", DUMP.format(step=0) + DUMP.format(step=9223372036854775807), end, last=last)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = list(read_frames(path, elements=ElementTypes(("O", "H"))))
    assert len(frames) == 2 or (not last and len(frames) == 1 and "ends inside a frame" in str(caught[-1].message))
    assert [f.timestep for f in frames] == [0, 9223372036854775807][: len(frames)]
    for frame in frames:
        assert frame.ids.tolist() == [5, 70, 1000000]
        assert frame.types.tolist() == [1, 2, 2]
        assert frame.forces.tolist() == [[-0.75, 0, 1e-12], [0.5, 0, 0], [0.25, 0, 1.25e6]]


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_extended_xyz_with_any_line_ends(tmp_path: Path, end: str) -> None:
    frame = only(written(tmp_path / "t.xyz", EXTXYZ, end))
    assert frame.forces.tolist() == [[-0.75, 0, 1e-12], [0.5, 0, 0], [0.25, 0, 1.25e6]]
    assert (frame.energy, frame.cell.diagonal().tolist()) == (-2.5, [10, 11, 12])


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("last", [True, False], ids=["", "no last line end"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_a_data_file_with_any_line_ends(tmp_path: Path, end: str, last: bool, mark: bytes) -> None:
    path = written(tmp_path / "t.data", DATA, end, last=last)
    path.write_bytes(mark + path.read_bytes())
    topology = read_topology(path)
    assert topology.ids.tolist() == [5, 70, 1000000]
    assert topology.positions[2].tolist() == [7, 8, 9]
    assert topology.type_names == ("O", "H")


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("last", [True, False], ids=["", "no last line end"])
def test_a_folder_of_deepmd_with_any_line_ends(tmp_path: Path, end: str, last: bool) -> None:
    (tmp_path / "d" / "set.000").mkdir(parents=True)
    written(tmp_path / "d" / "type.raw", "0\n1\n1\n", end, last=last)
    written(tmp_path / "d" / "type_map.raw", "O\nH\n", end, last=last)
    for name in ("coord", "box", "force"):
        np.save(tmp_path / "d" / "set.000" / f"{name}.npy", np.eye(3).reshape(1, 9))
    assert only(tmp_path / "d").types.tolist() == [1, 2, 2]


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_a_force_field_with_any_line_ends(tmp_path: Path, end: str, mark: bytes) -> None:
    text = yaml.safe_dump({"types": [{"name": "O", "mass": 15.9994}, {"name": "H", "mass": 1.008}]})
    path = written(tmp_path / "f.yaml", text, end, last=False)
    path.write_bytes(mark + path.read_bytes())
    assert ForceField.from_yaml(path).names == ("O", "H")


def test_deuterium_is_refused_or_matched_by_name_never_by_accident(tmp_path: Path) -> None:
    path = written(tmp_path / "t.xyz", EXTXYZ.replace("\nH ", "\nD "), "\n")
    with pytest.raises(InputError, match=r"'D' is not a chemical element; .* \(H for deuterium\)"):
        only(path)
    path = written(tmp_path / "t.dump", DUMP.format(step=0).replace(" H ", " D "), "\n")
    with pytest.raises(InputError, match=r"element D is not one of O, H"):
        only(path)
    elements = ElementTypes()
    (frame,) = read_frames(path, elements=elements)
    assert elements.names == ("O", "D")
    model = KnownTypes.of_names("the model", ("O", "H"))
    with pytest.raises(InputError, match="D"):
        match_types(KnownTypes.of_names(path, elements.names), model, np.unique(frame.types).tolist())
    labels = DATA.replace("# H", "# D").replace("1.008", "2.014")
    topology = read_topology(written(tmp_path / "t.data", labels, "\n"))
    with pytest.raises(InputError, match="D"):
        match_types(KnownTypes.of_topology("t.data", topology), model, [1, 2])


def test_labels_are_no_elements(tmp_path: Path) -> None:
    path = written(tmp_path / "t.xyz", EXTXYZ.replace("\nO ", "\nO1 "), "\n")
    with pytest.raises(InputError, match="'O1' is not a chemical element; write the symbol of an element instead"):
        only(path)
    path = written(tmp_path / "t.dump", DUMP.format(step=0).replace(" O ", " O1 "), "\n")
    with pytest.raises(InputError, match=r"element O1 is not one of O, H"):
        only(path)


def test_a_step_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    for name, text in (("t.dump", DUMP.format(step=2**63)), ("t.xyz", EXTXYZ.replace("units", f"step={2**63} units"))):
        with pytest.raises(InputError, match=r"9\.?22337203685477.*(larger than any|2\^63)"):
            only(written(tmp_path / name, text, "\n"))


def test_a_step_of_19_digits_is_kept_to_the_last(tmp_path: Path) -> None:
    frame = only(written(tmp_path / "t.xyz", EXTXYZ.replace("units", "step=1234567890123456789 units"), "\n"))
    assert frame.timestep == 1234567890123456789
