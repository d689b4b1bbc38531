"""Damaged files of every kind are read or refused with a sentence; `fuzz.py` does it a hundred thousand times."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.robustness.targets import TARGETS, Target, complaint, damage

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(params=sorted(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


def test_a_good_file_is_read(target: Target, tmp_path: Path) -> None:
    for sample in target.samples(tmp_path):
        assert complaint(target, tmp_path, sample) is None


def test_a_damaged_file_is_read_or_refused_with_a_sentence(target: Target, tmp_path: Path) -> None:
    samples = target.samples(tmp_path)

    @FEW
    @given(st.sampled_from(samples), st.randoms(use_true_random=False))
    def check(sample: bytes, choose: random.Random) -> None:
        complaint(target, tmp_path, damage(sample, target.words, choose))

    check()


def test_what_is_no_such_file_at_all_is_refused_with_a_sentence(target: Target, tmp_path: Path) -> None:
    target.samples(tmp_path)

    @FEW
    @given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    def check(content: bytes) -> None:
        complaint(target, tmp_path, content)

    check()
