"""One model for many liquids: functions in units of the force field, learned from many liquids at once."""
