"""Choose the settings of a training from its data, with a reason for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gnnformd.automatic.facts import REACH, DataFacts, gather_facts
from gnnformd.config import Config, make_config
from gnnformd.errors import InputError
from gnnformd.trajectory.packed.dataset import PackedDataset, open_datasets

__all__ = ["Choice", "Chosen", "choose_config"]

NEIGHBORS = 60
"""An atom's neighbors within the cutoff, where nothing else decides: some four shells of a crystal."""

SHORTEST_CUTOFF, LONGEST_CUTOFF = 4.5, 9.0  # angstrom
CUTOFF_OF_MOLECULE, CUTOFF_OF_CLUSTER = 5.0, 6.0  # angstrom, in vacuum
LONGEST_OF_LENNARD_JONES = 12.0  # angstrom
CUTOFF_OF_SCREENED_CHARGES = 8.0  # angstrom
SEARCHED = (0.9, 1.04)  # times the cutoff: where a gap between shells is searched
FEWEST = 0.7  # of the neighbors wanted, or within the cutoff if they are fewer, that such a gap must leave
MANY_ATOMS = 50_000  # in all frames together
MANY_SYSTEMS = 20  # from which whole systems can be left for validation
MINUTES, MINUTES_OF_QUANTUM_DATA = 10.0, 30.0


@dataclass(frozen=True)
class Choice:
    """One setting.

    Attributes
    ----------
    key
        As in a configuration: ``model.cutoff``.
    value
        Its value.
    reason
        Why.
    """

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Chosen:
    """The settings of a training, and why they are so.

    Attributes
    ----------
    config
        The complete configuration.
    facts
        What the data are, a sentence each.
    choices
        Settings that depend on the data. Those of the user are among them.
    """

    config: Config
    facts: tuple[str, ...]
    choices: tuple[Choice, ...]


def choose_config(paths: Sequence[str], overrides: Sequence[str] = ()) -> Chosen:
    """Look at the data and choose the settings of a training with the density model.

    Parameters
    ----------
    paths
        The data, as ``data.paths``.
    overrides
        Settings that are not chosen, of the form ``a.b=value``; those of ``data`` say how the data are read.

    Raises
    ------
    InputError
        The data cannot be read, or an override is wrong.
    """
    start: dict[str, Any] = {"model": {"kind": "density"}, "data": {"paths": list(paths)}, "training": dict(TRAINING)}
    given = make_config(start, overrides, "auto")
    if given.model.kind != "density":
        raise InputError(f"--set model.kind={given.model.kind}: 'auto' chooses settings of density; name a preset.")
    datasets = open_datasets(given.data)
    facts = gather_facts(datasets)
    choices = [*_data_choices(facts, datasets), *_model_choices(facts), *_training_choices(facts)]
    for choice in choices:
        part, name = choice.key.split(".")
        start[part][name] = choice.value
    config = make_config(start, overrides, "auto")
    return Chosen(config, tuple(_describe(facts)), tuple(_as_used(choice, config) for choice in choices))


TRAINING: dict[str, Any] = {
    "epochs": None,
    "max_minutes": MINUTES,
    "loss": "huber",
    "schedule": "cosine",
    "rotations": False,
    "checkpoint_every": 1,
    "validation_frames": 100,
    "ema_decay": 0.995,
    "threads": 1,
}
"""Settings of a training that do not depend on the data."""


def _as_used(choice: Choice, config: Config) -> Choice:
    """Replace what the user has set otherwise."""
    part, name = choice.key.split(".")
    used = getattr(getattr(config, part), name)
    return choice if used == choice.value else Choice(choice.key, used, "as you say")


def _describe(facts: DataFacts) -> list[str]:
    """Say what the data are."""
    size = f"{facts.smallest}" if facts.smallest == facts.largest else f"{facts.smallest} to {facts.largest}"
    whole, open_ = facts.periodic
    boxes = "periodic" if whole == facts.sampled else "not periodic" if open_ == facts.sampled else "partly periodic"
    dense = "" if facts.density is None else f", {facts.density:.3g} atoms/angstrom^3"
    targets = ["forces"]
    for name, count in (("energies", facts.energies), ("virials", facts.virials)):
        if count:
            targets.append(name if count == facts.frames else f"{name} of {count} frames")
    found = [
        f"{facts.frames} frames of {size} atoms ({', '.join(facts.types)}), {boxes}{dense}",
        f"{', '.join(targets)}; "
        f"{'a force field' if facts.force_field else 'no force field'}, "
        f"{'bonds' if facts.longest_bond_path else 'no bonds'}, "
        f"{f'charges up to {facts.charges:.3g} e' if facts.charges else 'no charges'}",
    ]
    if facts.config_types:
        names = sorted(facts.config_types)
        listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        found.append(f"kinds of configuration: {listed}")
    if facts.isolated_atoms:
        found.append(f"energies of isolated atoms: {', '.join(facts.isolated_atoms)}")
    return found


