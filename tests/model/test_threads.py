"""Loops shared among threads."""

import threading
import time

import pytest

from gnnformd.model.threads import in_parts, part_count
from tests.threads import torch_threads


@pytest.fixture(autouse=True)
def three_threads():
    with torch_threads(3):
        yield


def test_parts_cover_everything_once_and_in_order():
    assert in_parts(lambda part, ends: (part, ends), 10) == [(0, (0, 3)), (1, (3, 6)), (2, (6, 10))]
    assert in_parts(lambda part, ends: (part, ends), 2) == [(0, (0, 1)), (1, (1, 2))]
    assert in_parts(lambda part, ends: (part, ends), 0) == [(0, (0, 0))]
    assert (part_count(10, smallest=5), part_count(10, most=2), part_count(10, smallest=11)) == (2, 2, 1)


def test_parts_run_at_once():
    barrier = threading.Barrier(3, timeout=20)
    in_parts(lambda part, ends: barrier.wait(), 3)


@pytest.mark.parametrize("broken", [0, 2])
def test_after_an_error_nobody_goes_on(broken):
    done = []

    def work(part, ends):
        if part == broken:
            raise ZeroDivisionError
        time.sleep(0.1)
        done.append(part)

    with pytest.raises(ZeroDivisionError):
        in_parts(work, 3)
    assert len(done) == 2
