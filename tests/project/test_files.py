"""The project's own files: the lock, and what must not be among the tracked ones."""

import re

from tests.conftest import ROOT, run


def test_the_lock_holds_every_package_with_hashes() -> None:
    wanted = [line for line in (ROOT / "requirements.in").read_text().splitlines() if line and line[0] != "#"]
    lock = (ROOT / "requirements.txt").read_text()
    packages = re.findall(r"^([\w.-]+)==\S+", lock, re.MULTILINE)
    for line in wanted:
        name = re.split(r"[ ;<>=\[]", line)[0].lower()
        assert name.replace("_", "-").replace(".", "-") in [package.replace(".", "-") for package in packages], name
    entries = re.split(r"\n(?=\S)", lock.partition("\n#")[2].partition("\n")[2])
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip())
    assert "://" not in lock


def test_no_picture_table_or_model_is_tracked() -> None:
    tracked = run("git ls-files", ROOT).split()
    assert not [name for name in tracked if re.search(r"ISIC_\d|HAM10000_|\.(h5|keras|npy|npz|pkl|zip)$", name)]
