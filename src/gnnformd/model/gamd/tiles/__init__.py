"""The original edge networks on processors with instructions for small matrices of bfloat16 numbers (AMX)."""
