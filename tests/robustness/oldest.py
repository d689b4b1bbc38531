"""Install the oldest versions that pyproject.toml allows and run the quick tests: python -m tests.robustness.oldest.

torch alone is installed as constraints.txt names it; its lower bound is what its notes promise and has not been run.
Further arguments go to pytest.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/test_config.py",
    "tests/test_files.py",
    "tests/test_force_field.py",
    "tests/test_yaml_files.py",
    "tests/trajectory",
    "tests/graph",
    "tests/model",
    "tests/evaluation",
    "tests/reference/test_launch.py",
    "tests/simulation/test_calculator.py",
    "tests/test_cli.py",
    "tests/robustness/test_fuzz.py",
    "tests/robustness/test_same_bytes.py",
)


def main() -> int:
    """Exit status of pytest."""
    with tempfile.TemporaryDirectory(prefix="oldest-") as top:
        venv.create(top, with_pip=True)
        python = str(Path(top) / "bin" / "python")
        wanted = Path(top) / "oldest.txt"
        wanted.write_text("\n".join(oldest()))
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        packages = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        (Path(packages.strip()) / "here.pth").write_text(str(ROOT / "src"))
        return subprocess.run([python, "-m", "pytest", *(sys.argv[1:] or TESTS)], cwd=ROOT, check=False).returncode


def oldest() -> list[str]:
    """Find the lower bound of each dependency, and of what the tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = [tool for tool in project["optional-dependencies"]["dev"] if re.match("pytest|hypothesis", tool)]
    bounds = [re.split(">=", requirement) for requirement in [*project["dependencies"], *tools]]
    pinned = re.search("^torch==.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    return [pinned[0] if name == "torch" else f"{name}=={bound}" for name, bound in bounds]


if __name__ == "__main__":
    sys.exit(main())
