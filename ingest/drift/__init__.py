"""Schema drift: payloads that do not fit their contract are noticed, told once, and kept, unless told otherwise."""
