"""Whether a training gave a model that is of use, and whether its data agree with themselves, by its errors."""

from __future__ import annotations

from gnnformd.model.files.virial_order import ORDER

__all__ = ["why_another_order", "why_another_sign", "why_inconsistent", "why_unusable"]

LARGEST = 0.5
"""Share of the forces from which on an error makes a model useless; one that predicts no forces at all has 1."""

CONTRADICTION = {"energies": (0.35, 4.0), "virials": (0.08, 1.2)}
"""Shares from which on an error contradicts good forces, and how many times as large as that of the forces they must
be."""

SETTINGS = {"energies": "training.energy_weight=0", "virials": "training.virial_weight=0"}
"""What leaves them out of a training."""

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
        f"{found} Train longer (--max-minutes); where that does not help, check units, signs (stresses "
        "are positive under tension), types and charges of the data with gnnformd inspect, and add frames."
    )


def why_another_order(data: str, found: str) -> str:
    """Say which order of components fits, and what to write.

    Parameters
    ----------
    data
        Its path or name.
    found
        From `gnnformd.model.files.virial_order.virial_order`.
    """
    return (
        f"{data}: its virials are written in another order than they are read in: as {found} they fit the forces of "
        f"this model, as {' '.join(ORDER)} they do not; write all nine components, or these six in that order."
    )


def why_another_sign(data: str) -> str:
    """Say that stresses have the other sign, and what to write.

    Parameters
    ----------
    data
        Its path or name.
    """
    return (
        f"{data}: its stresses or virials fit the forces of this model with the other sign; write stresses that are "
        "positive under tension (eV/angstrom^3), or virials that are positive under compression (eV)."
    )


def why_inconsistent(
    error: float | None,
    force: float | None,
    training_error: float | None,
    energy_share: float | None,
    virial_share: float | None,
) -> str | None:
    """Say that energies or virials of the data contradict their forces; None where they do not, or it is not known.

    Forces are the slope of the energy, so what gives good forces gives good differences of energies, too, at least of
    frames that were trained on. Energies in another unit, of an atom instead of a frame, or forces and virials of the
    other sign cannot be met together, whatever the model is.

    Parameters
    ----------
    error, force, training_error
        As in `why_unusable`.
    energy_share, virial_share
        Errors of training frames beside what they could be (`EpochRecord.train_energy_share` of
        `gnnformd.training.run_log`); None for what was not learned.
    """
    if error is None or force is None or not force >= SMALLEST or error >= LARGEST * force:
        return None
    of_forces = (error if training_error is None else training_error) / force
    wrong = {}
    for (name, (least, times)), share in zip(CONTRADICTION.items(), (energy_share, virial_share), strict=True):
        if share is not None and share >= max(least, times * of_forces):
            wrong[name] = share
    if not wrong:
        return None
    beside = {"energies": "their differences between frames", "virials": "what forces of this size make"}
    found = " and ".join(f"its {name} by {100 * share:.0f} % of {beside[name]}" for name, share in wrong.items())
    return (
        f"The forces of this model are wrong by {100 * error / force:.0f} %, but {found}, in training frames: forces "
        f"and {' and '.join(wrong)} of the data seem to contradict each other. Check the unit and the sign of each "
        "(energies in eV of a whole frame, stresses in eV/angstrom^3, positive under tension) and that all frames have "
        "the same total charge, spin and method, or leave out what is wrong "
        f"({', '.join(SETTINGS[name] for name in wrong)})."
    )
