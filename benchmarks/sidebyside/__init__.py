"""Servers side by side: the same work, in one run, on one machine; see ../run.py."""