def _data_choices(facts: DataFacts, datasets: Sequence[PackedDataset]) -> list[Choice]:
    found = []
    names = [set(dataset.type_names or ()) for dataset in datasets]
    every = set[str]().union(*names)
    if facts.force_field is None and every and all(names) and every != max(names, key=len):
        from ase.data import atomic_numbers

        order = sorted(every, key=lambda name: (atomic_numbers.get(name, len(atomic_numbers)), name))
        found.append(Choice("data.elements", order, "the files have different elements"))
    if facts.validation_frames:
        return found
    if len(facts.config_types) > 1:
        reason = "so that every kind of configuration is in both parts"
        if facts.in_order:
            reason += "; frames next to each other are alike, so the validation error is too low"
        found.append(Choice("data.split", "stratified", reason))
    elif facts.one_system:
        found.append(Choice("data.split", "blocks", "consecutive frames of a trajectory are alike"))
    elif facts.recurring >= max(MANY_SYSTEMS, facts.compositions / 2):
        reason = f"{facts.recurring} systems have several frames each: whole systems validate"
        found.append(Choice("data.split", "compositions", reason))
    elif facts.in_order:
        found.append(
            Choice("data.split", "blocks", "the frames are of different systems, but next to each other alike")
        )
    else:
        found.append(Choice("data.split", "shuffled", "the frames are of different systems"))
    return found


def _model_choices(facts: DataFacts) -> list[Choice]:
    lennard_jones = _is_lennard_jones(facts)
    found = [_cutoff(facts), _layers(facts)]
    if lennard_jones:
        found.append(Choice("model.body_order", 2, "Lennard-Jones alone acts between pairs"))
        found.append(Choice("model.radial_functions", 16, "pair potentials are all there is"))
    found += _size(facts)
    found.append(_angles(facts))
    kinds, third = min(facts.longest_bond_path, 2), facts.longest_bond_path == 3
    if not kinds:
        found.append(Choice("model.bond_kinds", 0, "no bonds are known, so every neighbor is treated alike"))
    else:
        reach = "third" if third else "second"
        found.append(Choice("model.bond_kinds", 3 if third else kinds, f"bonds are known, and {reach} neighbors along"))
    if facts.force_field is None:
        found.append(Choice("model.node_features", "embedding", "there is no force field: types are learned"))
    else:
        found.append(Choice("model.node_features", "physical", "charge, epsilon and sigma of the force field"))
    found.append(_electrostatics(facts))
    return found


def _is_lennard_jones(facts: DataFacts) -> bool:
    field = facts.force_field
    if field is None or facts.longest_bond_path or facts.charges:
        return False
    return any(kind.epsilon > 0 for kind in field.types)


def _is_classical(facts: DataFacts) -> bool:
    fixed_charges = facts.charges > 0 and not facts.charges_change and not facts.by_name
    return facts.force_field is not None or facts.longest_bond_path > 0 or fixed_charges


def _cutoff(facts: DataFacts) -> Choice:
    if _is_lennard_jones(facts) and facts.force_field is not None:
        cutoff = min(facts.force_field.lj_cutoff, LONGEST_OF_LENNARD_JONES)
        return Choice("model.cutoff", round(cutoff, 2), "where the Lennard-Jones potential of the data ends")
    if facts.short_range_coulomb and facts.charges and facts.periodic[0]:
        return Choice(
            "model.cutoff",
            CUTOFF_OF_SCREENED_CHARGES,
            "the network learns what charges do, which is not in the Coulomb energy",
        )
    neighbors = facts.neighbors
    wanted = neighbors.distance(NEIGHBORS)
    if wanted > REACH and not facts.periodic[0]:
        if facts.clusters:
            reason = "in vacuum; molecules that are not bonded act on each other farther than bonds"
            return Choice("model.cutoff", CUTOFF_OF_CLUSTER, reason)
        within = neighbors.count(CUTOFF_OF_MOLECULE)
        return Choice("model.cutoff", CUTOFF_OF_MOLECULE, f"{within:.0f} of the atoms of a molecule are that close")
    cutoff = min(max(wanted, SHORTEST_CUTOFF), LONGEST_CUTOFF)
    shortest = max(SEARCHED[0] * cutoff, neighbors.distance(FEWEST * min(neighbors.count(cutoff), NEIGHBORS)))
    gap = neighbors.gap(shortest, SEARCHED[1] * cutoff)
    cutoff = round(cutoff if gap is None else gap, 2)
    where = "" if gap is None else ", in a gap between shells of g(r)"
    return Choice("model.cutoff", cutoff, f"{neighbors.count(cutoff):.0f} neighbors, about {NEIGHBORS} wanted{where}")


