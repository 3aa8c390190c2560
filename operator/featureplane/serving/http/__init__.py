"""Feast's HTTP API: the fast path, and what it leaves to Feast's own app."""
