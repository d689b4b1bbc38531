import pytest

from gnnformd.errors import InputError
from gnnformd.simulation.settings import SimulationSettings


def test_options_that_are_not_given_take_their_default():
    settings = SimulationSettings.from_options(steps=5, temperature=None)
    assert (settings.steps, settings.temperature, settings.engine) == (5, 300.0, "lammps")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 0}, "--steps: input should be greater than or equal to 1"),
        ({"dump_every": 0}, "--dump-every: "),
        ({"temperature": -1}, "--temperature: input should be greater than 0"),
        ({"ensemble": "nph"}, "--ensemble: input should be 'nve', 'nvt' or 'npt'"),
        ({"ranks": 2, "engine": "ase"}, "several ranks are available in LAMMPS only"),
        ({"engine": "ase", "ensemble": "npt"}, "npt is available in LAMMPS only"),
        ({"tempo": 1}, "--tempo: "),
    ],
)
def test_an_impossible_option_is_named_in_one_sentence(options, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        SimulationSettings.from_options(**options)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
