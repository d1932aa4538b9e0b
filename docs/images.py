"""Draw the README's images anew from the last run: `python docs/images.py`, after `make repro`."""

import json
import subprocess
from pathlib import Path
from shutil import copyfile

import vl_convert

DOCS = Path(__file__).parent


def main() -> None:
    """Write the contact sheet and the test set's confusion matrix beside this file."""
    copyfile("plots/contact_sheet.jpg", DOCS / "contact_sheet.jpg")
    shown = subprocess.run(
        ["dvc", "plots", "show", "--json", "confusion_shares_test"], check=True, capture_output=True, text=True
    )
    (drawing,) = json.loads(shown.stdout)["data"].values()
    (DOCS / "confusion.png").write_bytes(vl_convert.vegalite_to_png(drawing[0]["content"], scale=1.5))


if __name__ == "__main__":
    main()
