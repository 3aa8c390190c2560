"""Alembic's environment for the schema `featureplane`; `schema.migrate` runs it."""
