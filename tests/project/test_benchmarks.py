"""The table of the benchmarks, as `make bench` writes it."""

import platform
import re
from pathlib import Path
from shutil import copyfile

from tests.conftest import ROOT, run

SCRIPT = """
def rows():
    print("much else")
    return [{"claim": "a | b", "ours": "3", "theirs": "1", "ratio": "3.0", "spread": "2.9 to 3.1"}]

def scale():
    raise RuntimeError("no memory for that")
"""


def test_results_have_rows_and_no_machine_name(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    copyfile(ROOT / "benchmarks/collect.py", folder / "collect.py")
    (folder / "speed.py").write_text(SCRIPT)
    (folder / "without_rows.py").touch()
    printed = run("python benchmarks/collect.py", tmp_path, fails=True)
    assert "failed: PYTHONPATH=. python benchmarks/speed.py --scale" in printed
    written = (folder / "RESULTS.md").read_text()
    assert "| a / b | 3 | 1 | 3.0 | 2.9 to 3.1 | `PYTHONPATH=. python benchmarks/speed.py` |" in written
    assert re.search(r"\| processor \| .+, \d+ cores \|", written)
    assert "`without_rows.py`" in written
    assert platform.node() not in written
    assert str(tmp_path) not in written
