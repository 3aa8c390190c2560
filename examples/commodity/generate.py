"""Data for the commodity example: prices, economic indicators and weather, as the Parquet files that its views read.

    python examples/commodity/generate.py [--out FOLDER] [--seed 254] [--now 2026-03-04T10:37:00Z]

Invented, but computed as a desk would: levels, volatilities and figures are near those of late 2025, markets close at
the weekend, and each derived feature follows from the series beside it. One seed and one --now give the same bytes.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]  # entities x times, unless said otherwise
Times = NDArray[np.int64]  # seconds since 1970, UTC
Features = tuple[Times, dict[str, Floats]]

MINUTE, HOUR, DAY = 60, 3600, 86400
PUBLISHED_HOURS = 8 * 24  # more than the 7 days of the daily schedule's window
PUBLISHED_DAYS = 120  # economic indicators change seldom; four months show some releases
TICK = 5 * MINUTE  # step of the price simulation, and the usual sampling of realised volatility
TICKS_PER_HOUR = HOUR // TICK
TICKS_PER_DAY = DAY // TICK
LONGEST_INDICATOR_HOURS = 30 * 24  # ma_30d needs that much before the first row


class Commodity(NamedTuple):
    price: float
    decimals: int
    volatility: float  # per year
    contracts: int  # per trading day, all maturities
    sector: str
    loading: float  # correlation of its returns with its sector's


COMMODITIES = {
    "crude_oil_wti": Commodity(61.0, 2, 0.33, 950_000, "energy", 0.98),  # USD per barrel
    "brent": Commodity(65.0, 2, 0.31, 1_050_000, "energy", 0.98),  # USD per barrel
    "natural_gas": Commodity(3.9, 3, 0.62, 520_000, "energy", 0.25),  # USD per MMBtu (Henry Hub)
    "gasoline_rbob": Commodity(1.93, 4, 0.33, 180_000, "energy", 0.90),  # USD per gallon
    "carbon_eua": Commodity(78.0, 2, 0.29, 32_000, "energy", 0.30),  # EUR per tonne of CO2
    "gold": Commodity(4_050.0, 1, 0.19, 210_000, "precious metals", 0.90),  # USD per troy ounce
    "silver": Commodity(49.0, 3, 0.33, 75_000, "precious metals", 0.88),  # USD per troy ounce
    "copper": Commodity(5.0, 4, 0.24, 85_000, "base metals", 0.85),  # USD per pound
    "aluminium": Commodity(2_820.0, 1, 0.20, 240_000, "base metals", 0.80),  # USD per tonne
    "wheat": Commodity(535.0, 2, 0.27, 150_000, "grains", 0.70),  # US cents per bushel
    "corn": Commodity(430.0, 2, 0.24, 340_000, "grains", 0.85),  # US cents per bushel
    "soybeans": Commodity(1_080.0, 2, 0.19, 230_000, "grains", 0.75),  # US cents per bushel
}


class Country(NamedTuple):
    central_bank: str  # countries of one currency share their rate
    gdp_growth: float
    inflation: float
    rate: float
    unemployment: float
    production: float  # NaN: not published monthly


COUNTRIES = {
    "AU": Country("RBA", 2.1, 3.2, 3.60, 4.3, np.nan),
    "BR": Country("BCB", 1.8, 4.7, 15.00, 5.6, 102.4),
    "CA": Country("BoC", 1.3, 2.2, 2.25, 6.9, 98.9),
    "CN": Country("PBoC", 4.8, 0.2, 3.00, 5.1, 126.0),
    "DE": Country("ECB", 0.3, 2.3, 2.00, 3.9, 91.6),
    "FR": Country("ECB", 0.9, 0.9, 2.00, 7.7, 99.3),
    "GB": Country("BoE", 1.3, 3.6, 4.00, 5.0, 96.8),
    "IN": Country("RBI", 7.4, 1.5, 5.50, 5.2, 119.5),
    "JP": Country("BoJ", 1.1, 3.0, 0.50, 2.6, 97.2),
    "KR": Country("BoK", 1.7, 2.4, 2.50, 2.6, 106.8),
    "MX": Country("Banxico", 0.5, 3.6, 7.25, 2.9, 103.2),
    "NO": Country("Norges Bank", 1.9, 3.1, 4.00, 4.8, 101.0),
    "SA": Country("SAMA", 5.0, 2.2, 4.50, 3.3, 112.5),
    "US": Country("Fed", 2.1, 3.0, 3.75, 4.4, 101.5),
    "ZA": Country("SARB", 2.1, 3.6, 7.00, 31.9, 97.5),
}


class Region(NamedTuple):
    longitude: float
    temperature: float  # mean of the year, degrees Celsius
    seasonal: float  # July above that mean; below zero where July is the cool season
    daily: float  # afternoon above the day's mean
    wind: float  # median, metres per second
    wet: float  # share of hours with rain


REGIONS = {
    "black_sea": Region(33.0, 12.0, 11.5, 4.0, 5.0, 0.11),
    "central_europe": Region(12.0, 9.5, 9.5, 4.0, 3.8, 0.14),
    "mato_grosso": Region(-56.0, 26.0, -1.5, 5.5, 2.2, 0.16),
    "north_sea": Region(3.0, 10.0, 5.5, 1.0, 8.5, 0.17),
    "persian_gulf": Region(50.0, 27.0, 9.5, 4.5, 4.5, 0.01),
    "pilbara": Region(118.0, 26.5, -6.5, 6.0, 4.8, 0.03),
    "south_china": Region(114.0, 22.5, 6.5, 3.0, 3.5, 0.15),
    "us_gulf_coast": Region(-94.0, 21.0, 8.0, 4.0, 4.2, 0.09),
    "us_midwest": Region(-93.0, 10.0, 14.0, 5.0, 4.6, 0.10),
    "us_northeast": Region(-74.0, 12.0, 12.0, 4.0, 4.0, 0.12),
}


def stream(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of its own for each name: another commodity in the table does not change the others."""
    return np.random.default_rng([seed, crc32("/".join(names).encode())])


