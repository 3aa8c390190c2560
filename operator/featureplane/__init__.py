"""Featureplane: Feast features as Kubernetes objects, and Feast's data plane made fast.

The folders follow the way of the data: `model` (what users declare), `rendering` (models to definitions and a Feast
repo), `registry` (the one writer of Feast's registry), `materialization` (rows to the online store), `serving` (rows to
clients); `local` runs all of it on embedded stores and `cli` is the command line.
"""
