"""Losses, schedules, augmentation and the loop that fits a model to a dataset."""