def market_activity(times: Times) -> Floats:
    """How lively the market is (mean 1): most around 14:30 UTC, not at all from Friday 22:00 to Sunday 23:00."""
    hour_of_week = (times / HOUR + 72) % 168  # 1970 began on a Thursday; hour 0 is Monday 00:00
    is_open = (hour_of_week < 4 * 24 + 22) | (hour_of_week >= 6 * 24 + 23)
    profile = is_open * (0.4 + 1.6 * np.exp(-(((hour_of_week % 24 - 14.5) / 3.5) ** 2)))
    return profile / profile.mean()


def simulate_prices(seed: int, times: Times) -> Floats:
    """Geometric Brownian motion at each tick, faster in lively hours, rounded to the quotation."""
    paths = []
    variance_of_tick = market_activity(times) * TICK / (365 * DAY)
    for code, commodity in COMMODITIES.items():
        sector = stream(seed, "sector", commodity.sector).standard_normal(times.size)
        own = stream(seed, "price", code).standard_normal(times.size)
        shocks = commodity.loading * sector + np.sqrt(1 - commodity.loading**2) * own
        returns = commodity.volatility * np.sqrt(variance_of_tick) * shocks
        returns -= commodity.volatility**2 / 2 * variance_of_tick
        paths.append(np.round(commodity.price * np.exp(np.cumsum(returns)), commodity.decimals))
    return np.array(paths)


def simulate_volumes(seed: int, times: Times) -> Floats:
    """Contracts traded in each tick."""
    volumes = []
    for code, commodity in COMMODITIES.items():
        noise = stream(seed, "volume", code).lognormal(mean=-0.18, sigma=0.6, size=times.size)
        volumes.append(np.round(commodity.contracts * 5 / 7 / TICKS_PER_DAY * market_activity(times) * noise))
    return np.array(volumes)


