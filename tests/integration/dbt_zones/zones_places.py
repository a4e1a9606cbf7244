"""Geohash read backwards, by the description of its algorithm (https://en.wikipedia.org/wiki/Geohash)."""

_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"

Interval = tuple[float, float]


def cell(geohash: str) -> tuple[Interval, Interval]:
    """Return the south and north, then the west and east end of a cell, in degrees."""
    ends = [[-180.0, 180.0], [-90.0, 90.0]]
    bits = [_ALPHABET.index(character) >> shift & 1 for character in geohash for shift in (4, 3, 2, 1, 0)]
    for number, bit in enumerate(bits):
        axis = ends[number % 2]
        axis[1 - bit] = sum(axis) / 2
    (west, east), (south, north) = ends
    return (south, north), (west, east)
