"""How fast the river is: against the stock clients, and against the floor nothing can get under.

`python -m bench` measures; `docs/design/speed.md` says what, and what came out.
"""
