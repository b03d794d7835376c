"""Reporting: what the office sees of its applications, made from events alone."""
