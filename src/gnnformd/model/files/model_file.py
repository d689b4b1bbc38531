"""The model file: one safetensors file whose metadata says everything needed to rebuild the network."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save

from gnnformd.errors import InputError
from gnnformd.files import write_bytes
from gnnformd.graph.type_matching import KnownTypes
from gnnformd.model.files.model_card import FORMAT_VERSION, ModelCard
from gnnformd.model.files.tensor_file import TensorFile, read_header, read_tensors
from gnnformd.model.fluids.functions import is_for_many_liquids
from gnnformd.model.interface import ForceModel
from gnnformd.model.registry import build_model, model_class

__all__ = [
    "FORMAT_VERSION",
    "LoadedModel",
    "ModelCard",
    "load_model",
    "pretrained_names",
    "read_card",
    "save_card",
    "save_model",
]

METADATA_KEY, CHECKSUM_KEY = "gnnformd", "sha256"


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
    compiled
        Whether evaluation and molecular dynamics may use compiled loops instead of PyTorch; the results are equal
        to rounding; in float32 the energies of compiled loops have more digits.
    """

    model: ForceModel
    card: ModelCard
    path: Path
    compiled: bool = True

    @property
    def known_types(self) -> KnownTypes:
        """What is known about its atom types: names, and parameters of its force field."""
        return KnownTypes.of_names(self.path, self.card.type_names, self.card.force_field)

    @property
    def knows_types(self) -> bool:
        """Whether it tells atoms apart by their types, and not by charge, epsilon and sigma alone."""
        return self.card.settings.node_features != "physical" or bool(self.model.per_type)

    def with_statistics(self, statistics: Literal["batch", "stored"]) -> LoadedModel:
        """Copy of a ``gamd`` model whose GraphNorm uses averages over what is evaluated or the stored ones."""
        settings = self.card.settings.model_copy(update={"statistics": statistics})
        first = next(self.model.parameters())
        model = build_model(settings, len(self.card.type_names)).to(device=first.device, dtype=first.dtype)
        model.load_state_dict(self.model.state_dict())
        return replace(self, model=model.eval(), card=replace(self.card, settings=settings))


