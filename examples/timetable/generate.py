"""Data for the timetable example: scanned documents, their OCR text and what was found in it, as Parquet files.

    python examples/timetable/generate.py [--out FOLDER] [--seed 254] [--now 2026-03-04T10:37:00Z]

Each document is composed in clean text, "scanned" with a quality, and read with the errors that this quality brings
(O for 0, l for 1); every count and score follows from the text as read. One seed and one --now give the same bytes.
"""

import argparse
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = 360
MEAN_GAP = timedelta(minutes=40)  # between uploads: some ten days of them, a few in each hour's window
ARCHIVED = 20  # scanned more than half a year ago: past the ttl of timetable_features, not of the other views
RESCANNED_EVERY = 15  # of the documents, one in so many was scanned again later: the newer row must win
EMBEDDING_SIZE = 64

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
SUBJECTS = {
    "mathematics": ("Mathematics", "Algebra", "Geometry", "Statistics"),
    "science": ("Physics", "Chemistry", "Biology", "Astronomy"),
    "languages": ("English", "German", "French", "Spanish", "Latin"),
    "humanities": ("History", "Geography", "Economics", "Ethics"),
    "arts": ("Music", "Drawing", "Theatre"),
    "sport": ("Athletics", "Swimming", "Gymnastics"),
}
TYPES = {"class_timetable": 0.55, "exam_timetable": 0.2, "bus_timetable": 0.15, "letter": 0.1}
STOPS = ("Market Square", "Station", "Hospital", "Old Bridge", "University", "Harbour", "Airport", "School Lane")
TIME = re.compile(r"\b([01]?\d|2[0-3]):[0-5]\d\b")
MISREAD = {"0": "O", "1": "l", "5": "S", "8": "B", ":": ".", "l": "1", "S": "5", "B": "8", "e": "c", "m": "rn"}
MISREAD_AT_WORST = 0.5  # share of such letters that are taken for another one in an image of quality 0
ENHANCED_BELOW = 0.65  # quality under which an image is straightened and its contrast raised


class Scan(NamedTuple):
    document: str
    kind: str
    clean: str
    quality: float  # of the image as it came, 0 to 1
    at: datetime


def clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def class_timetable(random: np.random.Generator) -> str:
    """A week of lessons of 45 minutes, most of them of one group of subjects."""
    group = str(random.choice(list(SUBJECTS)))
    everything = [subject for subjects in SUBJECTS.values() for subject in subjects]
    lines = [f"Timetable class {random.integers(5, 13)}{random.choice(list('ABCD'))}"]
    for day in DAYS[: random.integers(3, 6)]:
        lines.append(day)
        start = 8 * 60 + 5 * int(random.integers(0, 4))
        for lesson in range(random.integers(4, 7)):
            subject = random.choice([*SUBJECTS[group] * 6, *everything])
            begin = start + 50 * lesson
            lines.append(f"{clock(begin)}-{clock(begin + 45)}  {subject}  Room {random.integers(1, 40)}")
    return "\n".join(lines)


