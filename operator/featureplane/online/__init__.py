"""The online store: where its bytes lie, and how its servers are reached."""
