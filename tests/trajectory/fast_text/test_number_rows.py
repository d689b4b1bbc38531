"""Numbers must come out with the very bits that Python's float gives."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.dump import read_dump


def parsed(words: list[str], folder: Path, separator: str = " ", end: str = "\n") -> np.ndarray:
    """Forces along x of a dump with these words in column fx."""
    head = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", str(len(words)), "ITEM: BOX BOUNDS pp pp pp"]
    head += ["0 100", "0 100", "0 100", "ITEM: ATOMS id type x y z fx fy fz"]
    rows = [separator.join((str(k), "1", "0", "0", "0", word, "0", "0")) for k, word in enumerate(words)]
    path = folder / "numbers.dump"
    path.write_bytes((end.join(head + rows) + end).encode())
    (frame,) = read_dump(path)
    return frame.forces[:, 0]


def assert_bits_equal(words: list[str], folder: Path) -> None:
    expected = np.array([float(word) for word in words])
    found = parsed(words, folder)
    wrong = np.flatnonzero(found.view(np.uint64) != expected.view(np.uint64))
    assert not len(wrong), [(words[k], found[k], expected[k]) for k in wrong[:5]]


finite = st.floats(allow_nan=False, allow_infinity=False)
FORMATS = ["{!r}", "{:.17g}", "{:.16e}", "{:.20e}", "{:g}", "{:f}", "{:.3f}", "{:+.9E}", "{:.25g}", "{:.0f}"]
decimals = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.text("0123456789", min_size=1, max_size=30),
    st.sampled_from(["", "."]),
    st.text("0123456789", max_size=30),
    st.one_of(st.just(""), st.integers(-400, 250).map("e{}".format), st.integers(0, 99).map("E+{:02d}".format)),
).filter(lambda word: word.count(".") == 1 or "." not in word)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(finite, st.sampled_from(FORMATS)), min_size=1, max_size=50))
def test_any_double_in_any_format_has_the_bits_of_float(tmp_path: Path, numbers: list[tuple[float, str]]) -> None:
    words = [form.format(value) for value, form in numbers]
    assert_bits_equal([word if np.isfinite(float(word)) else "0" for word in words], tmp_path)  # may round to infinity


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(decimals, min_size=1, max_size=50))
def test_any_decimal_text_has_the_bits_of_float(tmp_path: Path, words: list[str]) -> None:
    assert_bits_equal([word for word in words if np.isfinite(float(word))] or ["0"], tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(finite.filter(lambda x: 1e-290 < abs(x) < 1e300), min_size=1, max_size=20), st.integers(-1, 1))
def test_halfway_between_two_doubles_rounds_as_float_does(tmp_path: Path, numbers: list[float], nudge: int) -> None:
    words = []
    with localcontext() as context:
        context.prec = 800
        for x in numbers:
            middle = (Decimal(x) + Decimal(float(np.nextafter(x, np.inf)))) / 2
            words.append(str(middle + nudge * abs(middle) * Decimal(10) ** -40))
    assert_bits_equal(words, tmp_path)


def test_known_hard_numbers_have_the_bits_of_float(tmp_path: Path) -> None:
    text = """0 -0 0.0 -0.0 00.500 5. .5 -.5e1 1e0 1E5 1e+5 1e-5 9007199254740993 9007199254740992.5
        9007199254740993e0 1e22 1e23 8.5e22 123456789012345678901234567890 0.1 0.2 0.3 1e-22 1e-23
        2.2250738585072011e-308 2.2250738585072014e-308 4.9e-324 2.4e-324 1e-400 0e999 0.0000e-500
        1.7976931348623157e308 7.2057594037927933e16 9223372036854775808 18446744073709551615 18446744073709551616
        0.000000000000000000000000000012345678901234567 0.00012345678901234567 0.0012345678901234567
        3.1415926535897932384626433832795028841971693993751 1.00000000000000011102230246251565404
        1.00000000000000011102230246251565405 6.631236846766476e-316 5e-20 67e14 8.988465674311580e307
        151115727451828663615488.0000000000000000000000000000000000000000"""
    assert_bits_equal(text.split(), tmp_path)


def test_a_million_digits_of_every_exponent_have_the_bits_of_float(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    raw = generator.integers(0, 2**64, 60_000, dtype=np.uint64)
    values = [struct.unpack("d", struct.pack("Q", int(bits)))[0] for bits in raw]
    assert_bits_equal([f"{value:.17g}" for value in values if np.isfinite(value)], tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\t\r\n"])
def test_blanks_tabs_and_windows_line_ends_do_not_matter(tmp_path: Path, end: str) -> None:
    assert parsed(["1.5", "-2.25"], tmp_path, separator=" \t ", end=end).tolist() == [1.5, -2.25]


@pytest.mark.parametrize(
    "word", ["nan", "-nan", "inf", "-Infinity", "1e400", "1e99999999999", "one", "1.2.3", "--1", "1e", "1e+", "-", ".",
             "+", "e5", "0x10", "1_0", "1,5", "1d5", "1.5f", "5-3"],
)  # fmt: skip
def test_what_is_no_finite_number_stops_with_file_and_line(tmp_path: Path, word: str) -> None:
    with pytest.raises(InputError, match=r"numbers\.dump, line 11: fx is"):
        parsed(["1", word, "2"], tmp_path)


def test_numbers_are_read_when_machine_code_cannot_be_kept(tmp_path: Path) -> None:
    program = f"""
import numba.core.caching
def refuse(*_):
    raise OSError(28, "No space left on device")
numba.core.caching.Cache.save_overload = refuse
from pathlib import Path
from gnnformd.trajectory.formats.dump import read_dump
print(len(list(read_dump(Path({str(tmp_path / "numbers.dump")!r})))))
"""
    parsed(["1"], tmp_path)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.stdout == "1\n", run.stderr
