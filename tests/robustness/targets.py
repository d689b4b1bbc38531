"""Every reader of a file that a user may hand over, with good files to damage and what its complaints must be like."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from gnnformd.config import dump_config, load_config, preset_names
from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings, GamdSettings
from gnnformd.reference.systems import SPC_FW, SYSTEMS
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.read import read_frames

__all__ = ["TARGETS", "Target", "complaint", "damage"]


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes
    ----------
    file
        Name of the file that is damaged, in a folder of its own.
    read
        What the product does with it.
    samples
        Makes the good contents.
    words
        Pieces of text that mean something in this kind of file.
    """

    file: str
    read: Callable[[Path], object]
    samples: Callable[[Path], list[bytes]]
    words: tuple[bytes, ...]


def complaint(target: Target, folder: Path, content: bytes) -> str | None:
    """Let the product read a file; None if it does, or the sentence with which it refuses.

    Raises
    ------
    Exception
        Anything but InputError, or AssertionError where the sentence is none.
    """
    path = folder / target.file
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(path)
        except InputError as error:
            sentence = str(error)
            assert "\n" not in sentence and sentence.endswith((".", "?")), f"no sentence: {sentence!r}"
            assert str(folder) in sentence, f"names no file: {sentence!r}"
            assert re.search("; |\\?$| must be ", sentence), f"says not what to do: {sentence!r}"
            assert len(sentence) < 1000, f"too long: {sentence!r}"
            return sentence
    return None


