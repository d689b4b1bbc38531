"""Whether a training gave a model that is of use, by the error of its forces beside the forces themselves."""

from __future__ import annotations

__all__ = ["why_unusable"]

LARGEST = 0.5
"""Share of the forces from which on an error makes a model useless; one that predicts no forces at all has 1."""

SMALLEST = 0.07
"""Mean force below which data say nothing of that (relaxed structures), kcal/mol/angstrom: noise of electronic
structure codes, 1 meV/angstrom along each axis."""


def why_unusable(error: float | None, force: float | None, training_error: float | None = None) -> str | None:
    """Say that a model is not usable and what would help; None where it is usable, or where it is not known.

    Parameters
    ----------
    error
        Of validation frames: mean over atoms of ``|dFx| + |dFy| + |dFz|``, kcal/mol/angstrom.
    force
        Mean over atoms of ``|Fx| + |Fy| + |Fz|`` of the same frames, kcal/mol/angstrom.
    training_error
        As `error`, of training frames.
    """
    if error is None or force is None or not force >= SMALLEST or error < LARGEST * force:
        return None
    found = (
        f"This model is not usable: its forces are wrong by {100 * error / force:.0f} % of the forces of the "
        "validation frames (a model without any forces has 100 %)."
    )
    if training_error is not None and training_error < 0.5 * error:
        return (
            f"{found} Training frames are at {100 * training_error / force:.0f} %, so there are too few of them, or "
            "they are unlike the validation frames; add frames."
        )
    return (
        f"{found} Train longer (--max-minutes); where that does not help, check units, types and charges of the data "
        "with gnnformd inspect, and add frames."
    )
