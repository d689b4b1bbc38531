"""The original edge networks on processors with instructions for products of bfloat16 numbers (AVX512_BF16, AMX)."""