def save_model(path: Path, model: ForceModel, card: ModelCard) -> None:
    """Write weights (float32, but for `ForceModel.exact`), card and a checksum of both to one file.

    The file is written whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    tensors = {
        name: value.detach().to("cpu", torch.float64 if name in model.exact else torch.float32).contiguous()
        for name, value in model.state_dict().items()
    }
    _write(path, tensors, replace(card, format_version=FORMAT_VERSION))


def save_card(path: Path, card: ModelCard) -> None:
    """Give a model file another card, of the same model; its weights stay as they are, to the bit.

    The file is written whole or not at all.

    Raises
    ------
    InputError
        The file is no complete model file, or cannot be written.
    """
    _write(path, read_tensors(read_header(path)), card)


def _write(path: Path, tensors: Mapping[str, torch.Tensor], card: ModelCard) -> None:
    text = json.dumps(card.to_dict(), allow_nan=False)
    content = save(dict(tensors), metadata={METADATA_KEY: text, CHECKSUM_KEY: _checksum(text, tensors)})
    write_bytes(path, _with_sorted_header(content))


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the metadata, which safetensors writes in random order, so that equal models are equal files."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the weights start at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


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
    return _card(read_header(_resolve(path_or_name)))


def load_model(
    path_or_name: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32, compiled: bool = True
) -> LoadedModel:
    """Rebuild a network from its file; no code in the file is run.

    Size, card, names and shapes of the weights, checksum and values are checked before the network is built.

    Parameters
    ----------
    path_or_name
        A ``.safetensors`` file or the name of a model that comes with the package.
    device, dtype
        Where and in which precision the weights are placed.
    compiled
        Let evaluation and molecular dynamics use compiled loops where there are some for the model, not PyTorch.

    Raises
    ------
    InputError
        There is no such file or name, or the file is no complete model file.
    """
    path = _resolve(path_or_name)
    file = read_header(path)
    card = _card(file)
    new_names = _new_names(file, card)
    _check_shapes(file, card, new_names)
    tensors = read_tensors(file)
    if card.format_version > 1 and file.metadata.get(CHECKSUM_KEY) != _checksum(file.metadata[METADATA_KEY], tensors):
        raise InputError(f"{path}: its checksum does not fit its content, so it is damaged; get or train it again.")
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path}: weight '{name}' holds NaN or infinity; the model cannot be used, train again.")
    with torch.random.fork_rng(devices=[]):
        model = build_model(card.settings, len(card.type_names))
    weights = {new_names[name]: value for name, value in tensors.items()}
    added = model.added_weights(card.format_version)
    model.load_state_dict({name: value for name, value in model.state_dict().items() if name in added} | weights)
    return LoadedModel(model.to(device=device, dtype=dtype).eval(), card, path, compiled)


def _resolve(path_or_name: str | Path) -> Path:
    path = Path(path_or_name)
    if path.is_dir() and (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    if is_for_many_liquids(path_or_name):
        raise InputError(
            f"{path_or_name}: is a model for many liquids; make one of your liquid with 'gnnformd specialize "
            f"{path_or_name} DATA --out FILE.safetensors'."
        )
    names = pretrained_names()
    if path.exists() and not (path.is_dir() and str(path_or_name) in names):  # a folder of data may have such a name
        return path
    if str(path_or_name) in names:
        return Path(str(resources.files("gnnformd") / "pretrained" / f"{path_or_name}.safetensors"))
    known = f" or a shipped model ({', '.join(names)})" if names else ""
    raise InputError(f"{path_or_name}: there is no such model file; name one{known}.")


def _card(file: TensorFile) -> ModelCard:
    if METADATA_KEY not in file.metadata:
        raise InputError(f"{file.path}: has no gnnformd description; name a .safetensors file made by gnnformd.")
    try:
        card = json.loads(file.metadata[METADATA_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file.path}: its description is not JSON ({error}); the file is damaged.") from error
    if not isinstance(card, dict):
        raise InputError(f"{file.path}: its description is no mapping; the file is damaged.")
    return ModelCard.from_dict(card, str(file.path))


def _new_names(file: TensorFile, card: ModelCard) -> dict[str, str]:
    """Map the name of each weight in the file to the name it has now."""
    kind, version = model_class(card.settings), card.format_version
    reason = kind.unreadable(card.settings, version)
    if reason is not None:
        raise InputError(f"{file.path}: {reason}, which this program does not read; train the model again.")
    return {name: kind.renamed_weight(name, version) for name in file.shapes}


def _check_shapes(file: TensorFile, card: ModelCard, new_names: Mapping[str, str]) -> None:
    """Compare with a network without memory; settings too large for the file are refused before even that is built."""
    weights = sum(math.prod(shape) for shape in file.shapes.values())
    for name, setting in card.settings.model_dump().items():
        if isinstance(setting, int) and setting > (len(file.shapes) if name == "layers" else max(weights, 8)):
            raise InputError(
                f"{file.path}: its description says '{name}: {str(setting)[:20]}', but it holds only {weights} weights "
                f"in {len(file.shapes)} arrays; the file is damaged."
            )
    with torch.device("meta"):
        expected = build_model(card.settings, len(card.type_names)).state_dict()
    held = {new_names[name]: shape for name, shape in file.shapes.items()}
    added = set(model_class(card.settings).added_weights(card.format_version)) - held.keys()
    wanted = {name: tuple(value.shape) for name, value in expected.items() if name not in added}
    for name, _ in sorted(wanted.items() ^ held.items()):
        raise InputError(f"{file.path}: weight '{name}' does not fit a '{card.kind}' model; the file is damaged.")


def _checksum(card: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the card and, by name, of the weights with their names and shapes."""
    digest = hashlib.sha256(card.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.numpy().astype("<f8" if value.dtype == torch.float64 else "<f4").tobytes())
    return digest.hexdigest()
