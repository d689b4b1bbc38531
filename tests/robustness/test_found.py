"""What the fuzzers found, each kept as it was found: none may crash, hang, fill the memory or be read as data."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.packed.pack import FORMAT_VERSION
from gnnformd.trajectory.read import read_frames

HEAD = (
    "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{count}\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
    "ITEM: ATOMS {columns}\n"
)
FRAME = '{count}\nLattice="4 0 0 0 4 0 0 0 4" Properties={properties} {more}\nAr 0 0 0 0 0 1\n'
DATA = "x\n\n1 atoms\n{types} atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\n{sections}Atoms\n\n1 1 0 0 0\n"
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def dump(folder: Path, rows: list[str], columns: str = "id type x y z", count: int | None = None) -> Path:
    path = folder / "water.dump"
    text = HEAD.format(count=len(rows) if count is None else count, columns=columns)
    path.write_text(text + "".join(f"{row}\n" for row in rows))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(read_frames(path, require_forces=False))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_ids_as_far_apart_as_numbers_can_be_are_sorted(tmp_path: Path) -> None:
    """Their difference is no 64-bit number; a row was once placed outside the array."""
    path = dump(tmp_path, [f"{HIGHEST} 1 1 1 1", f"{LOWEST} 2 2 2 2", "0 3 3 3 3"])
    (frame,) = read_frames(path, require_forces=False)
    assert frame.ids.tolist() == [LOWEST, 0, HIGHEST] and frame.types.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(frame.positions[:, 0], [2, 3, 1])


def test_a_number_of_atoms_that_the_file_cannot_hold_takes_no_memory(tmp_path: Path) -> None:
    path = dump(tmp_path, ["1 1 1 1 1"], count=10**11)
    tracemalloc.start()
    with pytest.warns(UserWarning, match="ends inside a frame"), pytest.raises(InputError, match="no complete frame"):
        list(read_frames(path, require_forces=False))
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


def test_positions_that_become_infinite_are_refused(tmp_path: Path) -> None:
    path = dump(tmp_path, ["1 1 1e308 0 0"], columns="id type xs ys zs")
    assert "line 9: a number of this frame is too large" in refusal(path)


def test_a_box_too_large_for_numbers_is_refused(tmp_path: Path) -> None:
    path = dump(tmp_path, ["1 1 1 1 1"])
    path.write_text(path.read_text().replace("0 9\n", "-1e308 1e308\n"))
    assert "the volume of the box is zero or not finite" in refusal(path)


@pytest.mark.parametrize(
    ("count", "properties", "more"),
    [
        ("1", "species:S:1:pos:R:9223372036854775807:forces:R:3", ""),
        ("1", "species:S:1:pos:R:3:forces:R:18446744073709551616", ""),
        ("1", "species:S:1:pos:R:3:forces:R:3", 'step="_JSON {}"'),
        ("1", "species:S:1:pos:R:3:forces:R:3", "step=1e999"),
        ("1", "species:S:1:pos:R:3:forces:R:3", "energy=low"),
        ("1", "species:S:1:pos:R:3:forces:R:3", 'stress="1 2 3"'),
        ("1", "species:S:1:velo:R:3:forces:R:3", ""),
        ("1", "name:S:1:pos:R:3:forces:R:3", ""),
        ("²", "species:S:1:pos:R:3:forces:R:3", ""),
        ("9" * 5000, "species:S:1:pos:R:3:forces:R:3", ""),
    ],
)
def test_an_extxyz_frame_that_cannot_be_is_refused(tmp_path: Path, count: str, properties: str, more: str) -> None:
    path = tmp_path / "frames.xyz"
    path.write_text("1\n\nAr 0 0 0\n" + FRAME.format(count=count, properties=properties, more=more))
    assert "line 4: " in refusal(path)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "frames.xyz"
    path.write_bytes(b"1\n" + b"x" * 10_000_000)
    tracemalloc.start()
    assert "line 1: a line of this frame is too long" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("types", "sections", "sentence"),
    [
        ("1", "Atom Type Labels\n\n1\n\n", r"line 11: is not the number and the name of an atom type"),
        ("1", "Atom Type Labels\n\none Ar\n\n", r"line 11: 'one Ar' has no whole number as word 1"),
        ("1000000000000000000", "Masses\n\n1 39.9\n\n", r"line 11: 'Masses' does not list every atom type once"),
        ("1" * 30, "", r"line 4: '1{30}' has no whole number as word 1"),
        ("1_0", "", r"line 4: '1_0 atom types' is not a header line"),
    ],
)
def test_a_data_file_that_cannot_be_is_refused(tmp_path: Path, types: str, sections: str, sentence: str) -> None:
    path = tmp_path / "topology.data"
    path.write_text(DATA.format(types=types, sections=sections))
    with pytest.raises(InputError, match=sentence):
        read_topology(path)


def test_a_table_of_energies_that_is_no_text_is_refused(tmp_path: Path) -> None:
    dump(tmp_path, ["1 1 1 1 1"]).rename(tmp_path / "trajectory.dump")
    for content in (
        b"step,potential_energy\n\xff,1\n",
        b"step,potential_energy\n0,1\n1\x00,2\n",
        b"step,potential_energy\n0,\n",
    ):
        (tmp_path / "thermo.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"thermo\.csv, line [0-3]: is not a complete row of numbers"):
            list(read_frames(tmp_path, require_forces=False))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    rows = ["1 1 1 1 1 0 0 1", "2 2 4 4 4 0 0 -1"]
    return open_dataset(dump(tmp_path, rows, "id type x y z fx fy fz"), cache=tmp_path / "packs").folder


def change(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("positions", np.zeros((3, 3))),
        ("positions", np.zeros((2, 4))),
        ("forces", np.zeros((2, 3), dtype=np.float32)),
        ("forces", np.asfortranarray(np.zeros((2, 3)))),
        ("frame_starts", np.array([0, 10**15])),
        ("frame_starts", np.array([2, 0])),
        ("label", np.array([1])),
        ("label", np.array([-1])),
        ("types_starts", np.array([0, 3])),
        ("energies", np.zeros(2)),
        ("cells", np.zeros(())),
        ("types", np.array([print, print])),
    ],
)
def test_a_pack_whose_arrays_do_not_fit_is_refused(pack: Path, name: str, array: np.ndarray) -> None:
    change(pack / f"{name}.npy", array)
    with pytest.raises(InputError, match=r"the packed dataset is damaged \(.*\); delete the folder"):
        open_dataset(pack)


@pytest.mark.parametrize("name", ["positions", "timesteps"])
def test_a_pack_with_an_array_cut_short_is_refused_without_memory_for_it(pack: Path, name: str) -> None:
    path = pack / f"{name}.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(InputError, match=f"{name}.npy is truncated"):
        open_dataset(pack)
    path.write_bytes(content.replace(b"'shape': (", b"'shape': (9999999999", 1))
    with pytest.raises(InputError, match=f"{name}.npy"):
        open_dataset(pack)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"path"', '"place"'),
        ('"sources": [', '"sources": [3, '),
        ('"force_field": null', '"force_field": 3'),
        ('"topology": null', '"topology": []'),
        (f'"format_version": {FORMAT_VERSION}', '"format_version": ' + "[" * 10_000),
    ],
)
def test_a_pack_with_a_wrong_description_is_refused(pack: Path, good: str, bad: str) -> None:
    path = pack / "pack.json"
    assert good in path.read_text()
    path.write_text(path.read_text().replace(good, bad))
    with pytest.raises(InputError, match=r"pack\.json: is not the description of a packed dataset"):
        open_dataset(pack)
