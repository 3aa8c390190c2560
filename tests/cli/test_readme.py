"""README.md's quick start, word for word."""

import re
import shlex
import subprocess

from cli.commands import ROOT, clean_environment
from patience import PATIENCE

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_quick_start_works_as_it_is_written(place):
    """The files that it shows, then its commands one by one: `plan` ends with 1, and the last prints the values."""
    (data,), (view,), (commands, *_) = blocks("python"), blocks("yaml"), blocks("sh")
    assert data.startswith("# data.py\n")
    place.write("data.py", data)
    (name,) = re.findall(r"What they mean, in `([a-z-]+\.yaml)`:", README)
    place.write(name, view)
    lines = [line for line in commands.splitlines() if not line.lstrip().startswith("#")]
    subcommands = [words[1] for words in map(shlex.split, lines) if words[0] == "featureplane"]
    assert subcommands == ["validate", "plan", "apply", "materialize", "get-online-features"]
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=place.folder, env=clean_environment(), capture_output=True,
                              text=True, timeout=PATIENCE, check=False)  # fmt: skip
        assert done.returncode == (1 if " plan " in line else 0), f"{line}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["driver_id", "FEATURE", "VALUE", "EVENT", "TIME", "STATUS"]
    values = [row[-4:-2] if row[-2] != "-" else row for row in rows[1:]]
    assert values == [["trips_today", "7"], ["rating", "4.8"], ["trips_today", "12"], ["rating", "4.6"]], done.stdout
    place.wait_until_nothing_runs()


def test_every_command_and_file_that_it_names_is_there(featureplane):
    for command in set(re.findall(r"(?<!helm install )featureplane ([a-z][a-z-]+)", README)):
        assert featureplane(command, "--help").status == 0, command
    for path in re.findall(r"\]\(([a-zA-Z][^):#]*)[^)]*\)", README):
        assert path.startswith("http") or (ROOT / path).exists(), path
