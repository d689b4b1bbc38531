"""ModelCard: what a model file says of its network."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gnnformd.errors import InputError, fault_of
from gnnformd.force_field import ForceField
from gnnformd.graph.bonds import BOND_KINDS
from gnnformd.model.files.stability import StabilityCheck
from gnnformd.model.files.usability import why_another_order, why_inconsistent, why_unusable
from gnnformd.model.files.virial_order import ORDER
from gnnformd.model.settings import (
    DensitySettings,
    GamdSettings,
    ModelSettings,
    PlainResidualSettings,
    ScaledSettings,
)
from gnnformd.reference.type_names import distinct_names
from gnnformd.trajectory.formats.frame_states import unlike

__all__ = ["ERRORS", "FORMAT_VERSION", "ModelCard"]

FORMAT_VERSION = 10
"""1: no checksum; 2: a checksum of card and weights; 3: GAMD networks share the edge encoder of their later layers, and
density networks are a polynomial and a perceptron; 4: the Coulomb energy is split at 3.0 over the cutoff, not 3.4; 5:
GAMD networks say what their residual layers add to, which before was always the plain input; 6: it is always the
normalized input, and GraphNorm averages over all graphs that are evaluated together; fitted potentials of density
networks have names of their own; 7: energies of atoms of density networks have a floor; 8: their layers
couple densities of three different degrees; 9: up to sixteen types have a channel each, up to four before."""

OF_FORCES = ("validation_l1_per_atom", "validation_mean_force", "train_l1_per_atom")
SHARES = ("train_energy_share", "train_virial_share")
ERRORS = (*OF_FORCES, *SHARES)
"""Keys of a training in a card: how large errors and forces were, kcal/mol/angstrom, and shares of errors (see
`gnnformd.training.run_log.EpochRecord`)."""

_KINDS = tuple(settings.model_fields["kind"].default for settings in (GamdSettings, DensitySettings))


@dataclass(frozen=True)
class ModelCard:
    """What a model file says of its network.

    Attributes
    ----------
    settings
        Settings of the model, ``kind`` among them.
    type_names
        Name of each atom type, LAMMPS's type 1 first.
    force_field
        Physical parameters the model was trained with, or None.
    trained_on
        One mapping per training: names of the data (never paths), their ``units``, frames, atoms, epochs, errors,
        digests of some training frames, and how far they went: ``largest_forces`` (kcal/mol/angstrom, by type),
        ``closest_pairs`` (bonds between the two, types, angstrom), ``largest_charge`` (e) and ``temperature_K``
        (lowest, mean, highest); types are named by `distinct_names`, and a name that several of them share, as older
        files have it, is any of them; where its stability was checked, ``stability`` (see `StabilityCheck`);
        ``virial_orders`` of data whose virials are written in another order than they were read in (see
        `gnnformd.model.files.virial_order.virial_order`), by name;
        ``states`` of the frames (see `gnnformd.trajectory.packed.dataset.common_states`). Errors of forces
        (``validation_l1_per_atom``, ``train_l1_per_atom``) and ``validation_mean_force`` are those of `EpochRecord`.
    units
        Of the numbers in the file, always ``real``.
    format_version
        Version of the file format that it was read from.
    """

    settings: ModelSettings
    type_names: tuple[str, ...]
    force_field: ForceField | None = None
    trained_on: tuple[dict[str, Any], ...] = field(default=())
    units: str = "real"
    format_version: int = FORMAT_VERSION

    @property
    def kind(self) -> str:
        """Kind of model, for instance ``seed``."""
        return self.settings.kind

    @property
    def cutoff(self) -> float:
        """Edges join atoms closer than this, angstrom."""
        return self.settings.cutoff

    @property
    def parameters(self) -> list[tuple[float, float, float]]:
        """Charge, epsilon and sigma of each type, as its force field has them; zeros where there is none."""
        return [(0.0, 0.0, 0.0)] * len(self.type_names) if self.force_field is None else self.force_field.parameters

    @property
    def shown_units(self) -> str:
        """Units that results are shown in: ``metal`` (eV) where the last training's data had them, else ``real``."""
        return "metal" if self.trained_on and self.trained_on[-1].get("units") == "metal" else "real"

    @property
    def largest_forces(self) -> list[float | None]:
        """Largest force on an atom of each type in all trainings, kcal/mol/angstrom; None where it is not known."""
        largest: list[float | None] = [None] * len(self.type_names)
        for entry in self.trained_on:
            for name, force in entry.get("largest_forces", {}).items():
                for k in self._numbers.get(name, ()):
                    largest[k] = max(force, largest[k] or 0.0)
        return largest

    @property
    def temperatures(self) -> tuple[float, float] | None:
        """Lowest and highest temperature of the data of all trainings, K; None where one of them does not say it."""
        known = [entry.get("temperature_K") for entry in self.trained_on]
        if not known or None in known:
            return None
        return min(t[0] for t in known if t is not None), max(t[2] for t in known if t is not None)

    def warn_of_states(self, where: object, states: Mapping[str, Iterable[str]], model: object) -> None:
        """Warn where frames differ in charge, field, theory from those of the last training, of which no model is told.

        Parameters
        ----------
        where
            What has the frames.
        states
            `gnnformd.trajectory.formats.frame_states.FrameStates.values` of them.
        model
            What the model is called.
        """
        known = self.trained_on[-1].get("states") if self.trained_on else None
        if known is None:
            return
        for difference in unlike(known, states):
            warnings.warn(
                f"{where}: {difference} of {model}; no model is told of it, so that forces and energies are those of "
                "such data.",
                stacklevel=3,
            )

    @property
    def closest_pairs(self) -> dict[tuple[int, int, int], float]:
        """How close atoms came in frames of all trainings, angstrom, by bonds between them and types from 0."""
        closest: dict[tuple[int, int, int], float] = {}
        pairs = (pair for entry in self.trained_on for pair in entry.get("closest_pairs", ()))
        for bonds, one, other, distance in pairs:
            for a, b in product(self._numbers.get(one, ()), self._numbers.get(other, ())):
                for key in ((bonds, a, b), (bonds, b, a)):
                    closest[key] = min(distance, closest.get(key, distance))
        return closest

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        """Types from 0 that a name stands for, by that name."""
        found = {name: [k for k, other in enumerate(self.type_names) if other == name] for name in self.type_names}
        return found | {label: [k] for k, label in enumerate(distinct_names(self.type_names))}

    def history(self, type_names: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
        """Make ``trained_on`` of a model that goes on from this one with types of these names, from type 1 on.

        Where types get other numbers, those that share a name are no longer told apart in what earlier trainings saw.
        """
        if type_names == self.type_names:
            return self.trained_on
        plain = dict(zip(distinct_names(self.type_names), self.type_names, strict=True))
        found = []
        for entry in self.trained_on:
            forces: dict[str, float] = {}
            for label, force in entry.get("largest_forces", {}).items():
                forces[plain.get(label, label)] = max(force, forces.get(plain.get(label, label), 0.0))
            pairs = [[kind, *(plain.get(n, n) for n in names), d] for kind, *names, d in entry.get("closest_pairs", [])]
            seen = {"largest_forces": forces, "closest_pairs": pairs}
            found.append({**entry, **{name: value for name, value in seen.items() if name in entry}})
        return tuple(found)

    @property
    def stability(self) -> StabilityCheck | None:
        """What short simulations after the last training showed; None where there were none."""
        found = self.trained_on[-1].get("stability") if self.trained_on else None
        return None if found is None else StabilityCheck.from_dict(found)

    @property
    def learned_virials(self) -> bool | None:
        """Whether the last training had virials; None where that is not known."""
        last = self.trained_on[-1] if self.trained_on else {}
        return "train_virial_share" in last if "validation_mean_force" in last else None

    @property
    def why_unusable(self) -> str | None:
        """Why the model is of no use after its last training; None where it is, or where it is not known."""
        last = self.trained_on[-1] if self.trained_on else {}
        return why_unusable(*(last.get(name) for name in OF_FORCES))

    @property
    def why_inconsistent(self) -> str | None:
        """What contradicts itself in the data of the last training; None where nothing does, or it is not known."""
        last = self.trained_on[-1] if self.trained_on else {}
        error, force, training, energy, virial = (last.get(name) for name in ERRORS)
        orders = last.get("virial_orders", {})
        found = [why_another_order(data, order) for data, order in orders.items()]
        rest = why_inconsistent(error, force, training, energy, None if found else virial)
        return " ".join([*found, *([] if rest is None else [rest])]) or None

    def with_stability(self, found: StabilityCheck) -> ModelCard:
        """Card with the result of short simulations after the last training."""
        *earlier, last = self.trained_on
        return replace(self, trained_on=(*earlier, {**last, "stability": found.to_dict()}))

    def to_dict(self) -> dict[str, Any]:
        """Plain mapping, as stored in the file's metadata."""
        return {
            **asdict(self),
            "settings": self.settings.model_dump(mode="json"),
            "type_names": list(self.type_names),
            "trained_on": list(self.trained_on),
            "force_field": None if self.force_field is None else self.force_field.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str) -> ModelCard:
        """Inverse of `to_dict`; ``source`` names the file in error messages.

        Raises
        ------
        InputError
            A field is missing, unknown or of the wrong form, or the format is newer than this program.
        """
        version = _known_version(data.get("format_version"), source)
        names = {f.name for f in fields(cls)}
        for key in sorted(names ^ set(data)):
            what = "is missing" if key in names else "is not known"
            raise _damaged(source, f"'{key}' {what}")
        field_data, kinds, history = data["force_field"], data["type_names"], data["trained_on"]
        if not isinstance(kinds, list) or not kinds or not all(isinstance(k, str) and k for k in kinds):
            raise _damaged(source, "'type_names' is no list of names")
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            raise _damaged(source, "'trained_on' is no list of mappings")
        for name in (name for entry in history for name in _names(entry.get("sources"), source)):
            if "/" in name or "\\" in name:
                raise _damaged(source, f"'trained_on' names a path, {name[:60]!r}, where names belong")
        for entry in history:
            _check_extent(entry, source)
        if data["units"] != "real":
            raise InputError(f"{source}: is in units {data['units']!r}; train a model in units 'real'.")
        force_field = None if field_data is None else ForceField.from_dict(field_data, source)
        if force_field is not None and len(force_field.types) != len(kinds):
            raise _damaged(source, f"{len(kinds)} types are named, the force field has {len(force_field.types)}")
        settings = _settings(data["settings"], source, version, len(kinds))
        return cls(settings, tuple(kinds), force_field, tuple(history), "real", version)


def _known_version(version: Any, source: str) -> int:
    if type(version) is not int or version < 1:
        raise _damaged(source, f"'format_version' is {str(version)[:20]!r}")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{source}: was written by a newer gnnformd (model format version {str(version)[:20]}, this program reads "
            f"up to {FORMAT_VERSION}); upgrade gnnformd."
        )
    return version


def _names(sources: Any, source: str) -> list[str]:
    if not isinstance(sources, list | None) or not all(isinstance(name, str) for name in sources or ()):
        raise _damaged(source, "'sources' is no list of names")
    return sources or []


def _check_extent(entry: Mapping[str, Any], source: str) -> None:
    """Refuse largest forces and closest pairs of another form than trainings write."""

    def positive(value: Any) -> bool:
        return type(value) is float and 0.0 < value < math.inf

    forces, pairs = entry.get("largest_forces", {}), entry.get("closest_pairs", [])
    temperatures = entry.get("temperature_K", [0.0, 0.0, 0.0])
    if (
        not isinstance(temperatures, list)
        or len(temperatures) != 3
        or not all(type(t) is float and 0.0 <= t < math.inf for t in temperatures)
    ):
        raise _damaged(source, "'temperature_K' is no list of three temperatures")
    if not isinstance(forces, dict) or not all(positive(force) for force in forces.values()):
        raise _damaged(source, "'largest_forces' is no mapping of positive numbers")
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list)
        and [type(part) for part in pair] == [int, str, str, float]
        and 0 <= pair[0] < BOND_KINDS
        and positive(pair[3])
        for pair in pairs
    ):
        raise _damaged(source, "'closest_pairs' is no list of bonds, two types and a distance")
    for name in ERRORS:
        if name in entry and not (isinstance(entry[name], (int, float)) and 0.0 <= entry[name] < math.inf):
            raise _damaged(source, f"'{name}' is no error or force")
    orders = entry.get("virial_orders", {})
    if not isinstance(orders, dict) or not all(
        isinstance(order, str) and sorted(order.split(" ")) == sorted(ORDER) for order in orders.values()
    ):
        raise _damaged(source, "'virial_orders' is no mapping of orders of components")
    if "stability" in entry:
        try:
            StabilityCheck.from_dict(entry["stability"])
        except ValueError as error:
            raise _damaged(source, f"'stability': {error}") from error


