"""Pools of invented names, places and texts, made once from a seed.

Faker is far too slow to ask for every value of a row, so its answers are collected here and sampled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from faker import Faker

from devstack.world.jsonb import jsonb_text

_NAMES_A_LOCALE: Final = 60
_TEXTS_A_LOCALE: Final = 25
_LONG_TEXTS: Final = 12
_LONG_TEXT_CHARACTERS: Final = (2_100, 20_000)
_BASKETS: Final = 400
_STORES: Final = 120
_CAMPAIGNS: Final = 40
_SPREAD_DEGREES: Final = 2.5
_LOCALES: Final = {
    "de_DE": ("DE", "de", "EUR", "Europe/Berlin", "+49", 51.0, 10.0),
    "en_GB": ("GB", "en", "GBP", "Europe/London", "+44", 52.5, -1.5),
    "fr_FR": ("FR", "fr", "EUR", "Europe/Paris", "+33", 46.5, 2.5),
    "pl_PL": ("PL", "pl", "PLN", "Europe/Warsaw", "+48", 52.0, 19.0),
    "el_GR": ("GR", "el", "EUR", "Europe/Athens", "+30", 39.0, 22.0),
    "ja_JP": ("JP", "ja", "JPY", "Asia/Tokyo", "+81", 36.0, 138.0),
    "he_IL": ("IL", "he", "ILS", "Asia/Jerusalem", "+972", 31.5, 34.9),
}


@dataclass(frozen=True)
class Place:
    """A town.

    Attributes:
        city: its name.
        region: its region, if the country has any.
        postal_code: a postcode there.
        latitude: in degrees.
        longitude: in degrees.
    """

    city: str
    region: str
    postal_code: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Country:
    """What is particular to the members of one country.

    Attributes:
        code: ISO 3166-1 alpha-2.
        language: ISO 639-1.
        currency: ISO 4217.
        time_zone: name in the IANA time zone database.
        dial_code: international prefix, with a plus sign.
        first_names: given names.
        last_names: family names.
        streets: streets with house numbers.
        places: towns.
        occupations: occupations.
        sentences: short texts.
    """

    code: str
    language: str
    currency: str
    time_zone: str
    dial_code: str
    first_names: Sequence[str]
    last_names: Sequence[str]
    streets: Sequence[str]
    places: Sequence[Place]
    occupations: Sequence[str]
    sentences: Sequence[str]


@dataclass(frozen=True)
class Pools:
    """All pools.

    Attributes:
        countries: by country, the commonest first.
        email_domains: domains reserved for examples.
        long_texts: texts of 2 to 20 kB.
        campaigns: campaign codes.
        stores: store ids.
        baskets: basket lines, as jsonb text.
        contexts: device and page details, as jsonb text.
        quiet_hours: hours to stay silent, as jsonb text.
    """

    countries: Sequence[Country]
    email_domains: Sequence[str]
    long_texts: Sequence[str]
    campaigns: Sequence[str]
    stores: Sequence[int]
    baskets: Sequence[str]
    contexts: Sequence[str]
    quiet_hours: Sequence[str]


def make_pools(seed: int) -> Pools:
    """Make the pools of a world.

    Args:
        seed: the same seed makes the same pools.

    Returns:
        The pools.
    """
    rng = Random(seed)
    countries = tuple(_country(locale, rng) for locale in _LOCALES)
    return Pools(
        countries=countries,
        email_domains=("example.com", "example.org", "example.net", "mail.example.com", "bücher.example"),
        long_texts=tuple(_long_text(countries, rng) for _ in range(_LONG_TEXTS)),
        campaigns=tuple(f"C{rng.randrange(2023, 2027)}-{rng.randrange(1000):03d}" for _ in range(_CAMPAIGNS)),
        stores=tuple(range(1, _STORES + 1)),
        baskets=tuple(_basket(rng) for _ in range(_BASKETS)),
        contexts=tuple(_context(rng) for _ in range(_BASKETS)),
        quiet_hours=tuple(_quiet_hours(country.time_zone, rng) for country in countries for _ in range(4)),
    )


def _country(locale: str, rng: Random) -> Country:
    fake = Faker(locale)
    fake.seed_instance(rng.getrandbits(32))
    code, language, currency, time_zone, dial_code, latitude, longitude = _LOCALES[locale]
    return Country(
        code=code,
        language=language,
        currency=currency,
        time_zone=time_zone,
        dial_code=dial_code,
        first_names=_many(fake.first_name, _NAMES_A_LOCALE),
        last_names=_many(fake.last_name, _NAMES_A_LOCALE),
        streets=tuple(street.replace("\n", ", ") for street in _many(fake.street_address, _NAMES_A_LOCALE)),
        places=tuple(_place(fake, rng, latitude, longitude) for _ in range(_NAMES_A_LOCALE)),
        occupations=_many(fake.job, _TEXTS_A_LOCALE),
        sentences=_many(fake.sentence, _TEXTS_A_LOCALE),
    )


def _many(make: Callable[[], str], count: int) -> tuple[str, ...]:
    return tuple(make() for _ in range(count))


def _place(fake: Any, rng: Random, latitude: float, longitude: float) -> Place:
    return Place(
        city=fake.city(),
        region=fake.administrative_unit() if hasattr(fake, "administrative_unit") else "",
        postal_code=fake.postcode(),
        latitude=round(latitude + rng.uniform(-_SPREAD_DEGREES, _SPREAD_DEGREES), 6),
        longitude=round(longitude + rng.uniform(-_SPREAD_DEGREES, _SPREAD_DEGREES), 6),
    )


def _long_text(countries: Sequence[Country], rng: Random) -> str:
    length = rng.randint(*_LONG_TEXT_CHARACTERS)
    sentences: list[str] = []
    while sum(map(len, sentences)) < length:
        sentences.append(rng.choice(rng.choice(countries).sentences))
    return "\n".join(sentences)


def _basket(rng: Random) -> str:
    lines = [
        {
            "sku": f"SKU-{rng.randrange(10**6):06d}",
            "quantity": rng.randint(1, 5),
            "price": rng.randrange(100, 9999) / 100,
        }
        for _ in range(rng.randint(0, 4))
    ]
    return jsonb_text({"lines": lines, "till": rng.randrange(40), "coupon": None})


def _context(rng: Random) -> str:
    return jsonb_text(
        {
            "device": rng.choice(("phone", "tablet", "desktop", "kiosk")),
            "page": f"/{rng.choice(('home', 'offers', 'account', 'suche/größe'))}/{rng.randrange(100)}",
            "viewport": [rng.choice((360, 768, 1440)), rng.choice((640, 1024, 900))],
            "returning": rng.choice((True, False)),
        }
    )


def _quiet_hours(time_zone: str, rng: Random) -> str:
    return jsonb_text({"start": f"{rng.randint(19, 23)}:00", "end": f"0{rng.randint(5, 9)}:30", "zone": time_zone})
