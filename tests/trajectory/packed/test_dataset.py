from __future__ import annotations

import dataclasses
import gc
import json
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.type_matching import KnownTypes, match_types
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.packed.dataset import PackedDataset, common_units, open_dataset, open_datasets
from gnnformd.trajectory.read import read_frames
from gnnformd.trajectory.settings import DataSettings

WATER = ForceField((AtomType("O", 15.9994, -0.82, 0.155, 3.165), AtomType("H", 1.008, 0.41)))


def assert_same(a: Frame, b: Frame) -> None:
    for field in dataclasses.fields(Frame):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert (x is None) == (y is None), field.name
        if x is not None:
            np.testing.assert_array_equal(x, y, strict=isinstance(x, np.ndarray), err_msg=field.name)


@pytest.fixture
def extxyz(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.xyz"
    path.write_text(
        '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=1 stress="1 0 0 0 2 0 0 0 3"\n'
        "Ar 0 0 0 0 0 0\n"
        '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 pbc="F F T"\n'
        "Ar 0 0 0 0 0 0\nHe 1 1 1 0 0 0\n"
    )
    return path


def test_a_pack_gives_back_the_frames_of_the_files(write_dump) -> None:
    path = write_dump(columns="id mol type q x y z fx fy fz", frames=5)
    dataset = open_dataset(path)
    assert len(dataset) == 5
    for packed, frame in zip(dataset, read_frames(path), strict=True):
        assert_same(packed, frame)
    assert_same(dataset[-1], dataset[4])
    assert [f.timestep for f in dataset[1:3]] == [10, 20]
    with pytest.raises(IndexError):
        dataset[5]
    assert dataset.path == path and dataset.source_names == ("water.dump",)
    assert (dataset.atom_count, dataset.type_count) == (6, 2)
    assert dataset.force_field is None and dataset.type_names is None and dataset.topology is None


def test_frames_of_different_size_energy_and_virial_are_kept(extxyz: Path) -> None:
    dataset = open_dataset(extxyz)
    for packed, frame in zip(dataset, read_frames(extxyz), strict=True):
        assert_same(packed, frame)
    assert dataset.atom_counts.tolist() == [1, 2] and dataset.atom_count == 2
    assert dataset[0].virial is not None and dataset[1].energy is None
    assert dataset.type_names == ("Ar", "He")


def test_frames_with_the_same_bonds_share_one_array(write_dump) -> None:
    dataset = open_dataset(write_dump())
    assert dataset[0].bonds is dataset[2].bonds
    assert dataset[0].types is dataset[1].types


def test_arrays_are_read_only_views_of_the_file(write_dump) -> None:
    frame = open_dataset(write_dump())[0]
    with pytest.raises(ValueError, match="read-only"):
        frame.positions[0, 0] = 1.0


def test_a_pack_is_built_once_and_again_when_the_data_changes(write_dump, tmp_path: Path) -> None:
    path = write_dump(frames=3)
    first = open_dataset(path)
    stamp = (first.folder / "pack.json").stat().st_mtime_ns
    assert open_dataset(path).folder == first.folder
    assert (first.folder / "pack.json").stat().st_mtime_ns == stamp
    write_dump(frames=4)
    second = open_dataset(path)
    assert len(second) == 4
    assert not first.folder.exists(), "the stale pack is removed"
    assert [p.name for p in (tmp_path / ".gnnformd-cache").iterdir()] == [second.folder.name]


def test_a_change_that_keeps_the_size_is_noticed(write_dump) -> None:
    path = write_dump(atoms=1, frames=1, columns="id type x y z fx fy fz", rows=["1 1 1 0 0 0 0 0"])
    assert open_dataset(path)[0].positions[0, 0] == 1
    times = path.stat()
    path.write_text(path.read_text().replace("1 1 1 0", "1 1 2 0"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert open_dataset(path)[0].positions[0, 0] == 2


def test_a_changed_topology_or_force_field_gives_another_pack(write_dump) -> None:
    path = write_dump()
    plain = open_dataset(path)
    with_field = open_dataset(path, force_field=WATER)
    assert with_field.force_field == WATER and with_field.type_names == ("O", "H")
    assert plain.folder != with_field.folder
    assert open_dataset(path).folder == plain.folder, "both are kept"


def test_a_force_field_file_is_read_and_names_the_elements(write_dump, tmp_path: Path) -> None:
    import yaml

    (tmp_path / "field.yaml").write_text(yaml.safe_dump(WATER.to_dict()))
    path = write_dump(columns="id element x y z fx fy fz")
    assert open_dataset(path).type_names == ("H", "O")
    named = open_dataset(path, force_field=tmp_path / "field.yaml")
    assert named.type_names == ("O", "H") and named[0].types.tolist() == [1, 2, 2, 1, 2, 2]
    assert open_dataset(path, elements=["O", "C", "H"])[0].types.tolist() == [1, 3, 3, 1, 3, 3]


def test_a_dataset_travels_to_other_processes_by_name(write_dump) -> None:
    dataset = open_dataset(write_dump(frames=30, atoms=300))
    message = pickle.dumps(dataset)
    assert len(message) < 2000
    copy = pickle.loads(message)
    assert copy.path == dataset.path
    assert_same(copy[7], dataset[7])


def test_a_pack_can_be_opened_itself_and_moved(write_dump, tmp_path: Path) -> None:
    dataset = open_dataset(write_dump(), cache=tmp_path / "packs")
    moved = dataset.folder.rename(tmp_path / "moved")
    assert_same(open_dataset(moved)[1], next(iter(list(read_frames(tmp_path / "water.dump"))[1:])))


def test_a_folder_that_cannot_be_written_sends_packs_home(write_dump, tmp_path: Path, monkeypatch) -> None:
    path = write_dump()
    (tmp_path / ".gnnformd-cache").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    dataset = open_dataset(path)
    assert dataset.folder.parent == tmp_path / "home" / "gnnformd"
    assert open_dataset(path).folder == dataset.folder
    with pytest.raises(InputError, match="cannot be made"):
        open_dataset(path, cache=tmp_path / ".gnnformd-cache")


def test_nothing_is_left_where_the_data_is_wrong(write_dump, tmp_path: Path) -> None:
    path = write_dump()
    path.write_text(path.read_text() + "rubbish\n")
    with pytest.raises(InputError, match="rubbish"):
        open_dataset(path)
    assert list((tmp_path / ".gnnformd-cache").iterdir()) == []


def test_what_a_killed_process_left_is_removed_also_where_its_pack_is_complete(write_dump, tmp_path: Path) -> None:
    path = write_dump()
    folder = open_dataset(path).folder
    for name in (folder.name, f"{folder.name.rpartition('-')[0]}-0123456789"):  # of now, and of earlier contents
        (folder.parent / f".{name}.work-abc").mkdir()
    (folder.parent / f".other.dump-{folder.name}.work-abc").mkdir()
    assert open_dataset(path).folder == folder
    left = [entry.name for entry in folder.parent.iterdir() if entry.name.startswith(".")]
    assert [name for name in left if ".work-" in name] == [f".other.dump-{folder.name}.work-abc"]


def test_data_without_forces_is_refused(write_dump) -> None:
    with pytest.raises(InputError, match="the forces are missing"):
        open_dataset(write_dump(columns="id type x y z"))


def test_a_pack_of_another_version_or_a_damaged_one_is_refused(write_dump) -> None:
    dataset = open_dataset(write_dump())
    manifest = dataset.folder / "pack.json"
    text = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(text), "format_version": 99}))
    with pytest.raises(InputError, match=r"format version 99"):
        PackedDataset(dataset.folder)
    manifest.write_text(text)
    (dataset.folder / "positions.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="damaged"):
        PackedDataset(dataset.folder)


def test_every_folder_of_a_pattern_is_a_dataset_and_files_are_one(write_dump, tmp_path: Path) -> None:
    for k in (1, 2):
        (tmp_path / f"run-{k}").mkdir()
        write_dump(frames=k).rename(tmp_path / f"run-{k}" / "trajectory.dump")
        write_dump(f"part-{k}.dump", frames=k)
    settings = DataSettings(paths=[str(tmp_path / "run-*"), str(tmp_path / "part-*.dump")])
    assert [len(d) for d in open_datasets(settings)] == [1, 2, 3]
    with pytest.raises(InputError, match="no data given"):
        open_datasets(DataSettings())


def test_runs_with_different_force_fields_are_not_mixed(write_dump, tmp_path: Path) -> None:
    import yaml

    other = ForceField((AtomType("Ar", 39.948, 0.0, 0.2378, 3.405),))
    for name, field in (("a", WATER), ("b", other)):
        (tmp_path / name).mkdir()
        write_dump().rename(tmp_path / name / "trajectory.dump")
        (tmp_path / name / "reference.yaml").write_text(yaml.safe_dump({"force_field": field.to_dict()}))
    assert open_dataset(tmp_path / "a").force_field == WATER
    with pytest.raises(InputError, match="force field differs"):
        open_dataset([tmp_path / "a", tmp_path / "b"])


def test_packing_takes_no_more_memory_for_a_longer_file(write_dump, tmp_path: Path) -> None:
    part = write_dump("part.dump", frames=10, atoms=300).read_bytes()
    peaks = []
    for copies in (2, 20):
        path = tmp_path / f"{copies}.dump"
        path.write_bytes(part * copies)
        next(read_frames(path))
        gc.collect()
        tracemalloc.start()
        open_dataset(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 150_000


def test_reading_takes_hardly_more_memory_where_charges_change_with_each_frame(write_dump) -> None:
    peaks = []
    for frames in (10, 100):
        folder = open_dataset(
            write_dump(f"{frames}.dump", frames=frames, atoms=300, columns="id mol type q x y z fx fy fz")
        ).folder
        gc.collect()
        tracemalloc.start()
        dataset = PackedDataset(folder)
        assert len({frame.charges.tobytes() for frame in dataset[:3]}) == 3
        assert sum(len(frame.ids) for frame in dataset) == 300 * frames
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000  # 90 frames are 1.2 million bytes of ids, types, charges and bonds


def test_a_real_reference_run_is_packed_with_its_force_field(tmp_path: Path) -> None:
    from gnnformd.reference.generate import generate

    run = generate("argon", tmp_path / "argon", frames=2, variables={"equilibration": "10"})
    dataset = open_dataset(run.folder)
    assert dataset.force_field == run.force_field and dataset.type_names == ("Ar",)
    assert dataset.topology is not None and len(dataset.topology.ids) == 400
    assert all(frame.energy is not None for frame in dataset)
    total = np.abs(dataset[0].forces.sum(axis=0)) if dataset[0].forces is not None else None
    assert total is not None and total.max() < 1e-9, "Newton's third law"


@pytest.mark.parametrize(
    ("masses", "names", "units"),
    [
        (("22.98977", "35.453"), ("Na", "Cl"), "metal"),
        (("22.98977 # Na+", "100.0"), ("Na+", "2"), "metal"),
        (("16.043", "15.9994"), ("1", "O"), "real"),
        (("100.0", "101.0"), None, "real"),
    ],
)
def test_types_are_named_by_the_data_file_and_units_are_kept(tmp_path: Path, masses, names, units) -> None:
    box = "".join(f"0 9 {axis}lo {axis}hi\n" for axis in "xyz")
    (tmp_path / "topology.data").write_text(
        f"salt\n\n2 atoms\n2 atom types\n{box}\nMasses\n\n1 {masses[0]}\n2 {masses[1]}\n\n"
        "Atoms # atomic\n\n1 1 0 0 0\n2 2 3 0 0\n"
    )
    (tmp_path / "salt.dump").write_text(
        f"ITEM: UNITS\n{units}\nITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
        "ITEM: ATOMS id type x y z fx fy fz\n1 1 0 0 0 1 0 0\n2 2 3 0 0 -1 0 0\n"
    )
    dataset = open_dataset(tmp_path / "salt.dump", topology=tmp_path / "topology.data", cache=tmp_path / "cache")
    assert dataset.type_names == names
    assert dataset.units == common_units([dataset]) == units
    assert (dataset.has_energies, dataset.has_virials) == (False, False)
    known = KnownTypes.of_dataset(dataset)
    assert [kind.mass for kind in known.types] == [float(mass.split()[0]) for mass in masses]
    if masses[0] == "16.043":  # CH4 is not the oxygen that it nearly weighs
        oxygen = KnownTypes.of_names("model", ("O",))
        with pytest.raises(InputError, match="its atom types are 1"):
            match_types(KnownTypes(known.source, known.types[:1]), oxygen, [1])


def test_compositions_are_the_same_in_files_with_other_types_and_for_copies_of_a_box(tmp_path: Path) -> None:
    frame = "{}\nProperties=species:S:1:pos:R:3:forces:R:3\n"
    rows = {name: f"{name} 0 0 {k} 0 0 0\n" for k, name in enumerate("HCO")}
    (tmp_path / "a.xyz").write_text(frame.format(2) + rows["H"] + rows["C"])
    (tmp_path / "b.xyz").write_text(
        frame.format(4) + rows["C"] * 2 + rows["H"] * 2 + frame.format(3) + rows["H"] + rows["C"] + rows["O"]
    )
    (one,), (same, other) = (open_dataset(tmp_path / name).compositions for name in ("a.xyz", "b.xyz"))
    assert one == same == {("H", 1), ("C", 1)} and other == {("H", 1), ("C", 1), ("O", 1)}
