"""Let coverage guide the damage to dumps: pip install atheris; python -m tests.robustness.fuzz_coverage -runs=100000.

Options are those of libFuzzer. It stops at the first input that is neither read nor refused with a sentence, and writes
that input to the working folder. Compiled functions are left as they are; what surrounds them is watched.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Start from the good dumps."""
    import atheris

    with atheris.instrument_imports(
        include=["gnnformd.trajectory"],
        exclude=["gnnformd.trajectory.fast_text.number_rows", "gnnformd.trajectory.fast_text.sort_rows"],
    ):
        from tests.robustness.targets import TARGETS, complaint
    dump = TARGETS["dump"]
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "good"
        start.mkdir()
        for k, sample in enumerate(dump.samples(Path(folder))):
            (start / str(k)).write_bytes(sample)
        words = Path(folder) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in dump.words))

        def read(content: bytes) -> None:
            complaint(dump, Path(folder), content)

        atheris.Setup(
            [*sys.argv, f"-dict={words}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=4096", str(start)], read
        )
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
