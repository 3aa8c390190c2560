"""Arrow columns to the bytes that Feast's Redis store holds, with array operations: no Python object a value."""
