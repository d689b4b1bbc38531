"""Whole trainings on a small liquid."""

import csv
import io
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from gnnformd.cli.app import app
from gnnformd.errors import InputError
from gnnformd.model.files.model_file import ModelCard, load_model, save_model
from gnnformd.model.registry import build_model
from gnnformd.model.settings import DensitySettings, GamdSettings, ModelSettings, PlainResidualSettings
from gnnformd.reference.generate import generate
from gnnformd.training.data_range import data_range_of
from gnnformd.training.run_folder import model_weights
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import _Fit, _temperatures, finetune, train
from gnnformd.trajectory.formats.dump import read_dump
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import FIELD

MODEL = GamdSettings(width=8, cutoff=4.4)
DENSITY = DensitySettings(cutoff=4.4, features=4, width=8, radial_functions=6, electrostatics="none", bond_kinds=0)
QUIET = {"loggers": (), "threads": 1, "accelerator": "cpu", "warmup_penalty": 50.0}


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 4, "batch_size": 4, "checkpoint_every": 2, **QUIET, **changes})


def test_a_run_folder_holds_config_log_table_checkpoints_and_model(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(loggers=("tensorboard",)), tmp_path / "run")
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["training"]["epochs"] == 4
    assert config["model"]["width"] == 8
    rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for row in rows:
        axes = sum(float(row[f"validation_{axis}"]) for axis in "xyz")
        error = 27 * float(row["validation_l1_per_atom"])
        penalty = float(row["validation_loss"]) - error  # of the one batch, over its one frame
        # each axis pays for the sum of its own components: 8 times the penalty more where these are alike
        assert penalty > 0
        assert axes - error >= 9 * penalty * (1 - 1e-6)
    log = (run.folder / "training_log.txt").read_text().splitlines()
    assert len(log) == 8
    assert log[0].startswith("Epoch: 01, Train Loss: ")
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == ["epoch-02.ckpt", "epoch-04.ckpt", "last.ckpt"]
    assert any((run.folder / "tensorboard").iterdir())


def test_the_model_file_is_the_best_of_the_kept_checkpoints(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=6), tmp_path / "run")
    kept = [record for record in run.records if record.epoch % 2 == 0]
    assert run.best == min(kept, key=lambda record: record.validation_loss)
    weights = model_weights(run.folder / "checkpoints" / f"epoch-{run.best.epoch:02d}.ckpt")
    for name, value in load_model(run.model).model.state_dict().items():
        assert torch.equal(value, weights[name])
    card = load_model(run.model).card
    assert card.type_names == ("Ar", "Kr")
    assert card.trained_on[-1]["epoch"] == run.best.epoch
    assert card.force_field is not None
    assert card.force_field.types[0].sigma == 3.405


def test_the_model_file_says_how_far_the_training_data_went(liquid: DataSettings, tmp_path: Path) -> None:
    card = load_model(train(MODEL, liquid, settings(epochs=1), tmp_path / "run").model).card
    frames = [
        frame for index, frame in enumerate(read_dump(tmp_path / "liquid.dump")) if index < 12
    ]  # the last validates
    forces = np.stack([np.linalg.norm(frame.forces, axis=1) for frame in frames])  # (T, N)
    assert card.largest_forces == pytest.approx([forces[:, ::2].max(), forces[:, 1::2].max()], rel=1e-6)
    delta = np.stack([frame.positions[:, None] - frame.positions[None] for frame in frames])
    edge = 3 * 3.8
    distance = np.linalg.norm(delta - edge * np.round(delta / edge), axis=-1) + 1e9 * np.eye(27)
    kinds = np.arange(27) % 2
    expected = {
        (0, one, other): distance[:, kinds == one][:, :, kinds == other].min() for one in (0, 1) for other in (0, 1)
    }
    assert card.closest_pairs == pytest.approx(expected, rel=1e-6)


