"""Vectors, tiles and tables of the compiled loops give what numpy gives, whatever the processor's vectors are."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.codegen import get_host_cpu_features
from numpy.typing import NDArray

from gnnformd.model.density.kernels.matrix import ROWS, matmul
from gnnformd.model.density.kernels.simd import (
    BYTES,
    blocking,
    fill,
    lanes_of,
    load,
    read,
    repeat,
    store,
    write,
)
from gnnformd.model.density.kernels.simd_functions import COLUMNS, piecewise
from gnnformd.numba_jit import kernel

TYPES = (np.float32, np.float64)


@kernel
def _looked_up(table: NDArray[np.float64], x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for k in range(0, len(x), lanes_of(x)):
        value, slope = piecewise(table, load(x, k))
        store(out, k, value)
        store(out, len(x) + k, slope)


@kernel
def _copied(values: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    store(out, 0, repeat(values, 3) + fill(values, 0.0))
    write(out, 1, read(values, 4))


@pytest.mark.parametrize("dtype", TYPES)
def test_a_table_gives_its_polynomials_and_their_slopes(dtype: type[np.floating]) -> None:
    generator, width = np.random.default_rng(0), BYTES // np.dtype(dtype).itemsize
    table, x = generator.random((9, COLUMNS)).astype(dtype), generator.uniform(0.0, 9.0, 3 * width).astype(dtype)
    out = np.zeros(2 * len(x), dtype)
    _looked_up(table, x, out)
    row, t = x.astype(int), (x - np.floor(x)).astype(float)
    powers = np.arange(7)
    expected = (table[row, :7] * t[:, None] ** powers).sum(axis=1)
    slopes = (table[row, 1:7] * powers[1:] * t[:, None] ** (powers[1:] - 1)).sum(axis=1)
    np.testing.assert_allclose(out, [*expected, *slopes], rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("vectors", range(1, 9))
def test_a_matrix_product_is_exact_whatever_tiles_its_columns_need(dtype: type[np.floating], vectors: int) -> None:
    generator, columns = np.random.default_rng(vectors), vectors * BYTES // np.dtype(dtype).itemsize
    x, w = (generator.random(shape).astype(dtype) for shape in ((2 * ROWS, 13), (13, columns)))
    out = np.full((2 * ROWS, columns), np.nan, dtype)
    matmul(x.ravel(), 2 * ROWS, 13, w.ravel(), columns, out.ravel())
    np.testing.assert_allclose(out, x.astype(float) @ w.astype(float), rtol=20 * np.finfo(dtype).eps)


def test_a_number_is_read_repeated_and_written() -> None:
    values, out = np.arange(6.0), np.zeros(BYTES // 8)
    _copied(values, out)
    np.testing.assert_array_equal(out, [3.0, 4.0, *[3.0] * (len(out) - 2)])


@pytest.mark.parametrize(
    ("features", "width"),
    [("+avx,+avx2,+avx512f,+fma", 64), ("+avx,+avx2,-avx512f", 32), ("+neon,+fp-armv8", 32), ("+sse2", 16), ("", 16)],
)
def test_vectors_are_as_wide_as_those_of_the_processor(features: str, width: int) -> None:
    assert blocking(features).vector == width


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or "+avx2" not in get_host_cpu_features() or BYTES == 32,
    reason="for processors with vectors wider than those of AVX2",
)
@pytest.mark.parametrize("features", ["+avx,+avx2,+fma", ""])
def test_all_of_this_holds_for_narrower_vectors(features: str, tmp_path: Path) -> None:
    name = "haswell" if features else "x86-64"
    settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not narrower"]
    run = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
