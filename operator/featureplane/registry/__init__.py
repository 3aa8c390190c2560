"""The registry: the one writer of Feast's tables, our own schema beside them, and reading both without Feast.

`writer` starts a child process (`writer_process`) that imports Feast and holds the project's epoch (`fence`);
`catalogue` reads Feast's rows by their protobuf descriptors alone; `plan` compares declared with registered.
"""