def test_types_of_one_name_have_forces_and_pairs_of_their_own(liquid: DataSettings) -> None:
    datasets = open_datasets(liquid)
    closest = torch.full((4, 2, 2), torch.inf)
    closest[0] = torch.tensor([[3.0, 2.5], [2.5, 2.0]])
    apart = data_range_of(datasets, [(0, 0)], closest, ["A", "B"])["largest_forces"]
    found = data_range_of(datasets, [(0, 0)], closest, ["A", "A"])
    assert found["largest_forces"] == {"A (1)": apart["A"], "A (2)": apart["B"]} and apart["A"] != apart["B"]
    assert found["closest_pairs"] == [
        *([0, "A (1)", "A (1)", 3.0], [0, "A (1)", "A (2)", 2.5], [0, "A (2)", "A (2)", 2.0]),
    ]
    card = ModelCard(GamdSettings(cutoff=4.0), ("A", "A"), None, (found,))
    assert card.largest_forces == [apart["A"], apart["B"]]
    assert card.closest_pairs == {(0, 0, 0): 3.0, (0, 0, 1): 2.5, (0, 1, 0): 2.5, (0, 1, 1): 2.0}


def test_training_lowers_the_error(liquid: DataSettings, tmp_path: Path) -> None:
    model = GamdSettings(width=16, cutoff=4.4, dropout=0.0, locally_equivariant=True)
    run = train(model, liquid, settings(epochs=45, learning_rate=1e-2, decay=0.97), tmp_path / "run")
    assert run.records[-1].validation_loss < 0.5 * run.records[0].validation_loss


def test_a_conservative_model_trains_and_validates(liquid: DataSettings, tmp_path: Path) -> None:
    model = DensitySettings(cutoff=4.4, electrostatics="none", features=16)
    run = train(model, liquid, settings(epochs=25, learning_rate=1e-2, warmup_penalty=0.0), tmp_path / "run")
    # what is left after fitted potentials is the jump of these forces at the cutoff, which no smooth energy has
    assert run.records[-1].validation_loss < run.records[0].validation_loss
    assert load_model(run.model).card.kind == "density"


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(
    ema: float | None, liquid: DataSettings, tmp_path: Path
) -> None:
    whole = train(MODEL, liquid, settings(ema_decay=ema), tmp_path / "whole")
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    checkpoint = tmp_path / "resumed" / "checkpoints" / "epoch-02.ckpt"
    shutil.copy(whole.folder / "checkpoints" / "epoch-02.ckpt", checkpoint)
    resumed = train(MODEL, liquid, settings(ema_decay=ema), tmp_path / "resumed", resume=checkpoint)
    assert whole.model.read_bytes() == resumed.model.read_bytes()
    logs = [(run.folder / "training_log.txt").read_text() for run in (whole, resumed)]
    assert logs[0] == logs[1]


def test_a_training_killed_between_its_two_checkpoints_keeps_both(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=2, checkpoint_every=2), tmp_path / "run")
    kept = run.folder / "checkpoints" / "epoch-02.ckpt"
    content = kept.read_bytes()
    kept.unlink()
    (run.folder / "checkpoints" / f".epoch-02.ckpt.{2**22 + 1}").write_bytes(content[:100])  # no process has this id
    train(MODEL, liquid, settings(epochs=3, checkpoint_every=2), run.folder, resume=True)
    assert sorted(path.name for path in kept.parent.iterdir()) == ["epoch-02.ckpt", "last.ckpt"]
    assert torch.load(kept, weights_only=True)["epoch"] == 1


