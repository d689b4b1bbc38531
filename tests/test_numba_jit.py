"""Machine code on disk, with several processes at once."""

from pathlib import Path

from gnnformd.numba_jit import _CacheFile


class Delayed(_CacheFile):
    """A process whose view of the index is older than what another process has written since."""

    def _load_index(self):
        return {}


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_processes_that_save_at_once_never_read_each_others_code(tmp_path):
    first, second = _CacheFile(tmp_path, "f", 1), Delayed(tmp_path, "f", 1)
    first.save("double", "code of double")
    second.save("single", "code of single")
    reader = _CacheFile(tmp_path, "f", 1)
    assert reader.load("single") == "code of single"
    assert reader.load("double") in (None, "code of double")
    first.save("double", "code of double")
    assert (reader.load("double"), reader.load("single")) == ("code of double", "code of single")


def test_code_of_older_source_is_never_read(tmp_path):
    _CacheFile(tmp_path, "f", 1).save("double", "old code")
    new = _CacheFile(tmp_path, "f", 2)
    new._save_index({"double": new_name(tmp_path)})  # another process, before it could write the code
    assert new.load("double") is None
    new.save("double", "new code")
    assert new.load("double") == "new code"
    assert len(files_in(tmp_path)) == 2  # an index and the new code


def new_name(folder: Path) -> str:
    """Name of the code of the second source."""
    other = folder / "other"
    other.mkdir()
    _CacheFile(other, "f", 2).save("double", "")
    (name,) = (path.name for path in other.glob("*.nbc"))
    for path in other.iterdir():
        path.unlink()
    other.rmdir()
    return name
