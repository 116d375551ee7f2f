"""`make` alone is the table of contents of what a person can do here."""

import re
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    text = (_ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    listed = subprocess.run(["make"], cwd=_ROOT, capture_output=True, text=True, check=True).stdout
    sentences = dict(re.findall(r"^ {2}make (\w+) +(\S.*\.)$", listed, re.MULTILINE))
    assert set(sentences) == set(phony.group(1).split())
