"""Feast's gRPC API on the same read path."""
