"""Where things are that a run uses, and where it leaves what it made."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "featureplane"
EXAMPLES = ROOT / "examples"
EXAMPLE = EXAMPLES / "commodity"
BUILD = ROOT / "build" / "e2e"
