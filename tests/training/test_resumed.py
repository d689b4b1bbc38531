from pathlib import Path

import pytest

from gnnformd.errors import InputError
from gnnformd.training.run_folder import Resumed, refuse_other_frames


def test_frames_are_compared_without_reading_the_checkpoint_again():
    gone = Path("last.ckpt")
    refuse_other_frames(Resumed(gone, ["a"], ["b"]), ["a"], ["b"])
    refuse_other_frames(Resumed(gone, ["a"], None), ["a"], ["b"])
    with pytest.raises(InputError, match=r"last\.ckpt: was trained on other frames"):
        refuse_other_frames(Resumed(gone, ["a"], ["b"]), ["c"], ["b"])
    with pytest.raises(InputError, match="or the validation frames, were others"):
        refuse_other_frames(Resumed(gone, ["a"], ["b"]), ["a"], ["c"])


def test_types_cells_charges_and_bonds_are_compared_where_a_checkpoint_has_them():
    one, other = "inputs 1", "inputs 2"
    refuse_other_frames(Resumed(Path("last.ckpt"), ["a"], ["b", one]), ["a"], ["b", one])
    refuse_other_frames(Resumed(Path("last.ckpt"), ["a"], ["b"]), ["a"], ["b", other])  # of an older version
    with pytest.raises(InputError, match="the types, cells, charges or bonds of its frames were others"):
        refuse_other_frames(Resumed(Path("last.ckpt"), ["a"], ["b", one]), ["a"], ["b", other])
    with pytest.raises(InputError, match="the weights of its frames were others"):
        refuse_other_frames(Resumed(Path("last.ckpt"), ["a"], ["b", one, "weights 1"]), ["a"], ["b", one])