def exam_timetable(random: np.random.Generator) -> str:
    """The papers of one group of subjects, a line each."""
    group = str(random.choice(list(SUBJECTS)))
    lines = [f"Examinations, summer term, {group}"]
    for paper in range(random.integers(4, 9)):
        begin = int(random.choice([540, 600, 810]))
        end = begin + int(random.choice([60, 90, 120, 180]))
        day, date, hall = DAYS[paper % 5], 8 + paper + 2 * (paper // 5), random.choice(list("ABC"))
        lines.append(f"{day} {date} June  {clock(begin)}-{clock(end)}  {random.choice(SUBJECTS[group])}  Hall {hall}")
    return "\n".join(lines)


def bus_timetable(random: np.random.Generator) -> str:
    """One bus line: a row of departures per stop, each a few minutes after the stop before."""
    stops = random.choice(STOPS, size=random.integers(4, 7), replace=False)
    lines = [f"Line {random.integers(1, 90)}  {stops[0]} - {stops[-1]}", "Monday to Friday"]
    first, interval = int(random.integers(300, 400)), int(random.choice([20, 30, 60]))
    offset = 0
    for stop in stops:
        lines.append("  ".join([f"{stop:<14}", *(clock(first + offset + interval * run) for run in range(10))]))
        offset += int(random.integers(3, 9))
    return "\n".join(lines)


def letter(random: np.random.Generator) -> str:
    """What is also put into the scanner: a letter, with a single time of day at most."""
    day, hour = random.choice(DAYS), clock(int(random.integers(34, 40)) * 30)
    meeting = random.choice(
        [f"We meet on {day} at {hour} in the assembly hall.", "We will write again soon."], p=[0.7, 0.3]
    )
    return f"""Dear parents,
the new timetable will be ready at the end of the month. Until then the old one stays in force.
{meeting}
Please return the attached form, signed, to the office of the school.
Yours sincerely
The headmaster"""


COMPOSE = {
    "class_timetable": class_timetable,
    "exam_timetable": exam_timetable,
    "bus_timetable": bus_timetable,
    "letter": letter,
}


def scans(random: np.random.Generator, now: datetime) -> list[Scan]:
    """Every scan, oldest first: the archive, then the uploads of the last days, some of them scanned again."""
    gaps = random.exponential(MEAN_GAP.total_seconds(), size=DOCUMENTS - ARCHIVED)
    ages = [timedelta(days=float(days)) for days in random.uniform(190, 350, size=ARCHIVED)]
    ages += [timedelta(minutes=3, seconds=float(seconds)) for seconds in np.cumsum(gaps) - gaps[0]]
    found = []
    for number, age in enumerate(sorted(ages, reverse=True), start=1):
        kind = str(random.choice(list(TYPES), p=list(TYPES.values())))
        scan = Scan(f"doc-{number:05}", kind, COMPOSE[kind](random), float(random.beta(7, 2)), now - age)
        found.append(scan)
        if number % RESCANNED_EVERY == 0:
            found.append(scan._replace(quality=0.5 + scan.quality / 2, at=now - age / 2))
    return sorted(found, key=lambda scan: scan.at)


def read(random: np.random.Generator, clean: str, quality: float) -> str:
    """The text as the OCR engine returns it: the worse the image, the more letters are taken for others."""
    misread = random.random(len(clean)) < MISREAD_AT_WORST * (1 - quality) ** 1.5
    return "".join(MISREAD.get(sign, sign) if wrong else sign for sign, wrong in zip(clean, misread, strict=True))


def subject(text: str) -> str:
    """The group that most of the recognised subjects belong to."""
    count = Counter(group for group, subjects in SUBJECTS.items() for word in subjects for _ in range(text.count(word)))
    return min(count, key=lambda group: (-count[group], group), default="none")


def rows(random: np.random.Generator, scan: Scan, centres: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """What each step of the pipeline writes about one scan, by the name of the file."""

    def score(value: float, spread: float = 0.03) -> float:
        return float(np.clip(value + random.normal(0, spread), 0.01, 0.99))

    enhanced = scan.quality < ENHANCED_BELOW
    quality = scan.quality + (0.3 * (1 - scan.quality) if enhanced else 0)
    text = read(random, scan.clean, quality)
    times, lines = len(TIME.findall(text)), text.splitlines()
    tabular = sum(bool(TIME.search(line)) for line in lines) / len(lines)
    day_found = any(day in text for day in DAYS)
    layout, confidence = score(0.1 + 0.85 * tabular * quality), score(0.35 + 0.62 * quality)
    found_of_all = times / max(len(TIME.findall(scan.clean)), 1)
    look = centres[scan.kind] + random.normal(0, 0.08, EMBEDDING_SIZE)

    seen = scan.at
    was_read = seen + timedelta(milliseconds=int(random.integers(900, 4000)))
    understood = was_read + timedelta(milliseconds=int(random.integers(100, 600)))
    return {
        "documents": {
            "event_timestamp": seen,
            "document": scan.document,
            "image_embedding": (look / np.linalg.norm(look)).astype("<f4").tobytes(),
            "document_type": scan.kind,
            "preprocessing_applied": enhanced,
            "extraction_confidence": score(0.5 + 0.48 * quality),
        },
        "ocr": {
            "event_timestamp": was_read,
            "document": scan.document,
            "text": text,
            "confidence": confidence,
            "word_count": len(text.split()),
            "layout_score": layout,
            "time_pattern_count": times,
        },
        "timetables": {
            "event_timestamp": understood,
            "document": scan.document,
            "timetable_pattern_score": score(0.55 * min(times / 10, 1) + 0.15 * day_found + 0.28 * layout),
            "subject_classification": subject(text),
            "time_extraction_confidence": score(found_of_all * confidence) if times else 0.0,
            "day_pattern_detected": day_found,
        },
    }


TIMESTAMP = pa.timestamp("us", tz="UTC")
COLUMNS = {
    "documents": {
        "image_embedding": pa.binary(),
        "document_type": pa.string(),
        "preprocessing_applied": pa.bool_(),
        "extraction_confidence": pa.float32(),
    },
    "ocr": {
        "text": pa.string(),
        "confidence": pa.float32(),
        "word_count": pa.int64(),
        "layout_score": pa.float32(),
        "time_pattern_count": pa.int64(),
    },
    "timetables": {
        "timetable_pattern_score": pa.float32(),
        "subject_classification": pa.string(),
        "time_extraction_confidence": pa.float32(),
        "day_pattern_detected": pa.bool_(),
    },
}


def generate(out: Path, seed: int, now: datetime) -> None:
    """Write the three files into `out`; no row is of after `now` or written after it."""
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    # Pages of one type look alike: their embeddings lie around one point.
    centres = {kind: random.normal(0, 0.12, EMBEDDING_SIZE) for kind in TYPES}
    found = [rows(random, scan, centres) for scan in scans(random, now)]
    for name, features in COLUMNS.items():
        schema = pa.schema({"event_timestamp": TIMESTAMP, "created": TIMESTAMP, "document": pa.string(), **features})
        lines = [row[name] | {"created": row[name]["event_timestamp"] + timedelta(milliseconds=150)} for row in found]
        pq.write_table(pa.Table.from_pylist(lines, schema), out / f"{name}.parquet")
        newest = lines[-1]["event_timestamp"]
        print(f"{out / name}.parquet: {len(lines)} rows, the newest of {newest:%Y-%m-%d %H:%M} UTC")  # noqa: T201


def instant(text: str) -> datetime:
    """A point in time from ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Parquet files of the timetable example.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder for the files")
    parser.add_argument("--seed", type=int, default=254, help="another seed, other documents")
    parser.add_argument("--now", type=instant, default=datetime.now(UTC), help="time of the newest rows, ISO 8601")
    arguments = parser.parse_args()
    generate(arguments.out, arguments.seed, arguments.now)
