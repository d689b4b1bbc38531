"""What every peer does: train on forces, and print errors and speeds as a line of JSON.

The ``run_*.py`` files import it. They run with the python of the peer, so there is nothing here but numpy and torch.
Usage of each: ``python run_NAME.py FRAMES.npz MINUTES THREADS``.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

CUTOFF = 5.0
NUMBERS = (1, 8)
LARGE_SECONDS, LARGE_BYTES = 60, 10 * 1024**3


@dataclass(frozen=True)
class Peer:
    """A network and the two steps of its use.

    Attributes
    ----------
    package
        Name and version of the package, name of the network.
    model
        The network, float32.
    prepare
        Atomic numbers (N,), positions (N, 3) and cell (3, 3) to what the network takes, with the package's own
        neighbor list. Its time counts wherever forces are timed; in the training it is done once for each frame.
    forces
        What ``prepare`` gave to forces (N, 3) in the unit that the training chooses.
    learning_rate
        Highest learning rate of Adam.
    """

    package: str
    model: torch.nn.Module
    prepare: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]
    forces: Callable[[Any], Tensor]
    learning_rate: float


@dataclass(frozen=True)
class Frames:
    """Frames of one set: positions and forces (M, N, 3), cells (M, 3, 3), atomic numbers (N,)."""

    numbers: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    forces: np.ndarray

    def inputs(self, peer: Peer, index: int) -> Any:
        """Prepare one frame for a peer."""
        return peer.prepare(self.numbers, self.positions[index], self.cells[index])


def drive(make: Callable[[], Peer]) -> None:
    """Do everything the command line asks for; ``make`` builds the peer when seed and threads are set."""
    path, minutes, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arrays = np.load(path)
    sets = {
        name: Frames(arrays["numbers"], *(arrays[f"{name}_{part}"] for part in ("positions", "cells", "forces")))
        for name in ("train", "validation", "test")
    }
    peer = make()
    scale = float(np.sqrt(np.square(sets["train"].forces).mean()))
    result: dict[str, Any] = {
        "package": peer.package,
        "parameters": sum(p.numel() for p in peer.model.parameters() if p.requires_grad),
        "train_frames_per_second": train(peer, sets["train"], scale, minutes),
    }
    result["validation_l1_per_atom"] = errors(peer, sets["validation"], scale)[0]
    result["l1_per_atom"], result["relative_l1"] = errors(peer, sets["test"], scale)
    test = sets["test"]
    small = test.numbers, test.positions[0], test.cells[0]
    result["us_per_atom_small"] = microseconds_per_atom(peer, *small)
    result |= {"us_per_atom_large": None, "reason": "did not come to its end"}
    print(json.dumps(result), flush=True)  # the last line counts: this one, should the next step end the process
    result |= large(peer, *doubled(*small))
    print(json.dumps(result), flush=True)


def train(peer: Peer, frames: Frames, scale: float, minutes: float) -> float:
    """Train for so many minutes and return frames per second.

    One frame a step, Adam, mean absolute error, and the learning rate of this project's preset: a short rise, then a
    cosine down to a hundredth when the minutes end.
    """
    optimizer = torch.optim.Adam(peer.model.parameters(), lr=peer.learning_rate)
    targets = torch.from_numpy(frames.forces / scale).float()
    random = np.random.default_rng(0)
    order: list[int] = []
    inputs: dict[int, Any] = {}
    peer.model.train()
    step, start = 0, time.perf_counter()
    while (progress := (time.perf_counter() - start) / (60 * minutes)) < 1:
        order = order or random.permutation(len(targets)).tolist()
        frame = order.pop()
        if frame not in inputs:
            inputs[frame] = frames.inputs(peer, frame)
        warm = min(1.0, max(progress / 0.05, (step + 1) / 100))
        for group in optimizer.param_groups:
            group["lr"] = peer.learning_rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        optimizer.zero_grad()
        (peer.forces(inputs[frame]) - targets[frame]).abs().mean().backward()
        torch.nn.utils.clip_grad_norm_(peer.model.parameters(), 10.0)
        optimizer.step()
        step += 1
    peer.model.eval()
    return step / (time.perf_counter() - start)


def errors(peer: Peer, frames: Frames, scale: float) -> tuple[float, float]:
    """Mean over atoms of ``|dFx| + |dFy| + |dFz|``, and sum of ``|dF|`` over sum of ``|F|``."""
    predicted = [peer.forces(frames.inputs(peer, k)).detach().numpy() * scale for k in range(len(frames.forces))]
    wrong = np.abs(np.stack(predicted) - frames.forces)
    return float(wrong.sum(-1).mean()), float(wrong.sum() / np.abs(frames.forces).sum())


def microseconds_per_atom(peer: Peer, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> float:
    """Best of up to ten evaluations in half of the time allowed, neighbor list included."""
    times: list[float] = []
    while len(times) < 10 and sum(times) < LARGE_SECONDS / 2 - max(times, default=0):
        start = time.perf_counter()
        peer.forces(peer.prepare(numbers, positions, cell)).detach()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / len(numbers)


def doubled(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat a frame twice along each lattice vector."""
    shifts = np.stack(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij"), -1).reshape(8, 1, 3) @ cell
    return np.tile(numbers, 8), (positions + shifts).reshape(-1, 3), 2 * cell


def large(peer: Peer, *atoms: np.ndarray) -> dict[str, Any]:
    """Time the large box; an alarm ends the process when the time is up."""
    resource.setrlimit(resource.RLIMIT_DATA, (LARGE_BYTES, LARGE_BYTES))
    signal.alarm(LARGE_SECONDS)
    try:
        return {"us_per_atom_large": microseconds_per_atom(peer, *atoms), "reason": None}
    except (RuntimeError, MemoryError) as error:
        return {"us_per_atom_large": None, "reason": str(error).splitlines()[0][:100] or type(error).__name__}
    finally:
        signal.alarm(0)
