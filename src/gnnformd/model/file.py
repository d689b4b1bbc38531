"""The model file: one safetensors file whose metadata says everything needed to rebuild the network."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.model.build import build_model
from gnnformd.model.interface import ForceModel
from gnnformd.model.settings import ModelSettings

__all__ = ["FORMAT_VERSION", "LoadedModel", "ModelCard", "load_model", "pretrained_names", "read_card", "save_model"]

FORMAT_VERSION = 1
METADATA_KEY = "gnnformd"

_settings: TypeAdapter[ModelSettings] = TypeAdapter(ModelSettings)


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
        One mapping per dataset (source, frames, atoms) and per training (epochs, errors).
    cutoff
        angstrom.
    units
        Always ``real``.
    format_version
        Version of the file format.
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
    def from_dict(cls, data: dict[str, Any], source: str) -> ModelCard:
        """Inverse of `to_dict`; ``source`` names the file in error messages.

        Raises
        ------
        InputError
            A field is missing or of the wrong form, or the format is newer than this program.
        """
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{source}: has model format version {version!r}, this program reads {FORMAT_VERSION}; "
                "install the version of gnnformd that wrote it or train again."
            )
        force_field = data.get("force_field")
        try:
            return cls(
                settings=_settings.validate_python(data["settings"]),
                type_names=tuple(str(name) for name in data["type_names"]),
                force_field=None if force_field is None else ForceField.from_dict(force_field, source),
                trained_on=tuple(data.get("trained_on", ())),
                units=data["units"],
            )
        except (KeyError, TypeError, ValidationError) as error:
            reason = str(error).replace("\n", " ")
            raise InputError(f"{source}: the description of the model is damaged ({reason}); train again.") from error


@dataclass(frozen=True)
class LoadedModel:
    """A network with its card.

    Attributes
    ----------
    model
        The network, in evaluation mode.
    card
        What its file says of it.
    path
        Where it came from.
    """

    model: ForceModel
    card: ModelCard
    path: Path

    def with_statistics(self, statistics: Literal["graph", "stored"]) -> LoadedModel:
        """Copy of a ``seed`` model whose GraphNorm uses the graph's own averages or the stored ones."""
        settings = self.card.settings.model_copy(update={"statistics": statistics})
        first = next(self.model.parameters())
        model = build_model(settings, len(self.card.type_names)).to(device=first.device, dtype=first.dtype)
        model.load_state_dict(self.model.state_dict())
        return replace(self, model=model.eval(), card=replace(self.card, settings=settings))


def save_model(path: Path, model: ForceModel, card: ModelCard) -> None:
    """Write weights (float32) and card to one file, beside the final name first and then renamed."""
    tensors = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in model.state_dict().items()}
    content = save(tensors, metadata={METADATA_KEY: json.dumps(card.to_dict())})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def pretrained_names() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    folder = resources.files("gnnformd") / "pretrained"
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(p.name.removesuffix(".safetensors") for p in folder.iterdir() if p.name.endswith(".safetensors"))
    )


def read_card(path_or_name: str | Path) -> ModelCard:
    """Read only the card of a model file or of a model that comes with the package.

    Raises
    ------
    InputError
        There is no such file or name, or the file is no model file.
    """
    return _open(_resolve(path_or_name))[0]


def load_model(path_or_name: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LoadedModel:
    """Rebuild a network from its file; no code in the file is run.

    Parameters
    ----------
    path_or_name
        A ``.safetensors`` file or the name of a model that comes with the package.
    device, dtype
        Where and in which precision the weights are placed.

    Raises
    ------
    InputError
        There is no such file or name, or the file is no complete model file.
    """
    path = _resolve(path_or_name)
    card, tensors = _open(path)
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.settings, len(card.type_names))
    expected = {name: (tuple(value.shape)) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != found:
        wrong = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise InputError(f"{path}: weight '{wrong}' does not fit a '{card.kind}' model; the file is damaged.")
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path}: weight '{name}' holds NaN or infinity; the model cannot be used, train again.")
    model.load_state_dict(tensors)
    return LoadedModel(model.to(device=device, dtype=dtype).eval(), card, path)


def _resolve(path_or_name: str | Path) -> Path:
    path = Path(path_or_name)
    if path.is_dir() and (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    if path.exists():
        return path
    names = pretrained_names()
    if str(path_or_name) in names:
        return Path(str(resources.files("gnnformd") / "pretrained" / f"{path_or_name}.safetensors"))
    known = f"; models that come with the package: {', '.join(names)}" if names else ""
    raise InputError(f"{path_or_name}: there is no such model file{known}.")


def _open(path: Path) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: is not a model file ({error}); name a .safetensors file made by gnnformd."
        ) from error
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: has no gnnformd description; name a .safetensors file made by gnnformd.")
    try:
        card = json.loads(metadata[METADATA_KEY])
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: its description is not JSON ({error}); the file is damaged.") from error
    if not isinstance(card, dict):
        raise InputError(f"{path}: its description is no mapping; the file is damaged.")
    return ModelCard.from_dict(card, str(path)), tensors
