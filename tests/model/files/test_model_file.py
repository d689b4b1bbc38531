"""The model file: what is written is read back, what is not a model is refused."""

import json
import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from tests.model.conftest import FIELD, random_graph

from gnnformd.cli.inspection import describe
from gnnformd.errors import InputError
from gnnformd.model.files.model_file import (
    FORMAT_VERSION,
    ModelCard,
    load_model,
    pretrained_names,
    read_card,
    save_model,
)
from gnnformd.model.interface import ForceModel
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings, GamdSettings, ModelSettings, PlainResidualSettings

SETTINGS = GamdSettings(width=8, statistics="stored")


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


def test_what_several_trainings_have_seen_is_known_together():
    first = {"largest_forces": {"O": 100.0, "H": 50.0}, "closest_pairs": [[1, "H", "O", 0.9], [0, "O", "O", 2.4]]}
    then = {"largest_forces": {"H": 70.0, "Ar": 9.0}, "closest_pairs": [[1, "O", "H", 0.8], [0, "Ar", "Ar", 3.0]]}
    card = ModelCard(SETTINGS, ("O", "H", "Na"), None, (first, {}, then))
    assert card.largest_forces == [100.0, 70.0, None]
    assert card.closest_pairs == {(1, 0, 1): 0.8, (1, 1, 0): 0.8, (0, 0, 0): 2.4}
    card = ModelCard(SETTINGS, ("H", "H"), None, (first,))  # types of one name share what is known
    assert card.largest_forces == [50.0, 50.0]
    assert card.closest_pairs == {}
    card = ModelCard(SETTINGS, ("O", "H", "H"), None, (first,))
    assert {key for key, distance in card.closest_pairs.items() if distance == 0.9} == {
        (1, 0, 1),
        (1, 1, 0),
        (1, 0, 2),
        (1, 2, 0),
    }


def test_types_that_share_a_name_are_told_apart_until_they_get_other_numbers():
    seen = {"largest_forces": {"H (2)": 50.0, "H (3)": 9.0}, "closest_pairs": [[1, "O", "H (2)", 0.9]], "epochs": 3}
    card = ModelCard(SETTINGS, ("O", "H", "H"), None, (seen,))
    assert card.largest_forces == [None, 50.0, 9.0]
    assert card.closest_pairs == {(1, 0, 1): 0.9, (1, 1, 0): 0.9}
    assert card.history(("O", "H", "H")) == (seen,)
    (pooled,) = card.history(("H", "O", "H"))
    assert pooled == {"largest_forces": {"H": 50.0}, "closest_pairs": [[1, "O", "H", 0.9]], "epochs": 3}
    renumbered = replace(card, type_names=("H", "O", "H"), trained_on=(pooled,))
    assert renumbered.largest_forces == [50.0, None, 50.0]
    assert set(renumbered.closest_pairs) == {(1, 0, 1), (1, 1, 0), (1, 1, 2), (1, 2, 1)}


def test_inspect_tells_the_closest_of_pairs_whose_types_share_a_name(tmp_path: Path) -> None:
    pairs = [[0, "H", "H", 1.5], [0, "H", "H", 1.4], [0, "H", "H", 1.8], [1, "O", "H", 0.9]]  # of an older file
    card = ModelCard(SETTINGS, ("O", "H", "H"), None, ({"closest_pairs": pairs},))
    model = build_model(SETTINGS, 3)
    save_model(tmp_path / "old.safetensors", model, card)
    facts = dict(describe(str(tmp_path / "old.safetensors"))[0][1])
    assert facts["trained on 1"] == "closest pairs (angstrom) H-H 1.4, O-H bonded 0.9"


