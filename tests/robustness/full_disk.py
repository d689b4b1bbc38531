"""Run every command that writes on a full disk and on one that is read-only: python -m tests.robustness.full_disk.

It mounts small disks in memory, for which it must be root. Each command must end with one sentence and exit status 2,
and leave what was there as it was.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.robustness.crash import prepare

COMMAND = "import sys; from gnnformd.cli import main; sys.argv[0] = 'gnnformd'; main()"
COMMANDS = {
    "generate": "generate argon.lmp --out {disk}/argon",
    "generate a large run": "generate long.lmp --out {disk}/long",
    "train": "train my.yaml --out {disk}/run",
    "train a large model": "train my.yaml --set model.width=64 --out {disk}/large",
    "evaluate": "evaluate run/model.safetensors liquid.dump --force-field field.yaml --json {disk}/evaluate.json",
    "simulate": "simulate small.safetensors argon.data --steps 300 --out {disk}/md",
    "export": "export argon --out {disk}/argon.pkl",
    "report": "report run --out {disk}/report.html",
}


def main() -> int:
    """Print a line per command; 1 if one did not end with a sentence or changed the good file."""
    failures = 0
    with tempfile.TemporaryDirectory() as top:
        folder, disk = Path(top), Path(top) / "disk"
        disk.mkdir()
        prepare(folder)
        (folder / "long.lmp").write_text((folder / "argon.lmp").read_text().replace("run 4000", "run 100000"))
        assert _run("train my.yaml --out run", folder).returncode == 0
        for kind, left in (("full", 8_000), ("nearly full", 200_000), ("read-only", 0)):
            for name, words in COMMANDS.items():
                if kind == "nearly full" and "large" not in name:
                    continue  # there is room for it
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
                try:
                    (disk / "good.json").write_text("{}")
                    if kind == "read-only":
                        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
                    else:
                        (disk / "filler").write_bytes(bytes((1 << 20) - 4096 - left))
                    failures += not _said(f"{name}, {kind}", words, folder, disk)
                finally:
                    subprocess.run(["umount", str(disk)], check=True)
    print(f"{failures} failures")
    return 1 if failures else 0


def _said(name: str, words: str, folder: Path, disk: Path) -> bool:
    done = _run(words.format(disk=disk), folder)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    good = done.returncode == 2 and len(lines) == 1 and (disk / "good.json").read_text() == "{}"
    hidden = [path.name for path in disk.rglob(".*")]
    print(
        f"{name}: {'ok' if good and not hidden else 'FAILED'} {hidden or ''} {lines[-1] if lines else done.returncode}"
    )
    return good and not hidden


def _run(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, *words.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
