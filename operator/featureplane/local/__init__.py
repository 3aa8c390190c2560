"""The laptop mode: an embedded PostgreSQL and Redis behind one `with` block, see `stores.embedded_stores`.

`stores` runs in the user's process and starts `guardian`, a process of its own, which owns both servers and ends them
when the user's process ends in whatever way.
"""
