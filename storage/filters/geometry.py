"""Distances and boxes on the Earth, as a sphere, in Lance SQL."""

from __future__ import annotations

import math
import re

from oneword.storage.errors import FilterError
from oneword.storage.filters.tree import Near, Within, shown
from oneword.storage.sql import number

RADIUS = 6_371_008.8
"""Of the Earth in m, the mean of its three axes (IUGG, Geodetic Reference System 1980): wrong by 0.5 % at most."""

UNITS = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344}
"""In m."""

SLACK = 1e-5
"""Degrees by which boxes around circles are larger than computed, more than rounding can take from them: a meter."""

_DISTANCE = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?)({'|'.join(UNITS)})", re.IGNORECASE)


def meters(text: str) -> float:
    """The meters of a distance with its unit. Raises FilterError."""
    match = _DISTANCE.fullmatch(text)
    if match is None:
        raise FilterError(f"the distance is {shown(text)}, expected a number with its unit, such as 500m, 5km or 3mi")
    return float(match[1]) * UNITS[match[2].lower()]


def near(tree: Near, latitude: str, longitude: str) -> str:
    """Within a box around the circle, which is quickly compared; and within the circle, by the haversine formula.

    latitude, longitude: columns.
    """
    angle = tree.meters / RADIUS
    if angle >= math.pi:
        return f"{latitude} IS NOT NULL AND {longitude} IS NOT NULL"
    half = f"pow(sin(radians({latitude} - {number(tree.latitude)}) / 2), 2)"
    across = f"pow(sin(radians({longitude} - {number(tree.longitude)}) / 2), 2)"
    cosine = number(math.cos(math.radians(tree.latitude)))
    inside = f"{half} + {cosine} * cos(radians({latitude})) * {across} <= {number(math.sin(angle / 2) ** 2)}"
    return f"{within(_around(tree, angle), latitude, longitude)} AND {inside}"


def _around(tree: Near, angle: float) -> Within:
    """The box around a circle of an angle in radians: all longitudes where it holds a pole."""
    tall = math.degrees(angle) + SLACK
    south, north = tree.latitude - tall, tree.latitude + tall
    if south <= -90 or north >= 90:
        return Within(max(-90, south), -180, min(90, north), 180)
    # The circle's meridians touch it where it is widest: sin(width) = sin(angle) / cos(latitude).
    wide = math.degrees(math.asin(min(1, math.sin(angle) / math.cos(math.radians(tree.latitude))))) + SLACK
    west, east = tree.longitude - wide, tree.longitude + wide
    return Within(south, west + 360 if west < -180 else west, north, east - 360 if east > 180 else east)


def within(tree: Within, latitude: str, longitude: str) -> str:
    """Between its parallels and meridians; 180 and -180 degrees are the same meridian."""
    west, east = f"{longitude} >= {number(tree.west)}", f"{longitude} <= {number(tree.east)}"
    across = f"({west} {'OR' if tree.west > tree.east else 'AND'} {east})"
    for side, other in ((tree.west, 180), (tree.east, -180)):
        if side == -other:
            across = f"({across} OR {longitude} = {number(other)})"
    return f"{latitude} >= {number(tree.south)} AND {latitude} <= {number(tree.north)} AND {across}"
