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
