"""Read many damaged files of every kind and count what happens: python -m tests.robustness.fuzz --inputs 100000.

Every input is read, or refused with one sentence that names the file and says what to do. Anything else (another
exception, more than ten seconds, more than two gigabytes above the start) is printed with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.robustness.targets import TARGETS, complaint, damage

SECONDS, MEMORY = 10, 2 << 30


class Hang(BaseException):
    """An input took too long."""


def main() -> int:
    """Print a line per kind of file; 1 if anything but a reading or a sentence came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(TARGETS))
    options = parser.parse_args()
    names = [options.only] if options.only else list(TARGETS)
    signal.signal(signal.SIGALRM, _late)
    failures = 0
    for name in names:
        failures += _run(name, options.inputs // len(names), options.seed)
    print(f"{failures} failures; largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    return 1 if failures else 0


def _late(*_: Any) -> None:
    raise Hang


def _run(name: str, count: int, seed: int) -> int:
    target = TARGETS[name]
    counts: collections.Counter[str] = collections.Counter()
    kinds: set[str] = set()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        samples = target.samples(Path(folder))
        for sample in samples:
            assert complaint(target, Path(folder), sample) is None, f"{name}: a good file is refused"
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for index in range(count):
            choose = random.Random(f"{name} {seed} {index}")
            content = damage(choose.choice(samples), target.words, choose)
            start = time.perf_counter()
            signal.alarm(SECONDS)
            try:
                counts["read" if complaint(target, Path(folder), content) is None else "refused"] += 1
            except (Exception, Hang) as error:
                counts["failed"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} {where.filename}:{where.lineno}" + (
                    str(error)[:60].replace(folder, "") if isinstance(error, AssertionError) else ""
                )
                if kind not in kinds and len(kinds) < 40:
                    kinds.add(kind)
                    print(f"{name} {seed} {index}: {type(error).__name__}: {str(error)[:300]} {where}")
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
    told = ", ".join(f"{counts[key]} {key}" for key in ("read", "refused", "failed"))
    print(f"{name}: {count} inputs, {told}, slowest {slowest:.2f} s", flush=True)
    return counts["failed"]


if __name__ == "__main__":
    sys.exit(main())
