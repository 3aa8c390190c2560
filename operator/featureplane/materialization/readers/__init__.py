"""Readers: the latest row of each entity within a window of event time, as a stream of Arrow record batches."""