def _layers(facts: DataFacts) -> Choice:
    if _is_classical(facts):
        return Choice("model.layers", 1, "a classical force field has no terms of longer reach")
    if _is_of_short_reach(facts):
        return Choice("model.layers", 1, "what LAMMPS has for crystals (EAM, Tersoff, ...) reaches no farther than one")
    return Choice("model.layers", 2, "nothing is known of the potential: what neighbors are depends on theirs")


def _size(facts: DataFacts) -> list[Choice]:
    small, reason = False, "nothing is known of the potential"
    if facts.force_field is not None:
        small, reason = True, "a classical force field needs a small network"
    elif len(facts.types) == 1 and facts.frames * facts.mean < MANY_ATOMS:
        small, reason = True, "one element and few atoms: a larger network would learn their noise"
    return [Choice("model.features", 16 if small else 48, reason), Choice("model.width", 32 if small else 64, reason)]


def _angles(facts: DataFacts) -> Choice:
    if _is_classical(facts) or _is_of_short_reach(facts):
        return Choice("model.l_max", 2, "a classical potential tells angles apart no finer")
    if facts.periodic[1] == facts.sampled:
        return Choice("model.l_max", 2, "molecules in vacuum: the time is better spent on more steps")
    return Choice("model.l_max", 4, "nothing is known of the potential, and metals ask for fine angles")


def _is_of_short_reach(facts: DataFacts) -> bool:
    """Whether the forces are those of a potential of LAMMPS without charges that follow from all atoms (ReaxFF)."""
    return facts.generated and not facts.charges_change


def _electrostatics(facts: DataFacts) -> Choice:
    whole, open_ = facts.periodic
    if not facts.charges:
        unless = ", or data.keys.charges does not name them" if facts.by_name else ""
        return Choice("model.electrostatics", "none", f"the data have no charges{unless}")
    if facts.charges_change:
        return Choice("model.electrostatics", "none", "charges change from frame to frame, and would not be known")
    if facts.short_range_coulomb and facts.sampled != open_:  # a cluster may be within the cutoff
        reason = "charges act within a cutoff, are screened or beside the atoms (no kspace_style, dielectric, TIP4P)"
        return Choice("model.electrostatics", "none", reason)
    if facts.sampled not in (whole, open_):
        reason = "boxes are periodic in some directions only; in all, with vacuum between slabs, charges could be used"
        return Choice("model.electrostatics", "none", reason)
    return Choice("model.electrostatics", "fixed", f"the data have charges of up to {facts.charges:.3g} e")


def _training_choices(facts: DataFacts) -> list[Choice]:
    classical = _is_classical(facts)
    found = [_energy_weight(facts)]
    if facts.virials:
        weight = 0.01 if classical else "auto"
        reason = f"{_share(facts.virials, facts)} have virials; they set the pressure"
        found.append(Choice("training.virial_weight", weight, reason))
    else:
        found.append(Choice("training.virial_weight", 0.0, "the data have no virials"))
    reason = f"as many frames of {facts.mean:.0f} atoms as hold about a hundred atoms"
    found.append(Choice("training.batch_size", None, reason))
    found.append(Choice("training.optimizer", "soap", "it gets further in the same minutes, and costs more a step"))
    if facts.force_field is None:
        found.append(Choice("training.learning_rate", 1e-2, "what suits this optimizer"))
    else:
        reason = "a small network that starts from classical terms, and this optimizer, take large steps"
        found.append(Choice("training.learning_rate", 2e-2, reason))
    little = classical or _is_of_short_reach(facts) or len(facts.types) == 1
    minutes = MINUTES if little else MINUTES_OF_QUANTUM_DATA
    reason = "little is to be learned" if little else "several elements; longer pays"
    found.append(Choice("training.max_minutes", minutes, f"{reason} (--max-minutes for another time)"))
    return found


def _energy_weight(facts: DataFacts) -> Choice:
    if not facts.energies:
        return Choice("training.energy_weight", 0.0, "the data have no energies")
    if facts.one_system and (_is_classical(facts) or _is_of_short_reach(facts)):
        reason = "forces fix the energy of one system up to a constant"
        return Choice("training.energy_weight", 0.0, reason)
    reason = f"{_share(facts.energies, facts)} have energies; their errors count a twentieth"
    return Choice("training.energy_weight", "auto", reason)


def _share(count: int, facts: DataFacts) -> str:
    return "all frames" if count == facts.frames else f"{count} of {facts.frames} frames"