def test_a_checkpoint_of_other_networks_is_no_start(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=2), tmp_path / "run")
    checkpoint = run.folder / "checkpoints" / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["model_format_version"] -= 1
    torch.save(content, checkpoint)
    with pytest.raises(InputError, match=r"last\.ckpt: was written by another version of gnnformd .* to start again\."):
        train(MODEL, liquid, settings(epochs=3), tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_named(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=1), tmp_path / "run")
    checkpoint = run.folder / "checkpoints" / "last.ckpt"
    whole, content = checkpoint.read_bytes(), torch.load(checkpoint, weights_only=True)
    weights = max(content["state_dict"].values(), key=torch.Tensor.numel)
    inside = whole.index(weights.numpy().tobytes())
    list_alone, without_optimizer = io.BytesIO(), io.BytesIO()
    torch.save([1], list_alone)
    torch.save({name: part for name, part in content.items() if name != "optimizer_states"}, without_optimizer)
    for bad in (
        whole[:1000],
        b"",
        b"hello world\n" * 10,
        whole[:-100],
        whole[:inside] + bytes([whole[inside] ^ 1]) + whole[inside + 1 :],
        list_alone.getvalue(),
        without_optimizer.getvalue(),
    ):
        checkpoint.write_bytes(bad)
        with pytest.raises(InputError, match=r"last\.ckpt: is damaged; continue from another one .* start again"):
            train(MODEL, liquid, settings(epochs=2), tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_left_out_of_the_choice_of_the_best(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=2, checkpoint_every=1), tmp_path / "run")
    (run.folder / "checkpoints" / "epoch-02.ckpt").write_bytes(b"junk")
    with pytest.warns(UserWarning, match=r"epoch-02\.ckpt: is damaged; the best of the other checkpoints is used\."):
        again = train(MODEL, liquid, settings(epochs=3, checkpoint_every=1), tmp_path / "run", resume=True)
    assert [record.epoch for record in again.records] == [1, 2, 3]
    assert load_model(again.model).card.trained_on[-1]["epoch"] != 2


def test_a_training_goes_on_with_the_network_it_was_started_with(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=2), tmp_path / "run")
    before = run.model.read_bytes(), (run.folder / "config.yaml").read_text()
    for name, other in (("dropout", 0.2), ("statistics", "stored"), ("width", 16), ("cutoff", 4.0)):
        changed = MODEL.model_copy(update={name: other})
        with pytest.raises(InputError, match=rf"last\.ckpt: model\.{name} was .*, not {other}; use the same settings"):
            train(changed, liquid, settings(epochs=3), tmp_path / "run", resume=True)
    with pytest.raises(InputError, match=r"training\.epochs: .*last\.ckpt has done 2 epochs, more than 1; set at"):
        train(MODEL, liquid, settings(epochs=1), tmp_path / "run", resume=True)
    assert (run.model.read_bytes(), (run.folder / "config.yaml").read_text()) == before


def test_a_training_goes_on_with_the_optimizer_and_the_kind_of_weights_it_was_started_with(
    liquid: DataSettings, tmp_path: Path
) -> None:
    run = train(DENSITY, liquid, settings(epochs=1), tmp_path / "run")
    before = run.model.read_bytes(), (run.folder / "config.yaml").read_text()
    freeze = (next(iter(dict(build_model(DENSITY, 1).named_parameters()))),)
    for name, other in (("optimizer", "soap"), ("energy_weight", "auto"), ("freeze", freeze)):
        with pytest.raises(
            InputError, match=rf"last\.ckpt: training\.{name} was .*, not .*; use the same setting with"
        ):
            train(DENSITY, liquid, settings(epochs=2, **{name: other}), run.folder, resume=True)
    assert (run.model.read_bytes(), (run.folder / "config.yaml").read_text()) == before


