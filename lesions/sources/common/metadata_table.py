"""Reading a person's table of images safely, and saying what is wrong with it."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from lesions.archives import open_archive, read_member
from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize, unsafe_reason
from lesions.sources.common.column_names import column_name
from lesions.sources.common.raw_data import COLUMNS, NEEDED

SEPARATORS = ",;\t"
MAX_BYTES = 300_000_000
MAX_COLUMNS = 1_000
MAX_ROWS = 1_000_000
MAX_VALUES = 30_000_000
"""The largest table that is read, in some 3 GB of memory. ISIC's largest has 250 MB, 55 columns, 400,000 rows."""
MAX_ZIPPED_BYTES = 50_000_000
"""Largest table in an archive of its own, unpacked."""
MAX_DIAGNOSES = 1_000
_MAX_NAMED = 8
"""How many columns or ids a message names."""


def read_header(path: Path) -> list[str]:
    """Return a table's column names, as `column_name` brings them into one form; [] where there is no text.

    Only the first line is read, so that this works on any file.
    """
    try:
        start = _read_bytes(path, "") if path.suffix.lower() == ".zip" else _start(path)
        line = _first_line(start[: 1 << 20])
        return _split_header(csv.reader([line], delimiter=_separator(line)))
    except (csv.Error, UserError):  # no text, or no table
        return []


