"""Rows that clients push: checked as a run checks them, and written so that the newest event wins. Never Feast."""
