"""Small results as JSON, so that the same values give the same bytes."""

import json
from pathlib import Path
from typing import Any

from lesions.core.errors import reading


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        UserError: it is missing or damaged, or holds NaN or infinity.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        if not isinstance(content, dict):
            raise ValueError("expected an object, {…}")
    return content


def _no_number(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON in the given order of keys, with a line end; never NaN, which is no JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
