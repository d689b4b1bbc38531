"""The density model in kernels of PyTorch's compiler, for accelerators."""
