"""The rows to train on: each hour of a commodity whose next day is known already, with the price that came then.

python labels.py --prices ../../commodity/data/commodity_prices.parquet --out labels.parquet
"""

import argparse
from pathlib import Path

import pandas as pd

KEY, TIME, LABEL = "commodity_code", "event_timestamp", "price_in_24h"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the entities of a training set, with their label.")
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    labelled(pd.read_parquet(wanted.prices)).to_parquet(wanted.out, index=False)


def labelled(prices: pd.DataFrame) -> pd.DataFrame:
    now = prices[[KEY, TIME, "current_price"]]
    then = now.assign(**{TIME: now[TIME] - pd.Timedelta(hours=24)}).rename(columns={"current_price": LABEL})
    return now[[KEY, TIME]].merge(then, on=[KEY, TIME])


if __name__ == "__main__":
    main()