_ANYWHERE = (
    b'0', b'-1', b'1', b'nan', b'inf', b'1e999', b'-1e-999', b'9223372036854775807', b'-9223372036854775808',
    b'18446744073709551616', b'111111111111111111111111111111',
    b'9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999',
    b'1e308', b'0x10', b'1_0', b'\xc2\xb2', b'\xff', b'\x00', b'\n', b'\r\n', b' ', b'\t', b"'", b'"', b'#', b'[',
    b']', b'{', b'}', b'((((((((((((((((((((((((((((((((((((((((((((((((((',
    b'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[',
    b':', b'-', b',', b'=', b'%s', b'\\', b'/', b'../', b'None', b'true',
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?[0-9][0-9.eE+-]*")


def damage(sample: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    """Change a file in one to four places, as an editor, a broken disk or an attacker would."""
    content = sample
    for _ in range(choose.randint(1, 4)):
        content = choose.choice(_CHANGES)(content, words, choose)[:100_000]
    return content


def _place(content: bytes, choose: random.Random) -> tuple[int, int]:
    start = choose.randint(0, len(content))
    return start, min(len(content), start + choose.choice((0, 1, 4, 8, 40, 400)))


def _cut(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    return content[: choose.randint(0, len(content))]


def _remove(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    start, stop = _place(content, choose)
    return content[:start] + content[stop:]


def _repeat(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    start, stop = _place(content, choose)
    return content[:stop] + content[start:stop] * choose.choice((1, 3, 50)) + content[stop:]


def _insert(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    start, stop = _place(content, choose)
    return content[:start] + choose.choice(words + _ANYWHERE) + content[choose.choice((start, stop)) :]


def _flip(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    if not content:
        return content
    place = choose.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << choose.randrange(8))]) + content[place + 1 :]


def _number(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return content
    found = choose.choice(numbers)
    return content[: found.start()] + choose.choice(_ANYWHERE) + content[found.end() :]


def _lines(content: bytes, words: tuple[bytes, ...], choose: random.Random) -> bytes:
    lines = content.split(b"\n")
    a, b = (choose.randrange(len(lines)) for _ in range(2))
    lines[a], lines[b] = choose.choice(((lines[b], lines[a]), (b"", lines[b]), (lines[b], lines[b])))
    return b"\n".join(lines)


_CHANGES = (_cut, _remove, _repeat, _insert, _insert, _flip, _number, _number, _lines)


def _dumps(folder: Path) -> list[bytes]:
    head = "ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n3\n"
    boxes = (
        "ITEM: BOX BOUNDS pp pp ff\n0 6.5\n0 6.5\n-1 6.5\n",
        "ITEM: BOX BOUNDS xy xz yz pp pp pp\n0 8 1\n0 7 0.5\n0 6 0.25\n",
        "ITEM: BOX BOUNDS abc origin pp pp pp\n6 0 0 0\n1 6 0 0\n0 1 6 0\n",
    )
    tables = (
        ("id mol type x y z fx fy fz", ("2 1 2 1.5 0 0 1 2 3", "1 1 1 .5 0.25 1e-1 -1 0 -2.5e0", "3 1 2 0 1 1 0 -2 0")),
        ("id element xs ys zs ix iy iz fx fy fz q", ("1 O 0.5 .1 .1 0 0 -1 1 2 3 -.82", "2 H 0 0 0 1 0 0 0 0 0 .41",
                                                     "7 H .1 .2 .3 0 0 0 3 2 1 .41")),
    )  # fmt: skip
    return [
        "".join(
            ("ITEM: UNITS\nreal\nITEM: TIME\n0.5\n" if step == 0 and k else "")
            + head.format(step=step) + box + f"ITEM: ATOMS {columns}\n" + "\n".join(rows) + "\n"
            for step in (0, 10)
        ).encode()
        for k, box in enumerate(boxes)
        for columns, rows in tables
    ]  # fmt: skip


def _data_files(folder: Path) -> list[bytes]:
    full = """LAMMPS data file via write_data, version 22 Jul 2025, units = real

3 atoms
2 atom types
2 bonds
1 bond types
1 angles
1 angle types

0 6.5 xlo xhi
0 6.5 ylo yhi
0 6.5 zlo zhi

Masses

1 15.9994
2 1.008

Atoms # full

1 1 1 -0.82 0.5 0.25 0.1 0 0 0
2 1 2 0.41 1.5 0 0 0 0 0
3 1 2 0.41 0 1 1 0 0 0

Bonds

1 1 1 2
2 1 1 3

Angles

1 1 2 1 3
"""
    atomic = """title

2 atoms
1 atom types
0 5 xlo xhi
0 5 ylo yhi
0 5 zlo zhi
1 0 0.5 xy xz yz

Atom Type Labels

1 Ar

Atoms

1 Ar 0 0 0
2 Ar 1 2 3
"""
    return [full.encode(), atomic.encode()]


def _extxyz(folder: Path) -> list[bytes]:
    frame = (
        '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="T T F" '
        'stress="1 0 0 0 2 0 0 0 3"\nAr 0 0 0 0 0 1\nHe 1 1.5 1 0 0 -1\n'
    )
    return [
        frame.encode() * 2,
        b'1\nProperties=species:S:1:pos:R:3:forces:R:3 virial="1 0 0 0 1 0 0 0 1"\nAr 0 0 0 0 0 0\n',
    ]


def _configs(folder: Path) -> list[bytes]:
    return [dump_config(load_config(name)).encode() for name in preset_names()]


def _force_fields(folder: Path) -> list[bytes]:
    return [yaml.safe_dump(SYSTEMS[name].force_field.to_dict()).encode() for name in ("argon", "water")]


def _models(folder: Path) -> list[bytes]:
    contents = []
    for settings in (GamdSettings(width=2, layers=1), DensitySettings(features=2, width=2, l_max=1)):
        torch.manual_seed(0)
        save_model(folder / "good.safetensors", build_model(settings, 2), ModelCard(settings, ("O", "H"), SPC_FW))
        contents.append((folder / "good.safetensors").read_bytes())
    return contents


def _thermo_tables(folder: Path) -> list[bytes]:
    run = folder / "trajectory.dump"
    run.write_bytes(_dumps(folder)[0])
    return [b"step,temperature_K,potential_energy\n0,300,-2\n10,310,-3e0\n"]


def _packs(folder: Path) -> list[bytes]:
    (folder / "water.dump").write_bytes(_dumps(folder)[0])
    pack = open_dataset(folder / "water.dump", cache=folder / "packs").folder
    for path in pack.iterdir():
        path.rename(folder / path.name)
    return [(folder / name).read_bytes() for name in ("pack.json",)]


TARGETS = {
    "dump": Target(
        "water.dump",
        lambda path: list(read_frames(path)),
        _dumps,
        (
            b'ITEM: ', b'ITEM: TIMESTEP\n', b'ITEM: NUMBER OF ATOMS\n', b'ITEM: UNITS\nmetal\n',
            b'ITEM: ATOMS id type x y z\n', b'element', b'ix iy iz', b'xs', b'pp pp pp',
        ),
    ),
    "data file": Target(
        "topology.data",
        read_topology,
        _data_files,
        (
            b'\nAtoms # charge\n\n', b'\nBonds\n\n', b'atoms', b'atom types', b'xlo xhi', b'\nMasses\n\n', b'avec',
            b'Atom Type Labels',
        ),
    ),
    "extxyz": Target(
        "frames.xyz",
        lambda path: list(read_frames(path)),
        _extxyz,
        (
            b'Lattice=', b'Properties=', b'species:S:1', b'pos:R:3', b'pos:I:3', b':R:0', b'forces:R:9', b'pbc=',
            b'energy=', b'stress=', b'virial=', b'_JSON {', b'T',
        ),
    ),
    "config": Target(
        "my.yaml",
        load_config,
        _configs,
        (
            b'model:\n', b'kind: density', b'kind: gamd', b'training: {', b'&a ', b'*a',
            b'!!python/name:os.system', b'!!binary ', b'<<: ', b'? ', b'|\n', b'2001-01-01', b'1:30', b'---\n',
            b'%YAML 1.1\n',
        ),
    ),
    "force field": Target(
        "field.yaml",
        ForceField.from_yaml,
        _force_fields,
        (
            b'types:\n', b'- {name: O, mass: 1}\n', b'&a ', b'*a', b'!!set ', b'mass: ', b'bonds: [', b'? ',
            b'.nan', b'---\n',
        ),
    ),
    "model": Target(
        "model.safetensors",
        load_model,
        _models,
        (
            b'"F64"', b'"F32"', b'"BF16"', b'"shape":[', b'"data_offsets":[', b'"__metadata__":{', b'\\"kind\\": ',
            b'\\"layers\\": ', b'\\"width\\": ', b'\\"cutoff\\": ', b'\x80\x04', b'PK\x03\x04',
            b'\x00\x00\x00\x00\x00\x00\x00\x7f',
        ),
    ),
    "thermo table": Target(
        "thermo.csv",
        lambda path: list(read_frames(path.parent)),
        _thermo_tables,
        (
            b'step', b'potential_energy', b',', b'"',
        ),
    ),
    "pack": Target(
        "pack.json",
        lambda path: list(open_dataset(path.parent)),
        _packs,
        (b'"sources"', b"null", b'"force_field": '),
    ),
}  # fmt: skip
