"""The configuration file: every key is checked, and whatever is wrong is said in one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from gnnformd.config import Config, dump_config, load_config, preset_names, settings_classes
from gnnformd.errors import InputError

ROOT = Path(__file__).parents[1]


def complaint(source: Path | str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_config(source, overrides)
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return path

    return write


def test_the_presets_of_the_seed_say_what_the_slides_say() -> None:
    for name, cutoff in (("seed-water", 3.4), ("seed-argon", 4.4)):
        config = load_config(name)
        assert (config.model.kind, config.model.cutoff) == ("gamd", cutoff)
        assert (config.model.layers, config.model.width, config.model.dropout) == (3, 128, 0.1)
        training = config.training
        assert (training.batch_size, training.epochs, training.warmup_epochs) == (16, 36, 5)
        assert (training.learning_rate, training.decay, training.checkpoint_every) == (1e-3, 0.9, 6)
        assert training.rotations
        assert training.warmup_penalty == 216 * 32
        assert (config.data.split, config.data.validation_fraction) == ("shuffled", 0.1)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_writes_out_and_explains_every_setting(name: str) -> None:
    text = (ROOT / "src/gnnformd/configs" / f"{name}.yaml").read_text()
    written = yaml.safe_load(text)
    complete = load_config(name).model_dump()
    if name.startswith("seed-"):
        assert {part: set(keys) for part, keys in written.items()} == {p: set(k) for p, k in complete.items()}
    for line in text.splitlines():
        if line.startswith("  ") and ":" in line:
            assert "# " in line, f"{name}: no explanation: {line}"


def test_a_dumped_configuration_reads_back_equal(write) -> None:
    config = load_config("seed-water", ["training.freeze=[decoder.*]", "training.ema_decay=0.999", "data.frames=12"])
    assert load_config(write(dump_config(config))) == config


def test_what_a_file_leaves_out_takes_its_default(write) -> None:
    config = load_config(write("model: {kind: gamd}\n"))
    assert config == Config(model=type(config.model)())
    assert config.data.split == "blocks"


def test_overrides_are_applied_in_order_and_read_as_yaml() -> None:
    changes = ["training.learning_rate=1e-3", "training.learning_rate=5e-4", "data.paths=[a, b]", "data.frames=null"]
    config = load_config("seed-water", changes)
    assert config.training.learning_rate == 5e-4
    assert config.data.paths == ["a", "b"]
    assert config.data.frames is None


def test_a_misspelt_key_names_file_line_and_the_nearest_key(write) -> None:
    path = write("model: {kind: gamd}\ntraining:\n  epochs: 3\n  lerning_rate: 0.1\n")
    assert complaint(path) == (
        f"{path}, line 4: training.lerning_rate is no setting; did you mean training.learning_rate?"
    )


def test_a_key_in_the_wrong_part_is_sent_to_the_right_one(write) -> None:
    path = write("model: {kind: gamd}\nlearning_rate: 0.1\n")
    assert complaint(path) == f"{path}, line 2: learning_rate is no setting; did you mean training.learning_rate?"


def test_a_misspelt_override_is_quoted() -> None:
    assert complaint("seed-water", "training.epoch=3").startswith(
        "--set training.epoch=3: training.epoch is no setting"
    )
    assert complaint("seed-water", "trainnig.epochs=3").endswith("did you mean training?")
    assert complaint("seed-water", "seed=3").endswith("did you mean data.seed or training.seed?")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("epochs: many", "training.epochs must be a whole number, not 'many'."),
        ("epochs: 2.5", "training.epochs must be a whole number, not 2.5."),
        ("epochs: '3'", "training.epochs must be a whole number, not '3'."),
        ("epochs: true", "training.epochs must be a whole number, not True."),
        ("epochs: 0", "training.epochs must be at least 1, not 0."),
        ("learning_rate: -1", "training.learning_rate must be greater than 0, not -1."),
        ("rotations: 1", "training.rotations must be true or false, not 1."),
        ("freeze: decoder", "training.freeze must be a list, such as [a, b], not 'decoder'."),
        ("freeze: [3]", "training.freeze.0 must be text, not 3."),
        ("precision: 31", "training.precision must be '32-true', '64-true', 'bf16-mixed' or '16-mixed', not 31."),
    ],
)
def test_a_wrong_value_is_explained_in_a_sentence(write, line: str, sentence: str) -> None:
    path = write(f"model:\n  kind: gamd\ntraining:\n  {line}\n")
    assert complaint(path) == f"{path}, line 4: {sentence}"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("- a\n- b\n", "holds no mapping"),
        ("", "model is missing; add it"),
        ("model: gamd\n", "line 1: model must be a mapping of settings, not 'gamd'"),
        ("model: {kind: gamd}\nmodel: {kind: gamd}\n", "line 2: model is given twice"),
        ("model: {kind: gamd, cutoff: .nan}\n", "a number is not finite"),
        ("model: [\n", "is not plain YAML"),
        ("a: *b\n", "is not plain YAML"),
        ("model: {? [1, 2] : 3}\n", "is not plain YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_sentence(write, text: str, part: str) -> None:
    path = write(text)
    found = complaint(path)
    assert found.startswith(str(path))
    assert part in found
    assert "\n" not in found


def test_a_tag_runs_no_code(write, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = write(
        f"model: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{witness}']]\n"
    )
    assert "line 1: is not plain YAML" in complaint(path)
    assert not witness.exists()


def test_a_missing_file_names_the_presets(tmp_path: Path) -> None:
    found = complaint(tmp_path / "seed-wtaer.yaml")
    assert "there is no such file" in found
    assert "seed-argon, seed-water" in found


def test_reading_a_configuration_does_not_load_torch() -> None:
    code = "import sys, gnnformd.config as c; c.load_config('seed-water'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_setting_is_described() -> None:
    for part in Config.model_fields:
        for settings in settings_classes(part):
            assert issubclass(settings, BaseModel)
            for name, field in settings.model_fields.items():
                assert field.description or name == "kind", f"{settings.__name__}.{name}"


def test_the_page_about_settings_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("write_config", ROOT / "docs/write_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/config.md").read_text(encoding="utf-8") == module.page(), "run 'make docs'"