def test_a_training_goes_on_with_the_energies_and_validation_frames_it_began_with(tmp_path: Path) -> None:
    row = "2\nenergy={} my_energy={} Properties=species:S:1:pos:R:3:forces:R:3\nAr 0 0 0 1 0 0\nAr {} 0 0 -1 0 0\n"
    for name, first in (("a", 3.0), ("b", 3.05), ("c", 3.02)):
        rows = [row.format(-k, -2 * k, first + 0.1 * k) for k in range(1, 5)]
        (tmp_path / f"{name}.xyz").write_text("".join(rows))
    data = DataSettings(paths=[str(tmp_path / "a.xyz")], validation=[str(tmp_path / "b.xyz")])
    embedded = DENSITY.model_copy(update={"node_features": "embedding"})
    train(embedded, data, settings(epochs=1, energy_weight=1.0), tmp_path / "run")
    for other in ({"keys": {"energy": "my_energy"}}, {"validation": [str(tmp_path / "c.xyz")]}):
        changed = data.model_copy(update=other)
        with pytest.raises(InputError, match=r"last\.ckpt: the forces, energies or virials of its frames, or the vali"):
            train(embedded, changed, settings(epochs=2, energy_weight=1.0), tmp_path / "run", resume=True)
    files = [tmp_path / "a.xyz", tmp_path / "b.xyz"]
    for old, new in (("Ar", "Kr"), ("energy", 'Lattice="30 0 0 0 30 0 0 0 30" energy')):
        before = [path.read_text() for path in files]
        for path, text in zip(files, before, strict=True):
            path.write_text(text.replace(f"\n{old}", f"\n{new}"))
        with pytest.raises(InputError, match=r"last\.ckpt: the types, cells, charges or bonds of its frames were"):
            train(embedded, data, settings(epochs=2, energy_weight=1.0), tmp_path / "run", resume=True)
        for path, text in zip(files, before, strict=True):
            path.write_text(text)
    train(embedded, data, settings(epochs=2, energy_weight=1.0), tmp_path / "run", resume=True)


def test_a_training_goes_on_with_the_frames_it_began_with(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=2), tmp_path / "run")
    before = run.model.read_bytes()
    for other in ({"validation_fraction": 0.5}, {"frames": 10}):
        with pytest.raises(InputError, match=r"last\.ckpt: was trained on other frames; give the same data"):
            train(MODEL, liquid.model_copy(update=other), settings(epochs=3), tmp_path / "run", resume=True)
    assert run.model.read_bytes() == before


def test_without_a_force_field_a_model_learns_what_each_type_is(liquid: DataSettings, tmp_path: Path) -> None:
    plain = liquid.model_copy(update={"force_field": None, "elements": None})
    with pytest.warns(UserWarning, match=r"has no force field, so the model learns a vector for each type"):
        run = train(MODEL, plain, settings(epochs=1), tmp_path / "run")
    assert load_model(run.model).card.settings.node_features == "embedding"
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["model"]["node_features"] == "embedding"
    again = train(MODEL, plain, settings(epochs=2), tmp_path / "run", resume=True)
    assert [record.epoch for record in again.records] == [1, 2]


def test_the_same_seed_gives_the_same_bytes(liquid: DataSettings, tmp_path: Path) -> None:
    files = [train(MODEL, liquid, settings(epochs=2), tmp_path / name).model.read_bytes() for name in "ab"]
    other = train(MODEL, liquid, settings(epochs=2, seed=1), tmp_path / "c").model.read_bytes()
    assert files[0] == files[1]
    assert files[0] != other


def test_frames_one_by_one_or_together_give_the_same_steps(liquid: DataSettings, tmp_path: Path) -> None:
    exact = {"precision": "64-true", "matmul_precision": "highest", "warmup_penalty": 0.0}  # rotations, too, are alike
    runs = [
        train(DENSITY, liquid, settings(frames_at_once=size, **exact), tmp_path / str(size)).records
        for size in (1, 2, 4)
    ]
    # Adam divides tiny gradients by their own size, so that rounding (1e-16) grows from step to step
    for one, two, four in zip(*runs, strict=True):
        assert two.validation_loss == pytest.approx(one.validation_loss, rel=1e-6)
        assert four.train_loss == pytest.approx(one.train_loss, rel=1e-6)


def test_a_time_limit_ends_the_training_with_a_model(liquid: DataSettings, tmp_path: Path) -> None:
    run = train(MODEL, liquid, settings(epochs=100_000, max_minutes=0.01), tmp_path / "run")
    assert 1 <= len(run.records) < 1000
    assert load_model(run.model).card.kind == "gamd"


