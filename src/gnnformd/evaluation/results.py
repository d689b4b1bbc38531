"""What ``evaluate``, ``curves`` and ``simulate`` wrote as JSON, read back with types.

Keys that no reader uses are ignored, so files of other versions can be read as long as the keys used here are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from gnnformd.errors import InputError
from gnnformd.evaluation.formatting import number
from gnnformd.evaluation.liquid.md_curves import FAMILIES

__all__ = [
    "ComparedCurve",
    "ConfigTypeResult",
    "CurveResult",
    "CurvesResult",
    "DatasetResult",
    "EnergyErrors",
    "EvaluationResult",
    "ForceErrors",
    "ObservableResult",
    "SimulationResult",
    "Stability",
]

Series = list[float | None]

MOST_UNUSUAL = 0.005
"""Share of atoms with surroundings like none in training above which a run is said to extrapolate."""

RENAMED_OBSERVABLES = {"heat of the common center, K": "center-of-mass temperature, K"}
"""Names in files of earlier versions, and what they are called now."""


class _Part(BaseModel):
    """A mapping in JSON with known keys; a number that does not exist is None."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Result(_Part):
    """The mapping that a command writes."""

    command: ClassVar[str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str) -> Self:
        """Check what was read from JSON.

        Parameters
        ----------
        data
            The mapping.
        source
            Name of the file, for the error message.

        Raises
        ------
        InputError
            A key is missing or its value has a wrong type; the sentence names the file and the key.
        """
        try:
            return cls.model_validate(cls._current(data), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(cls._key(first["loc"]))
            message = first["msg"][0].lower() + first["msg"][1:]
            wrong = "is missing" if first["type"] == "missing" else f"is wrong: {message}"
            raise InputError(
                f"{source}: is not what 'gnnformd {cls.command}' writes ('{key}' {wrong}); write it again or remove it."
            ) from error

    @classmethod
    def _current(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the mapping of the file to the fields of this class."""
        return dict(data)

    @classmethod
    def _key(cls, location: tuple[int | str, ...]) -> list[str]:
        """Return the keys of the file for a location in the fields of this class."""
        return [str(part) for part in location]


class ForceErrors(_Part):
    """Errors of forces; see `gnnformd.evaluation.forces.force_errors.TypeMetrics` for their definitions."""

    mae: float | None
    rmse: float | None
    l1_per_atom: float | None
    relative_l1: float | None


class _ForceErrorsByType(ForceErrors):
    """Errors over all atoms, and those of each type by name."""

    per_type: dict[str, ForceErrors]


class EnergyErrors(_Part):
    """Errors of energies per atom, kcal/mol; see `gnnformd.evaluation.forces.metrics.EnergyMetrics`."""

    mae_per_atom: float | None = None
    rmse_per_atom: float | None = None
    frames: int | None = None
    mean_per_atom: float | None = None


class StressErrors(_Part):
    """Errors of stresses, kcal/mol/angstrom^3; see `gnnformd.evaluation.forces.metrics.StressMetrics`."""

    mae: float
    rmse: float
    pressure_offset: float
    frames: int


class ConfigTypeResult(_Part):
    """Errors on the frames of one kind of configuration."""

    frames: int
    force: ForceErrors | None = None
    energy: EnergyErrors | None = None
    stress: StressErrors | None = None


class _Parity(_Part):
    """Forces on random atoms, rows of x, y and z, kcal/mol/angstrom."""

    reference: list[list[float]]
    predicted: list[list[float]]


class _GradeErrors(_Part):
    """Errors of forces by extrapolation grade; see `gnnformd.evaluation.forces.extrapolation.GradeErrors`."""

    above: float | None
    up_to: float | None
    atoms: int
    rmse: float | None


class ExtrapolationResult(_Part):
    """How far data are from those of the training."""

    largest_grade: float
    frames: int
    by_grade: list[_GradeErrors]


class DatasetResult(_Part):
    """Errors on one dataset."""

    path: str
    frames: int
    atoms: int
    most_atoms: int | None = None
    force: _ForceErrorsByType
    energy: EnergyErrors | None = None
    stress: StressErrors | None = None
    per_config_type: dict[str, ConfigTypeResult] = {}
    extrapolation: ExtrapolationResult | None = None
    seconds_per_frame: float | None
    parity: _Parity | None = None


class EvaluationResult(_Result):
    """What ``evaluate`` writes."""

    command = "evaluate"

    model: str
    shown_units: str = "real"
    datasets: list[DatasetResult]


class _Components(_Part):
    """Components of the force at each distance, kcal/mol/angstrom."""

    x: list[float]
    y: list[float]
    z: list[float]


class CurveResult(_Part):
    """The force on one of two atoms over their distance; see `gnnformd.evaluation.forces.curves.Curve`."""

    name: str
    detail: str = ""
    distance: list[float]
    reference: _Components
    predicted: _Components
    relative_rms_error: float | None
    relative_rms_error_in_data: float | None = None
    max_transverse: float


class CurvesResult(_Result):
    """What ``curves`` writes."""

    command = "curves"

    model: str
    curves: list[CurveResult]


class _Settings(_Part):
    """Settings of a simulation that are shown; None where the file does not have them."""

    engine: str | None = None
    ensemble: str | None = None
    temperature: float | None = None
    timestep: float | None = None
    steps: int | None = None


class _Mean(_Part):
    """A mean with its standard error, None where that is not known."""

    mean: float | None = None
    standard_error: float | None = None


class _Verdict(_Part):
    """The verdict on all observables: ``same``, ``differs`` or ``too short``, and the sentence to print."""

    answer: str
    text: str


class Stability(_Part):
    """How long the run stayed within the band around the reference; the reason is None if it never left.

    Without a reference: how long every bond stayed within 0.5 angstrom, or 30 %, of its length at the start.
    """

    stable_ps: float | None
    reason: str | None = None

    def sentence(self, *, compared: bool) -> str:
        """Say it; ``compared`` tells whether there is a reference."""
        length = f"{number(self.stable_ps)} ps"
        if self.reason is not None:
            what = "Left the band around the reference" if compared else "A bond left its length at the start"
            return f"{what} after {length}: {self.reason}."
        if compared:
            return f"Within the band around the reference for all of {length}."
        return f"All bonds stayed within 0.5 angstrom (30 %) of their length at the start for all of {length}."


class _OutsideTraining(_Part):
    """Steps at which the model extrapolated."""

    steps: int = 0
    first_step: int | None = None
    reason: str | None = None
    unusual_steps: int = 0
    unusual_atoms: int = 0


class ObservableResult(_Part):
    """An observable of the run beside that of the reference; ``difference`` is in standard errors."""

    value: float | None
    standard_error: float | None = None
    reference: float | None
    reference_standard_error: float | None = None
    difference: float | None
    verdict: str | None = None
    needed_ps: float | None = None
    reference_needed_ps: float | None = None


class ComparedCurve(_Part):
    """A curve of the run beside that of the reference, on the same x, with standard errors where they are known."""

    x: list[float]
    y: Series
    error: Series | None = None
    reference: Series | None = None
    reference_error: Series | None = None


class _Thermo(_Part):
    """Series of the thermo table; ``temperature`` in K, ``total_energy`` in kcal/mol."""

    step: list[int] = []
    temperature: Series = []
    total_energy: Series = []


class SimulationResult(_Result):
    """What ``simulate`` writes; ``curves`` are those of the families of `FAMILIES`, by family and name."""

    command = "simulate"

    model: str
    shown_units: str = "real"
    settings: _Settings = _Settings()
    steps: int
    atoms: int
    microseconds_per_atom_step: float | None
    energy_drift_per_atom_per_ns: float | None = None
    energy_drift_standard_error: float | None = None
    temperature: _Mean = _Mean()
    stable: bool = True
    stopped_at_step: int | None = None
    reason: str | None = None
    outside_training: _OutsideTraining = _OutsideTraining()
    verdict: _Verdict | None = None
    stability: Stability | None = None
    notes: list[str] = []
    observables: dict[str, ObservableResult]
    curves: dict[str, dict[str, ComparedCurve]]
    thermo: _Thermo

    @property
    def unusual_share(self) -> float:
        """Share of the atoms with surroundings like none in training, mean over the steps."""
        return self.outside_training.unusual_atoms / (self.atoms * (self.steps + 1))

    @property
    def extrapolation(self) -> str | None:
        """Sentence on a run of which more than one atom in two hundred had surroundings like none in training.

        In runs like the training data it is one in several thousand, at twice their temperature one in a hundred.
        """
        if self.unusual_share <= MOST_UNUSUAL:
            return None
        return (
            f"{100 * self.unusual_share:.2g} % of the atoms, on average, had surroundings like none in training, where "
            "errors of forces are often several times as large; add frames like those of this run to the data."
        )

    @property
    def drift_name(self) -> str:
        """What `energy_drift_per_atom_per_ns` is the drift of: the energy, or what a thermostat conserves."""
        return (
            "energy drift" if self.settings.ensemble in ("nve", None) else "drift of the thermostat's conserved energy"
        )

    @classmethod
    def _current(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Use today's names of observables, and bring the curves under one key."""
        current = {key: value for key, value in data.items() if key not in FAMILIES}
        current["curves"] = {family: _curves(family, data[family]) for family in FAMILIES if data.get(family)}
        observables, verdict = data.get("observables"), data.get("verdict")
        for old, new in RENAMED_OBSERVABLES.items():
            if isinstance(observables, Mapping) and old in observables:
                observables = {new if name == old else name: entry for name, entry in observables.items()}
                current["observables"] = observables
            if isinstance(verdict, Mapping) and isinstance(verdict.get("text"), str):
                verdict = {**verdict, "text": verdict["text"].replace(old, new)}
                current["verdict"] = verdict
        return current

    @classmethod
    def _key(cls, location: tuple[int | str, ...]) -> list[str]:
        parts = super()._key(location)
        if parts[0] == "curves":
            family, *inside = parts[1:]
            series = {"x": FAMILIES[family].x_key, "y": FAMILIES[family].y_key}
            parts = [family, *inside[:1], *(series.get(part, part) for part in inside[1:])]
        return parts


def _curves(family: str, curves: Any) -> Any:
    """Give the two series of each curve the names that all families share."""
    if not isinstance(curves, Mapping):
        return curves
    keys = {FAMILIES[family].x_key: "x", FAMILIES[family].y_key: "y"}
    return {
        name: {keys.get(key, key): value for key, value in curve.items()} if isinstance(curve, Mapping) else curve
        for name, curve in curves.items()
    }
