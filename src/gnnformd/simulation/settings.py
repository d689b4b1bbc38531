"""Settings of a molecular dynamics run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gnnformd.errors import InputError

__all__ = ["SimulationSettings"]

_Copies = Annotated[int, Field(ge=1)]


class SimulationSettings(BaseModel):
    """Settings of one run, in LAMMPS ``real`` units.

    The thermostat of ``nvt`` is Nosé-Hoover in LAMMPS and Langevin in ASE (see docs/simulate.md).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["lammps", "ase"] = Field("lammps", description="Program that integrates the equations of motion.")
    ensemble: Literal["nve", "nvt", "npt"] = Field(
        "nvt", description="Thermodynamic ensemble; npt needs LAMMPS and a model with a virial."
    )
    temperature: float = Field(300.0, gt=0, description="Of the thermostat and of the velocities drawn, K.")
    pressure: float = Field(1.0, description="Of the barostat, atm.")
    barostat: Literal["iso", "aniso", "tri"] = Field(
        "iso",
        description="What npt changes, as in LAMMPS's fix npt: the size of the box, its three lengths, or lengths and "
        "angles.",
    )
    timestep: float = Field(1.0, gt=0, description="fs.")
    steps: int = Field(1000, ge=1, description="Steps to run.")
    dump_every: int = Field(10, ge=1, description="Steps between two frames of the trajectory.")
    thermo_every: int = Field(10, ge=1, description="Steps between two rows of the thermo table.")
    restart_every: int | None = Field(
        None, ge=1, description="Steps between two restart files, of LAMMPS; none: one at the end."
    )
    seed: int = Field(1, ge=1, le=900_000_000, description="Of the velocities and of the Langevin thermostat.")
    ranks: int = Field(1, ge=1, description="MPI ranks; as many processes must have been started.")
    velocities: Literal["create", "file"] = Field(
        "create", description="Drawn at the temperature, or those of the data file."
    )
    repeat: tuple[_Copies, _Copies, _Copies] = Field(
        (1, 1, 1), description="Copies of the box of the start file along its three lattice vectors."
    )
    guard: Literal["warn", "dump", "stop"] = Field(
        "warn",
        description="Where a force or a distance is outside the training data: warn once and count the "
        "steps, also write the first hundred such frames to outside.dump, or stop.",
    )

    @model_validator(mode="after")
    def _possible(self) -> SimulationSettings:
        if self.ensemble == "npt" and self.engine == "ase":
            shape = "" if self.barostat == "iso" else f" ({self.barostat})"
            raise ValueError(f"npt{shape} is available in LAMMPS only; choose the engine lammps")
        if self.barostat != "iso" and self.ensemble != "npt":
            raise ValueError(
                f"the barostat {self.barostat} needs the ensemble npt, not {self.ensemble}; choose npt or leave "
                "barostat"
            )
        if self.ranks > 1 and self.engine == "ase":
            raise ValueError("several ranks are available in LAMMPS only; choose the engine lammps")
        if self.restart_every is not None and self.engine == "ase":
            raise ValueError(
                "restart files are written by LAMMPS only; choose the engine lammps or leave restart_every"
            )
        return self

    @classmethod
    def from_options(cls, **options: Any) -> SimulationSettings:
        """Build settings from options of the command line; None means the default.

        Raises
        ------
        InputError
            An option is unknown or its value is invalid; the sentence names it.
        """
        try:
            return cls(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = "".join(f"--{str(part).replace('_', '-')}: " for part in first["loc"][:1])
            message = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{name}{message[0].lower()}{message[1:]}.") from error
