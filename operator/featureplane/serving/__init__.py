"""Rows to clients over HTTP."""