def read_table(path: Path, *, names: Sequence[str] = (), member: str = "", only: Collection[str] = ()) -> pd.DataFrame:
    r"""Read a table separated by commas, semicolons or tabs.

    Nothing is interpreted: a diagnosis called NA stays the text "NA", an age "055" keeps its zero.

    Args:
        path: the table, or a zip archive that holds it.
        names: of the columns, where the table has no header.
        member: the table's file name in the archive; as a rule the archive's, with .csv.
        only: the columns to return, as `read_header` names them; with () all. Of half a million rows with fifty
            columns, eight take little memory.

    Returns:
        All values as text, "" where there is none; column names as `read_header` gives them. Rows without
        any value, which spreadsheets leave at the end, are left out.

    Raises:
        UserError: it is not UTF-8 text (a byte-order mark is fine), names a column twice, a row has more or fewer
            values than the header, or it is larger than any table of images; names the file and the line.
    """
    file = sanitize(f"{member} in {path.name}" if member else path.name)
    content = _read_bytes(path, member)
    _check_text(file, content)
    # Line by line: as one text, Python would take up to four bytes a character.
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=_separator(_first_line(content[: 1 << 20])), strict=True)
    rows: list[list[str]] = []
    try:
        header = list(names) or _split_header(reader)
        known = f"{len(header)} are expected" if names else f"the header names {len(header)} columns"
        _check_limit(file, len(header), MAX_COLUMNS, "columns")
        places = [place for place, name in enumerate(header) if not only or name in only]
        for row in reader:
            if any(row):
                if len(row) != len(header):
                    raise UserError(
                        f"{file}, line {reader.line_num}: {len(row)} values, and {known}; "
                        f'the row begins "{sanitize(row[0][:40])}". Mend it; a value that holds the separator '
                        "needs quotation marks."
                    )
                rows.append([row[place] for place in places])
                _check_limit(file, len(rows), min(MAX_ROWS, MAX_VALUES // len(header)), "rows")
    except csv.Error as error:
        raise UserError(
            f"{file}, line {reader.line_num}: {error}. Probably a quotation mark is open there or "
            "stands inside a value; write it twice, or save the table again as CSV from a spreadsheet."
        ) from None
    twice = sorted(name for name, times in Counter(header).items() if name and times > 1)
    if twice:
        raise UserError(
            f"{file} has more than one column called {first_names(twice)} (case, and what stands between "
            "the letters, do not count). Rename or remove all but one."
        )
    return pd.DataFrame(rows, columns=pd.Index([header[place] for place in places], dtype=str), dtype=str)


def check_table(table: pd.DataFrame, name: str) -> None:
    """Check that a table names each image once and has a column for its diagnosis, which can be a class's name.

    Args:
        table: as `read_table` returns it.
        name: the file's, for the message.

    Raises:
        UserError: a needed column is missing, there is no row, an `image_id` is missing or stands twice, or
            there is a diagnosis that is unsafe in our tables, or more of them than anybody tells apart.
    """
    name = sanitize(name)
    found = [str(column) for column in table.columns if column]
    missing = [column for column in NEEDED if column not in found]
    if missing:
        raise UserError(
            f"{name} has no column {' and no column '.join(missing)}; found: {first_names(found)}; expected: "
            f"{', '.join(NEEDED)}, and if known {', '.join(name for name in COLUMNS if name not in NEEDED)}. "
            "Mend the names in the first line."
        )
    if table.empty:
        raise UserError(f"{name} has a header and no rows; expected a row an image. Is it the whole file?")
    ids = table["image_id"].str.strip()
    if (ids == "").any():
        row = int((ids == "").to_numpy().argmax()) + 1
        raise UserError(
            f"{name} has {(ids == '').sum()} rows without image_id, first row {row} below the header; "
            "expected an image's name without its extension. Fill it in, or remove the row."
        )
    counts = ids.value_counts().loc[lambda count: count > 1].sort_index()
    if len(counts):
        named = [f"{image_id} ({count} times)" for image_id, count in counts.items()]
        raise UserError(
            f"{name} has {len(counts)} image_ids in more than one row: {first_names(named)}; expected one row an "
            "image. Remove the rows that are wrong; where several files have one name, rename them."
        )
    diagnoses = [" ".join(diagnosis.split()) for diagnosis in table["dx"].unique()]
    if len(diagnoses) > MAX_DIAGNOSES:
        raise UserError(
            f"{name} has {len(diagnoses):,} diagnoses, such as {first_names(diagnoses[:3])}; expected at most "
            f"{MAX_DIAGNOSES:,}. Is another column the one that should be called dx?"
        )
    for diagnosis in diagnoses:
        if reason := unsafe_reason(diagnosis):
            raise UserError(
                f"{name}: the diagnosis {sanitize(diagnosis)} {reason}; expected its name. Mend or remove it."
            )


def _read_bytes(path: Path, member: str) -> bytes:
    """Return a table's bytes; of an archive, those of a member, as `read_table` says."""
    if path.suffix.lower() != ".zip":
        _check_limit(sanitize(path.name), path.stat().st_size, MAX_BYTES, "bytes")
        return path.read_bytes()
    name, limit = (member, MAX_BYTES) if member else (path.with_suffix(".csv").name, MAX_ZIPPED_BYTES)
    with open_archive(path) as archive:
        members = {PurePosixPath(info.filename).name: info for info in archive.infolist()}
        if name not in members or members[name].file_size > limit:
            raise UserError(
                f"{path} does not hold the table {name}, of less than {limit:,} bytes; it holds "
                f"{first_names(sorted(members))}. Take it away; one that was fetched is then fetched anew."
            )
        try:
            return read_member(archive, members[name])
        except ValueError as error:
            raise UserError(
                f"{name} in {path} cannot be read: {error}. Take the archive away; one that was fetched is then "
                "fetched anew."
            ) from None


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(1 << 20)


def _check_text(file: str, content: bytes) -> None:
    try:
        content.decode()
        place, problem = content.find(b"\0"), "holds a NUL byte"
    except UnicodeDecodeError as error:
        place, problem = error.start, "is not UTF-8 text"
    if place >= 0:
        line = content.count(b"\n", 0, place) + 1
        raise UserError(
            f"{file} {problem} (line {line}): it has another encoding, or is damaged. Save it again as UTF-8: in a "
            'spreadsheet "Save as", "CSV UTF-8"; in a text editor "Save with encoding", "UTF-8"; or fetch it again.'
        )


def _first_line(start: bytes) -> str:
    return b"".join(start.splitlines()[:1]).decode("utf-8-sig", errors="replace")


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _split_header(reader: Iterator[list[str]]) -> list[str]:
    return [column_name(name) for name in next(reader, [])]


def _check_limit(file: str, found: int, limit: int, what: str) -> None:
    if found > limit:
        raise UserError(
            f"{file} has more than {limit:,} {what}, so it is no table of images and their diagnoses; expected a "
            "row an image. Take it out of the folder, or mend it."
        )


def first_names(names: list[str], n: int = _MAX_NAMED) -> str:
    """Return the first `n` names of a list, made safe, and how many more there are; "none" where there is none."""
    more = f" and {len(names) - n:,} more" if len(names) > n else ""
    return (", ".join(map(sanitize, names[:n])) or "none") + more