def rolling_sum(ticks: Floats, length: int) -> Floats:
    """Sums of the last `length` ticks, at each full hour counted back from the newest tick."""
    return sliding_window_view(ticks, length, axis=1)[:, ::-TICKS_PER_HOUR][:, ::-1].sum(axis=-1)


def relative_strength(hourly: Floats, days: int) -> Floats:
    """Cutler's index, 0 to 100, from the changes between prices 24 hours apart."""
    changes = np.diff(sliding_window_view(hourly, days * 24 + 1, axis=1)[..., ::24], axis=-1)
    return 100 * np.maximum(changes, 0).sum(axis=-1) / np.abs(changes).sum(axis=-1)


def price_features(seed: int, newest: int) -> Features:
    ticks = (PUBLISHED_HOURS + LONGEST_INDICATOR_HOURS) * TICKS_PER_HOUR
    times = newest - TICK * np.arange(ticks, -1, -1, dtype=np.int64)
    prices = simulate_prices(seed, times)
    hourly = prices[:, ::TICKS_PER_HOUR]
    features = {
        "current_price": hourly,
        "price_change_1h": 100 * (hourly[:, 1:] / hourly[:, :-1] - 1),
        "price_change_24h": 100 * (hourly[:, 24:] / hourly[:, :-24] - 1),
        "volume_24h": rolling_sum(simulate_volumes(seed, times), TICKS_PER_DAY),
        "volatility_7d": 100 * np.sqrt(365 / 7 * rolling_sum(np.diff(np.log(prices)) ** 2, 7 * TICKS_PER_DAY)),
        "ma_7d": sliding_window_view(hourly, 7 * 24, axis=1).mean(axis=-1),
        "ma_30d": sliding_window_view(hourly, 30 * 24, axis=1).mean(axis=-1),
        "rsi_14d": relative_strength(hourly, 14),
    }
    published = slice(-PUBLISHED_HOURS, None)
    return times[::TICKS_PER_HOUR][published], {name: values[:, published] for name, values in features.items()}


