"""Names and values from outside, in a table that a spreadsheet opens or on a terminal: safe, and still readable.

A spreadsheet takes what begins with = + - @ for a formula, and runs it; a terminal obeys control characters;
marks of writing direction make one name look like another.
"""

import re

LONGEST = 300
"""Characters: no name of a file and no value of a table needs more."""
_SHOWN = 200

# Where a spreadsheet parts columns at semicolons, each part of a value is a cell. The last four are the wide
# forms that some read alike. A number may be negative, and a lone - says that nothing is known.
_FORMULA = re.compile(r"(?:^|;)\s*(?!\s*-(?:\d+(?:\.\d*)?)?\s*(?:;|$))(?=[=+@\-＝＋＠－])")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def unsafe_reason(text: str) -> str:
    """Say why a name or value cannot be written into our tables as it is, such as "begins like a formula", or ""."""
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if found := _INVISIBLE.search(text):
        return f"holds the invisible character U+{ord(found[0]):04X}"
    return "begins like a formula" if _FORMULA.search(text) else ""


def unsafe_label(label: str) -> str:
    """Say why a class cannot have this name, or ""."""
    if not label.strip():
        return "is empty"
    if label in ("image_id", "split", "label", "leakage"):
        return "is a column of our tables"
    if found := re.search(r'[<>&"\\]', label):
        return f"holds {found[0]}, which would be read as HTML or as an escape"
    return unsafe_reason(label)


def printable(text: str) -> str:
    """Return a text that a terminal may be given, in full and on its lines."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def shorten(text: str, letters: int) -> str:
    """Return a text of at most so many letters; the last is an ellipsis where it is cut."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def sanitize(text: str) -> str:
    """Return a text made safe, for a person to read: on one line, shortened, formulas behind an apostrophe."""
    escaped = _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text[:LONGEST])
    shortened = escaped if max(len(escaped), len(text)) <= LONGEST else shorten(escaped, _SHOWN)
    return _FORMULA.sub(lambda found: found[0] + "'", shortened)
