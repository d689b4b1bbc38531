"""Many liquids for one model: how they are made."""