def economic_features(seed: int, newest: int) -> Features:
    times = newest - DAY * np.arange(PUBLISHED_DAYS - 1, -1, -1, dtype=np.int64)

    def released(name: str, of: str, start: float, every: int, moves: list[float]) -> Floats:
        """A figure that moves at each release, every so many days, and stands still in between."""
        random = stream(seed, name, of)
        release = (times // DAY + random.integers(every)) // every
        walk = np.append(0, random.choice(moves, size=release[-1] - release[0])).cumsum()
        return np.round(start + walk[release - release[0]], 2)

    columns = zip(*(
        (
            released("gdp", code, now.gdp_growth, 91, [-0.4, -0.2, 0.1, 0.3]),
            released("inflation", code, now.inflation, 30, [-0.2, -0.1, 0, 0.1, 0.2]),
            released("rate", now.central_bank, now.rate, 45, [-0.25, 0, 0, 0.25]),
            released("unemployment", code, now.unemployment, 30, [-0.1, 0, 0, 0.1]),
            released("production", code, now.production, 30, [-0.6, -0.2, 0.3, 0.6]),
        )
        for code, now in COUNTRIES.items()
    ), strict=True)  # fmt: skip
    names = ("gdp_growth", "inflation_rate", "interest_rate", "unemployment_rate", "industrial_production")
    return times, {name: np.array(values) for name, values in zip(names, columns, strict=True)}


def weather_features(seed: int, newest: int) -> Features:
    times = newest - HOUR * np.arange(PUBLISHED_HOURS - 1, -1, -1, dtype=np.int64)
    longitude, mean, seasonal, daily, wind, wet = np.array(list(REGIONS.values())).T[:, :, None]
    day_of_year = times / DAY % 365.25  # right to a day: 1970 began on the first of January
    local_hour = times / HOUR + longitude / 15
    temperature = (
        mean
        + seasonal * np.cos(2 * np.pi * (day_of_year - 202) / 365.25)  # warmest in late July
        + daily * np.cos(2 * np.pi * (local_hour - 15) / 24)  # and at three in the afternoon
        + 2.5 * meander(seed, "air mass", times.size)
    )
    # Deep lows bring wind, and the deepest of them rain: in as many hours as the region's share says.
    lows = meander(seed, "low", times.size)
    rain_begins = np.vectorize(NormalDist().inv_cdf)(1 - wet)
    showers = np.array([stream(seed, "rain", region).gamma(2.0, 0.5, times.size) for region in REGIONS])
    gusts = np.array([stream(seed, "wind", region).normal(0, 0.12, times.size) for region in REGIONS])
    rain = 2.5 * np.maximum(lows - rain_begins, 0) * showers
    speed = wind * np.exp(0.35 * lows + gusts)
    return times, {
        "temperature_avg": np.round(temperature, 1),
        "precipitation": np.round(rain, 1),
        "wind_speed": np.round(speed, 1),
        "storm_index": np.round(10 * (1 - np.exp(-((speed / 25) ** 2) - rain / 30)), 1),
    }


def meander(seed: int, name: str, hours: int) -> Floats:
    """For each region, standard normal values that wander over about a day (an autoregressive process)."""
    memory, settling = 0.95, 10 * 24
    values = np.array([stream(seed, name, region).standard_normal(settling + hours) for region in REGIONS])
    for hour in range(1, settling + hours):
        values[:, hour] = memory * values[:, hour - 1] + np.sqrt(1 - memory**2) * values[:, hour]
    return values[:, settling:]


def write(path: Path, key: str, names: list[str], delay: Times, found: Features) -> None:
    """One row per time and name, oldest first; a name's row is written `delay` seconds after its event."""
    times, features = found
    timestamp = pa.timestamp("us", tz="UTC")
    events = np.repeat(times, len(names))
    columns = {
        "event_timestamp": pa.array(events * 1_000_000).cast(timestamp),
        "created": pa.array((events + np.tile(delay, times.size)) * 1_000_000).cast(timestamp),
        key: pa.array(names * times.size, pa.string()),
        **{
            # Adding zero makes -0.0, which rounding leaves behind, a plain 0; NaN becomes null.
            feature: pa.array(np.round(values.T.ravel(), 6) + 0.0, pa.float64(), from_pandas=True)
            for feature, values in features.items()
        },
    }
    pq.write_table(pa.table(columns), path)
    newest = datetime.fromtimestamp(times[-1], UTC)
    print(f"{path}: {events.size} rows, the newest of {newest:%Y-%m-%d %H:%M} UTC")  # noqa: T201


def generate(out: Path, seed: int, now: datetime) -> None:
    """Write the three files into `out`; no row is of after `now` or written after it."""
    out.mkdir(parents=True, exist_ok=True)
    for file, key, entities, interval, longest_delay, compute in (
        ("commodity_prices.parquet", "commodity_code", COMMODITIES, TICK, 90, price_features),
        ("economic_indicators.parquet", "country", COUNTRIES, DAY, 75 * MINUTE, economic_features),
        ("weather.parquet", "region", REGIONS, HOUR, 4 * MINUTE, weather_features),
    ):
        newest = (int(now.timestamp()) - longest_delay) // interval * interval
        delay = stream(seed, "delay", file).integers(longest_delay // 3, longest_delay, size=len(entities))
        write(out / file, key, list(entities), delay, compute(seed, newest))


def instant(text: str) -> datetime:
    """A point in time from ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Parquet files of the commodity example.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder for the files")
    parser.add_argument("--seed", type=int, default=254, help="another seed, other markets")
    parser.add_argument("--now", type=instant, default=datetime.now(UTC), help="time of the newest rows, ISO 8601")
    arguments = parser.parse_args()
    generate(arguments.out, arguments.seed, arguments.now)
