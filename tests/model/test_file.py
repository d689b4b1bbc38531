"""The model file: what is written is read back, what is not a model is refused."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.model.build import build_model
from gnnformd.model.file import ModelCard, load_model, pretrained_names, read_card, save_model
from gnnformd.model.settings import SeedSettings
from tests.model.conftest import FIELD, random_graph

SETTINGS = SeedSettings(width=8, statistics="stored")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = ModelCard(SETTINGS, ("O", "H"), FIELD, ({"sources": ["water"], "epochs": 3},))
    save_model(tmp_path / "a.safetensors", build_model(SETTINGS, 2), card)
    return tmp_path / "a.safetensors"


def edit(path: Path, change: object) -> None:
    """Rewrite the JSON header of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)  # type: ignore[operator]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_weights_and_card_are_read_back_and_give_the_same_forces(saved: Path) -> None:
    torch.manual_seed(0)
    model = build_model(SETTINGS, 2).eval()
    loaded = load_model(saved)
    graph = random_graph(2, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(loaded.model(graph).forces, model(graph).forces)
    assert loaded.card.settings == SETTINGS
    assert loaded.card.force_field == FIELD
    assert loaded.card.type_names == ("O", "H")
    assert loaded.card.trained_on == ({"sources": ["water"], "epochs": 3},)
    assert read_card(saved) == loaded.card
    assert not loaded.model.training


def test_a_model_can_be_loaded_in_double_precision(saved: Path) -> None:
    loaded = load_model(saved, dtype=torch.float64)
    with torch.no_grad():
        assert loaded.model(random_graph(1)).forces.dtype == torch.float64


def test_reading_a_model_leaves_the_random_generator_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model(saved)
    assert torch.equal(torch.rand(1), expected)


def test_a_run_folder_stands_for_its_model(saved: Path) -> None:
    saved.rename(saved.with_name("model.safetensors"))
    assert load_model(saved.parent).path == saved.parent / "model.safetensors"


def test_the_statistics_of_the_seed_can_be_chosen_afterwards(saved: Path) -> None:
    stored = load_model(saved)
    own = stored.with_statistics("graph")
    graph = random_graph(1, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(own.model(graph).forces, stored.model(graph).forces)
        assert torch.equal(own.with_statistics("stored").model(graph).forces, stored.model(graph).forces)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    loaded = load_model(saved)
    with pytest.raises(OSError, match="disk full"):
        save_model(saved, loaded.model, replace(loaded.card, trained_on=()))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.safetensors: is not a model file"):
        load_model(saved)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt: is not a model file"):
        load_model(tmp_path / "model.pt")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = build_model(SETTINGS, 2)
    with torch.no_grad():
        model.decoder.last.bias[1] = float("nan")  # type: ignore[union-attr, index]
    save_model(tmp_path / "nan.safetensors", model, ModelCard(SETTINGS, ("O", "H")))
    with pytest.raises(InputError, match=r"weight 'decoder\.last\.bias' holds NaN"):
        load_model(tmp_path / "nan.safetensors")


def test_other_versions_kinds_and_shapes_are_refused_in_a_sentence(saved: Path) -> None:
    good = saved.read_bytes()

    def change_card(**changes: object) -> object:
        def change(header: dict[str, dict[str, str]]) -> None:
            card = json.loads(header["__metadata__"]["gnnformd"])
            header["__metadata__"]["gnnformd"] = json.dumps({**card, **changes})

        return change

    cases = [
        (change_card(format_version=99), r"format version 99, this program reads 1"),
        (change_card(settings={"kind": "oracle"}), r"description of the model is damaged"),
        (change_card(settings={"kind": "seed", "width": 16}), r"weight '.*' does not fit a 'seed' model"),
        (lambda header: header.pop("__metadata__"), r"has no gnnformd description"),
        (lambda header: header["__metadata__"].update(gnnformd="{"), r"description is not JSON"),
        (lambda header: header["__metadata__"].update(gnnformd="[]"), r"description is no mapping"),
    ]
    for change, sentence in cases:
        saved.write_bytes(good)
        edit(saved, change)
        with pytest.raises(InputError, match=sentence):
            load_model(saved)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing: there is no such model file"):
        load_model("nothing")


@pytest.mark.parametrize("name", pretrained_names() or ["none"])
def test_shipped_models_are_read_by_name(name: str) -> None:
    if name == "none":
        assert pretrained_names() == ()
    else:
        assert load_model(name).card.force_field is not None
        assert load_model(name).path.stat().st_size < 1_000_000
