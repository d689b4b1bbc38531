import pytest

ARGON = """units real
atom_style atomic
variable seed index 42
region box block 0 20 0 20 &
  0 20
create_box 1 box
mass 1 39.948
pair_style lj/cut 8.0
pair_coeff 1 1 0.2378 3.405
create_atoms 1 random 60 ${seed} NULL overlap 3.0 maxtry 100
velocity all create 90 ${seed}
fix 1 all nve
dump 1 all atom 10 movie.lammpstrj
run 20
run 30
"""
"""A small input as a user may have it: its dump has no forces."""


@pytest.fixture
def argon_input(tmp_path):
    """Write the input, with replacements, into a folder of its own."""

    def write(*replacements):
        text = ARGON
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        folder = tmp_path / "user"
        folder.mkdir(exist_ok=True)
        (folder / "in.lmp").write_text(text)
        return folder / "in.lmp"

    return write
