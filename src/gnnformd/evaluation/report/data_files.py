"""Data that a model of a report can be evaluated on, or that a simulation can start from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gnnformd.errors import InputError
from gnnformd.evaluation.liquid.thermo_table import ThermoSeries
from gnnformd.evaluation.report.files import ResultFolder, TrainingRun
from gnnformd.trajectory.paths import matching_files
from gnnformd.yaml_files import read_mapping

__all__ = ["DEFAULTS", "KnownData", "all_there", "data_of"]

XYZ = (".xyz", ".extxyz")
MAX_BYTES = 100_000_000

DEFAULTS: Mapping[str, Any] = {
    "engine": "lammps",
    "ensemble": "nvt",
    "temperature": 300.0,
    "pressure": 1.0,
    "barostat": "iso",
    "timestep": 1.0,
    "steps": 1000,
    "dump_every": 10,
    "seed": 1,
    "ranks": 1,
    "velocities": "create",
    "guard": "warn",
}
"""Options of ``simulate`` that need not be given."""


@dataclass(frozen=True)
class KnownData:
    """Data that are there.

    Attributes
    ----------
    path
        As a command takes it.
    options
        What ``evaluate`` and ``predict`` need to read them.
    topology
        LAMMPS data file of the system, or None.
    trained_on
        Whether the model was trained on them.
    """

    path: Path
    options: tuple[str, ...] = ()
    topology: Path | None = None
    trained_on: bool = False

    def start(self) -> list[str] | None:
        """Words of ``simulate`` that start from these data; None where they have no file to start from."""
        if (self.path / "reference.yaml").is_file() and (self.path / "topology.data").is_file():
            return [str(self.path / "topology.data"), "--compare", str(self.path), *self._conditions()]
        if self.topology is not None and self.topology.is_file():
            return [str(self.topology)]
        return [str(self.path)] if self.path.suffix in XYZ and _periodic(self.path) else None

    def _conditions(self) -> list[str]:
        """Temperature and timestep of a reference run, where they are not those of ``simulate`` without options."""
        words = []
        heat = ThermoSeries.read(self.path / "thermo.csv").columns.get("temperature_K", np.empty(0))
        heat = heat[np.isfinite(heat)]
        if len(heat) and heat.mean() >= 1.0 and float(f"{heat.mean():.3g}") != DEFAULTS["temperature"]:
            words += ["--temperature", f"{heat.mean():.3g}"]
        timestep = read_mapping(self.path / "reference.yaml").get("timestep_fs")
        if isinstance(timestep, (int, float)) and timestep > 0 and timestep != DEFAULTS["timestep"]:
            words += ["--timestep", f"{timestep:g}"]
        return words


def data_of(found: ResultFolder, run: TrainingRun) -> list[KnownData]:
    """List the data of a run's configuration and reference runs in the folder, as far as they are there.

    Paths of the configuration are relative to where the training was started; they are taken if they are valid from
    here.

    Parameters
    ----------
    found
        The content of the folder.
    run
        A run in it.
    """
    data = _data_settings(run)
    topology = None if data.get("topology") is None else Path(str(data["topology"]))
    known = [
        KnownData(files[0], _options(data), topology, key != "test")
        for key in ("test", "paths", "validation")
        for path in data.get(key) or []
        if (files := _files(path))
    ]
    own = {data.path.resolve() for data in known}
    folders = [found.folder / r.path for r in found.references]
    return known + [KnownData(folder) for folder in folders if folder.resolve() not in own]


def all_there(run: TrainingRun) -> bool:
    """Whether there are data for every path, or pattern, of a run's configuration."""
    data = _data_settings(run)
    paths = [path for key in ("paths", "validation", "test") for path in data.get(key) or []]
    return bool(paths) and all(map(_files, paths))


def _files(path: Any) -> list[Path]:
    """Files that match a path or a pattern; none where there are none."""
    try:
        return matching_files(str(path))
    except InputError:
        return []


def _data_settings(run: TrainingRun) -> Mapping[str, Any]:
    config = yaml.safe_load(run.config_text) if run.config_text else {}
    data = config.get("data") if isinstance(config, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _options(data: Mapping[str, Any]) -> tuple[str, ...]:
    words: list[str] = []
    for name in ("topology", "force_field"):
        if data.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(data[name])]
    keys = data.get("keys")
    for target, name in keys.items() if isinstance(keys, Mapping) else ():
        words += ["--key", f"{target}={name}"]
    return tuple(words)


def _periodic(path: Path) -> bool:
    """Whether the frame of an extended XYZ file that a simulation would start from, the last one, is periodic."""
    if path.stat().st_size > MAX_BYTES:
        return False
    comment = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip().isdigit():
                return False
            comment = next(file, "")
            for _ in range(int(line)):
                next(file, None)
    if not re.search(r"\blattice\s*=", comment, re.IGNORECASE):
        return False
    boundaries = re.search(r'\bpbc\s*=\s*(?:"([^"]*)"|(\S+))', comment, re.IGNORECASE)
    return boundaries is None or not re.search("F|0", boundaries[1] or boundaries[2], re.IGNORECASE)