def test_the_same_model_is_the_same_file_each_time_it_is_written(saved: Path, tmp_path: Path) -> None:
    loaded = load_model(saved)
    for _ in range(8):
        save_model(tmp_path / "b.safetensors", loaded.model, loaded.card)
        assert (tmp_path / "b.safetensors").read_bytes() == saved.read_bytes()


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
    own = stored.with_statistics("batch")
    graph = random_graph(1, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(own.model(graph).forces, stored.model(graph).forces)
        assert torch.equal(own.with_statistics("stored").model(graph).forces, stored.model(graph).forces)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    loaded = load_model(saved)
    with pytest.raises(InputError, match=r"a\.safetensors: cannot be written \(No space left on device\)"):
        save_model(saved, loaded.model, replace(loaded.card, trained_on=()))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_file_cut_short_anywhere_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (*range(40), 1000, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.safetensors: (is not a model file|its header is damaged)"):
            load_model(saved)


def test_a_file_with_something_behind_its_weights_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0" * 4)
    with pytest.raises(InputError, match=r"the weights have .* bytes, the file holds"):
        load_model(saved)


class Bomb:
    """Reading a pickle of it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_refused_and_none_of_their_code_is_run(tmp_path: Path) -> None:
    torch.save({"weights": Bomb(tmp_path / "ran")}, tmp_path / "model.pt")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    torch.save(Bomb(tmp_path / "ran"), tmp_path / "model.safetensors", _use_new_zipfile_serialization=False)
    for name in ("model.pt", "model.pkl", "model.safetensors"):
        with pytest.raises(InputError, match=rf"{name}: is not a model file but a pickle"):
            load_model(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_header_of_ten_gigabytes_is_refused_without_memory_for_it(saved: Path) -> None:
    content = saved.read_bytes()
    with saved.open("r+b") as file:
        file.truncate(11 * 10**9)  # takes no room on the disk
        file.write(struct.pack("<Q", 10**10))
    tracemalloc.start()
    with pytest.raises(InputError, match="is not a model file"):
        load_model(saved)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    saved.write_bytes(struct.pack("<Q", len(content)) + content[8:])
    with pytest.raises(InputError, match="was cut short"):
        load_model(saved)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("pipe.safetensors", "."):
        with pytest.raises(InputError, match="is not a file"):
            load_model(tmp_path / name)


def test_one_wrong_bit_in_weights_or_card_is_noticed(saved: Path) -> None:
    whole = bytearray(saved.read_bytes())
    for place, bit in ((len(whole) - 1000, 1), (whole.index(b"3.165"), 1), (whole.index(b'"water') + 2, 2)):
        damaged = whole.copy()
        damaged[place] ^= bit
        saved.write_bytes(damaged)
        with pytest.raises(InputError, match="its checksum does not fit its content"):
            load_model(saved)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = build_model(SETTINGS, 2)
    with torch.no_grad():
        model.decoder.last.bias[1] = float("nan")  # type: ignore[union-attr, index]
    save_model(tmp_path / "nan.safetensors", model, ModelCard(SETTINGS, ("O", "H")))
    with pytest.raises(InputError, match=r"weight 'decoder\.last\.bias' holds NaN"):
        load_model(tmp_path / "nan.safetensors")


def change_card(**changes: object) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        card = json.loads(header["__metadata__"]["gnnformd"])
        header["__metadata__"]["gnnformd"] = json.dumps({**card, **changes})

    return change


def change_weight(**changes: object) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        header["decoder.last.bias"].update(changes)

    return change


def change_settings(**changes: object) -> Callable[[Any], None]:
    return change_card(settings={**SETTINGS.model_dump(), **changes})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (change_card(format_version=99), r"newer gnnformd \(model format version 99, this program reads up to 10\)"),
        (change_card(format_version=0), r"'format_version' is '0'"),
        (change_card(format_version="2"), r"'format_version' is '2'"),
        (change_card(settings={"kind": "oracle"}), r"kind 'oracle', this program knows gamd and density"),
        (change_card(settings=[]), r"kind 'None', this program knows"),
        (change_card(units="metal"), r"is in units 'metal'"),
        (change_card(type_names=[]), r"'type_names' is no list of names"),
        (change_card(type_names=["O"]), r"1 types are named, the force field has 2"),
        (change_card(trained_on=[{"sources": ["../../etc/passwd"]}]), r"names a path, '../../etc/passwd'"),
        (change_card(trained_on=[{"sources": 3}]), r"'sources' is no list of names"),
        (change_card(trained_on=[{"largest_forces": {"O": -1.0}}]), r"'largest_forces' is no mapping of positive"),
        (change_card(trained_on=[{"largest_forces": {"O": "1"}}]), r"'largest_forces' is no mapping of positive"),
        (change_card(trained_on=[{"closest_pairs": [[4, "O", "H", 1.0]]}]), r"'closest_pairs' is no list of bonds"),
        (change_card(trained_on=[{"closest_pairs": [["O", "H", 1.0]]}]), r"'closest_pairs' is no list of bonds"),
        (change_card(trained_on=[{"stability": {"runs": [{"frame": 3}]}}]), r"'stability': 'runs\.0\.frame'"),
        (change_card(trained_on=[{"stability": 7}]), r"'stability': "),
        (change_card(run="rm -rf"), r"'run' is not known"),
        (change_card(force_field={"types": [{"name": "O"}]}), r"mass"),
        (change_settings(width=16), r"weight '.*' does not fit a 'gamd' model"),
        (change_settings(width="8"), r"'width' must be a whole number, not '8'"),
        (change_settings(depth=8), r"'depth' is not known"),
        (change_settings(cutoff=float("inf")), r"a setting is not a finite number"),
        (change_settings(layers=10**9), r"says 'layers: 1000000000', but it holds only"),
        (change_settings(width=10**9), r"says 'width: 1000000000', but it holds only"),
        (lambda header: header.pop("__metadata__"), r"has no gnnformd description"),
        (lambda header: header["__metadata__"].pop("sha256"), r"its checksum does not fit"),
        (lambda header: header["__metadata__"].update(gnnformd="{"), r"description is not JSON"),
        (lambda header: header["__metadata__"].update(gnnformd="[" * 100_000), r"description is not JSON"),
        (lambda header: header["__metadata__"].update(gnnformd="[]"), r"description is no mapping"),
        (lambda header: header["__metadata__"].update(other=1), r"something else than text"),
        (lambda header: header.update(deep=json.loads("[" * 900 + "]" * 900)), r"its header is damaged"),
        (change_weight(dtype="F16"), r"weight 'decoder\.last\.bias' is of type F16, not F32 or F64"),
        (change_weight(dtype="F64"), r"weight 'decoder\.last\.bias' does not lie where its size says"),
        (change_weight(dtype="I32"), r"is of type I32"),
        (change_weight(shape=[3.0]), r"a size that is no whole number"),
        (change_weight(shape=[-3]), r"a size that is no whole number"),
        (change_weight(shape=[10**30]), r"does not lie where its size says"),
        (change_weight(data_offsets=[0, 12]), r"does not lie where its size says"),
        (change_weight(data_offsets=None), r"its header is damaged"),
        (lambda header: header.update(extra={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}), r"weight 'extra'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_built(
    saved: Path, change: Callable[[Any], None], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(saved, change)
    built = []

    def record(settings: ModelSettings, types: int) -> ForceModel:
        model = build_model(settings, types)
        built.append(next(model.parameters()).device.type)
        return model

    monkeypatch.setattr("gnnformd.model.files.model_file.build_model", record)
    with pytest.raises(InputError, match=sentence) as caught:
        load_model(saved)
    assert str(caught.value).startswith(f"{saved}: ") and str(caught.value).endswith(".")
    assert built in ([], ["meta"]), "shapes may be compared with a network without memory"


FILES = Path(__file__).parent


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_file_of_each_version_gives_the_forces_it_gave_when_it_was_written(version: int) -> None:
    loaded = load_model(FILES / f"version-{version}.safetensors", dtype=torch.float64)
    assert loaded.card.format_version == version
    assert loaded.card.force_field == FIELD and loaded.card.type_names == ("O", "H")
    with torch.no_grad():
        forces = loaded.model(random_graph(1)).forces[:2]
    expected = [
        [0.003026953913677383, -0.0003172477686179064, -0.0019292938553682564],
        [0.06707856820355303, 0.0070978509501755625, -0.031878176625440305],
    ]
    torch.testing.assert_close(forces, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_settings_of_version_5_are_read_as_they_are_called_now(saved: Path) -> None:
    edit(saved, change_settings(kind="seed", statistics="graph", residual="normalized"))
    edit(saved, change_card(format_version=5))
    assert read_card(saved).settings == SETTINGS.model_copy(update={"statistics": "batch"})
    edit(saved, change_settings(kind="seed", residual="plain"))
    assert read_card(saved).settings == PlainResidualSettings(width=8, statistics="stored")
    edit(saved, change_settings(kind="seed", residual="other"))
    with pytest.raises(InputError, match=r"'residual' must be 'plain'"):
        read_card(saved)


def test_no_training_can_be_told_to_add_to_plain_features() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ModelSettings).validate_python({"kind": "gamd", "residual": "plain"})


def test_a_file_of_an_older_version_is_written_again_in_the_newest(tmp_path: Path) -> None:
    old = load_model(FILES / "version-1.safetensors")
    save_model(tmp_path / "new.safetensors", old.model, old.card)
    assert load_model(tmp_path / "new.safetensors").card == replace(old.card, format_version=FORMAT_VERSION)


def test_a_density_network_that_split_charges_otherwise_is_refused(tmp_path: Path) -> None:
    for electrostatics in ("none", "fixed"):
        settings = DensitySettings(electrostatics=electrostatics)
        path = tmp_path / f"{electrostatics}.safetensors"
        save_model(path, build_model(settings, 2), ModelCard(settings, ("O", "H"), FIELD))
        edit(path, change_card(format_version=3))
    with pytest.raises(InputError, match=r"a Coulomb energy split as it was in model format version 3, .* train"):
        load_model(tmp_path / "fixed.safetensors")


def test_a_seed_network_with_an_edge_encoder_for_each_of_three_layers_is_refused(saved: Path) -> None:
    edit(saved, change_card(format_version=2))
    with pytest.raises(
        InputError, match=r"more than two layers as they were up to model format version 2, .* train the model again\."
    ):
        load_model(saved)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing: there is no such model file"):
        load_model("nothing")


def test_a_folder_of_data_hides_no_shipped_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "water").mkdir()
    assert load_model("water").card.kind == "density"
    (tmp_path / "argon").write_text("no model")
    with pytest.raises(InputError, match="argon"):
        load_model("argon")


@pytest.mark.parametrize("name", pretrained_names() or ["none"])
def test_shipped_models_are_read_by_name(name: str) -> None:
    if name == "none":
        assert pretrained_names() == ()
    else:
        assert load_model(name).card.force_field is not None
        assert load_model(name).path.stat().st_size < (3_000_000 if name == "seed-water" else 1_000_000)