def _settings(data: Any, source: str, version: int, type_count: int) -> ModelSettings:
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == "density" and version < 9 and data.get("channels") is None:
        data = {**data, "channels": min(type_count, 4)}  # what none stood for
    if kind == "seed":
        data, kind = _gamd_up_to_version_5(data, version), "gamd"
    if kind not in _KINDS:
        raise InputError(
            f"{source}: holds a model of kind {str(kind)[:40]!r}, this program knows {' and '.join(_KINDS)}; "
            "use the gnnformd that wrote it."
        )
    special: type[ModelSettings] | None = None
    if kind == "gamd" and "residual" in data:
        special = PlainResidualSettings
    elif kind == "density" and "scaled_functions" in data:
        special = ScaledSettings
    adapter: TypeAdapter[ModelSettings] = TypeAdapter(ModelSettings if special is None else special)
    try:
        json.dumps(data, allow_nan=False)
        return adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(
            source, f"'{'.'.join(map(str, first['loc'][1 if special is None else 0 :]))}' {fault_of(first)}"
        ) from error
    except ValueError as error:  # only json.dumps raises it
        raise _damaged(source, "a setting is not a finite number") from error


def _gamd_up_to_version_5(data: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Rename the settings of a GAMD network, which was called ``seed``; the forces on single systems are the same."""
    data = {**data, "kind": "gamd"}
    if version < 5:
        data.setdefault("residual", "plain")
    if data.get("residual") == "normalized":
        del data["residual"]
    if data.get("statistics") == "graph":
        data["statistics"] = "batch"
    return data


def _damaged(source: str, reason: str) -> InputError:
    return InputError(f"{source}: the description of the model is damaged ({reason}); get or train the model again.")
