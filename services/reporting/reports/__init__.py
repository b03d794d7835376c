"""Reports: pure functions of the events up to a cut, archived with a manifest."""
