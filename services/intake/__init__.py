"""Intake: applications until they are handed to review, their papers, their cards, the staff."""