@pytest.mark.parametrize("fast", [True, False])
def test_gradients_are_rounded_where_that_is_fast_and_it_is_said_where_not(
    fast: bool, liquid: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: fast)
    rounded, exact = (settings(epochs=1, round_gradients=rounds) for rounds in (True, False))
    sentence = r"training\.round_gradients: this processor has no instructions for bfloat16 numbers \(AVX512_BF16\)"
    with nullcontext() if fast else pytest.warns(UserWarning, match=sentence):
        one = train(MODEL, liquid, rounded, tmp_path / "rounded").records[0]
    other = train(MODEL, liquid, exact, tmp_path / "exact").records[0]
    assert (one.validation_loss == other.validation_loss) is not fast


@pytest.mark.parametrize(("changes", "kept"), [((), [1, 2, 3]), (("training.checkpoint_every=2",), [2])])
def test_a_fine_tuning_keeps_every_epoch(
    liquid: DataSettings, tmp_path: Path, changes: tuple[str, ...], kept: list[int]
) -> None:
    start = train(MODEL, liquid, settings(epochs=1), tmp_path / "start").model
    words = ["finetune", str(start), "seed-argon", "--data", liquid.paths[0], "--out", str(tmp_path / "run")]
    sets = ("model.width=8", "model.cutoff=4.4", f"data.force_field={liquid.force_field}", "training.epochs=3")
    sets += ("training.accelerator=cpu", "training.stability_check=false", "training.loggers=[]", *changes)
    done = CliRunner().invoke(app, [*words, *(word for change in sets for word in ("--set", change))])
    assert done.exit_code == 0, done.output
    found = sorted((tmp_path / "run" / "checkpoints").glob("epoch-*.ckpt"))
    assert [path.name for path in found] == [f"epoch-{epoch:02d}.ckpt" for epoch in kept]


def test_ctrl_c_leaves_the_model_of_the_last_epoch_and_can_be_resumed(liquid: DataSettings, tmp_path: Path) -> None:
    def interrupt(record: object) -> None:
        if record.epoch == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(MODEL, liquid, settings(), tmp_path / "run", listener=interrupt)
    assert load_model(tmp_path / "run").card.trained_on[-1]["epochs"] >= 1
    run = train(MODEL, liquid, settings(), tmp_path / "run", resume=True)
    assert [record.epoch for record in run.records] == [1, 2, 3, 4]


def test_a_network_whose_layers_add_to_plain_features_is_not_trained_further(
    liquid: DataSettings, tmp_path: Path
) -> None:
    plain = PlainResidualSettings(width=8, cutoff=4.4)
    save_model(tmp_path / "old.safetensors", build_model(plain, 2), ModelCard(plain, ("Ar", "Kr"), FIELD))
    with pytest.raises(InputError, match=r"old\.safetensors: its layers add to their input as it was, .* a new one\."):
        finetune(tmp_path / "old.safetensors", MODEL, liquid, settings(), tmp_path / "run")


def test_fine_tuning_starts_from_the_weights_and_leaves_frozen_parts_alone(
    liquid: DataSettings, tmp_path: Path
) -> None:
    first = train(MODEL, liquid, settings(epochs=2), tmp_path / "first")
    near = MODEL.model_copy(update={"cutoff": 4.0})
    freeze = ("decoder", "message_layers.[12].*")
    again = finetune(first.model, near, liquid, settings(epochs=2, freeze=freeze), tmp_path / "again")
    before, after = load_model(first.model), load_model(again.model)
    assert after.card.cutoff == 4.0
    assert len(after.card.trained_on) == 2
    moved = 0
    for name, value in before.model.named_parameters():
        same = torch.equal(value, dict(after.model.named_parameters())[name])
        frozen = name.startswith(("decoder.", "message_layers.1.", "message_layers.2."))
        assert same or not frozen, name
        moved += not same
    assert moved > 10


