"""Puts encoded rows into Redis: pipelined, within bounded memory, and so that the newest event wins. See `writer`."""
