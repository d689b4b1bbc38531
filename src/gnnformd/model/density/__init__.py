"""The density model: a conservative, exactly invariant energy from atomic densities."""