@pytest.mark.parametrize("model", [MODEL, DENSITY], ids=["gamd", "density"])
def test_fine_tuning_knows_the_error_before(model: ModelSettings, liquid: DataSettings, tmp_path: Path) -> None:
    first = train(model, liquid, settings(epochs=2), tmp_path / "first")
    assert first.before is None
    again = finetune(first.model, model, liquid, settings(epochs=2), tmp_path / "again")
    assert again.before == pytest.approx(first.best.validation_l1_per_atom, rel=1e-6)
    further = finetune(first.model, model, liquid, settings(epochs=3), tmp_path / "again", resume=True)
    assert further.before == again.before


def test_what_cannot_be_done_is_said_in_a_sentence(liquid: DataSettings, tmp_path: Path) -> None:
    first = train(MODEL, liquid, settings(epochs=1), tmp_path / "first")
    with pytest.raises(InputError, match=r"already contains a training; continue it with --resume"):
        train(MODEL, liquid, settings(), tmp_path / "first")
    with pytest.raises(InputError, match=r"no such checkpoint"):
        train(MODEL, liquid, settings(), tmp_path / "none", resume=True)
    with pytest.raises(InputError, match=r"training\.freeze: nothing in the model is named 'decodr'.* 'decoder'"):
        train(MODEL, liquid, settings(freeze=("decodr",)), tmp_path / "x")
    with pytest.raises(InputError, match=r"training\.freeze: all parameters are frozen"):
        train(MODEL, liquid, settings(freeze=("*",)), tmp_path / "x")
    with pytest.raises(InputError, match=r"nan: the errors are not finite; lower training\.learning_rate"):
        train(MODEL, liquid, settings(epochs=2, learning_rate=1e30, warmup_epochs=0), tmp_path / "nan")
    wider = MODEL.model_copy(update={"width": 16})
    with pytest.raises(InputError, match=r"weight '.*' does not fit the settings under 'model'"):
        finetune(first.model, wider, liquid, settings(), tmp_path / "x")
    learned = MODEL.model_copy(update={"node_features": "embedding"})
    own = train(learned, liquid, settings(epochs=1), tmp_path / "learned")
    others = liquid.model_copy(update={"force_field": None, "elements": None})
    with pytest.raises(InputError, match=r"has learned vectors for the types Ar, Kr, and the data has 1, 2;"):
        finetune(own.model, learned, others, settings(), tmp_path / "x")
    with pytest.raises(InputError, match=r"training\.compile: a 'density' model differentiates its energy twice"):
        train(DensitySettings(), liquid, settings(compile=True), tmp_path / "x")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"training\.accelerator: no gpu is available"):
            train(MODEL, liquid, settings(accelerator="gpu"), tmp_path / "y")


SALT = """units real
atom_style charge
lattice fcc 5.4
region b block 0 2 0 2 0 2
create_box 2 b
create_atoms 1 box
set type 1 type/ratio 2 0.5 11
set type 1 charge 0.2
set type 2 charge -0.2
mass * 40
pair_style lj/cut/coul/debye 0.3 5.0
pair_coeff * * 0.2378 3.405
velocity all create 90 3
fix 1 all nve
dump 1 all custom 10 a id type x y z
run 20
"""


@pytest.mark.parametrize("name", ["run", "run/trajectory.dump"])
def test_a_run_named_by_its_trajectory_is_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.lmp").write_text(SALT)
    generate(tmp_path / "in.lmp", tmp_path / "run")
    data = DataSettings(paths=[str(tmp_path / name)])
    datasets = open_datasets(data)
    table = np.genfromtxt(tmp_path / "run" / "thermo.csv", delimiter=",", names=True)["temperature_K"]
    assert _temperatures(datasets)["temperature_K"] == pytest.approx([table.min(), table.mean(), table.max()])
    fit = _Fit(DensitySettings(electrostatics="fixed"), data, settings(), tmp_path, None, None)
    with pytest.warns(UserWarning, match=rf"{name}: its charges act within a cutoff, are screened or beside the atoms"):
        assert fit._with_known_charges(datasets) is fit
