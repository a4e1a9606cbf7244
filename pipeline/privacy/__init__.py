"""The right to erasure: members are erased, and stay so."""
