"""The bank around us, for demo and tests: channels, credit systems, partners."""
