"""The density model on a processor, for systems whose atoms move."""
