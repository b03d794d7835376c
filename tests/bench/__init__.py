"""Measurements, run by hand: `make bench`. They print ratios and medians and assert nothing about
time."""
