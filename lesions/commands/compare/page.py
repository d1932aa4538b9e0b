"""The comparison as Markdown with two pictures, for a pull request."""

from pathlib import Path
from urllib.parse import quote

from lesions.commands.compare.compare import (
    Comparison,
    differences,
    notes,
    test_set,
    tests_in_words,
    warnings,
    without_interval,
)
from lesions.commands.compare.plots import draw_confusions, draw_differences
from lesions.commands.output_folder import make_writable
from lesions.core.errors import UserError
from lesions.reporting.card.sentences import SIDES, escaped


def write_page(comparison: Comparison, file: Path) -> list[Path]:
    """Write the page, and its pictures beside it: `NAME-differences.png` and `NAME-confusion.png`.

    Args:
        comparison: what was found.
        file: of the page, which is overwritten.

    Returns:
        The files.

    Raises:
        UserError: nothing can be written there.
    """
    make_writable(file.parent, "the comparison")
    if file.is_dir():
        raise UserError(f"--markdown {file} is a folder. Expected a file, such as {file / 'comparison.md'}.")
    pictures = {
        file.with_name(f"{file.stem}-differences.png"): draw_differences(comparison),
        file.with_name(f"{file.stem}-confusion.png"): draw_confusions(comparison),
    }
    try:
        for picture, content in pictures.items():
            picture.write_bytes(content)
        file.write_text(as_markdown(comparison, *(quote(picture.name) for picture in pictures)), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--markdown {file}: cannot be written ({error.strerror}).") from None
    return [file, *pictures]


def as_markdown(comparison: Comparison, differences_picture: str, confusion_picture: str) -> str:
    """Return the page; the pictures are named as they lie beside it."""
    one, other = (escaped(name) for name in comparison.names)
    rows = [
        f"| {escaped(row.figure)} | {row.first} | {row.second} | {row.difference} | {row.interval} "
        f"| {escaped(row.better)} |"
        for row in differences(comparison)
    ]
    parts = [
        f"## {other} beside {one}, on {SIDES[comparison.side]}",
        *(f"> **{escaped(line)}**" for line in warnings(comparison)),
        escaped(test_set(comparison.one)),
        f"![Each difference with its 95 % interval; the table has the numbers]({differences_picture})",
        "\n".join(
            [f"| | {one} | {other} | difference | 95 % interval | better |", "|---|---:|---:|---:|---:|---|", *rows]
        ),
        "\n".join(f"- {escaped(line)}" for line in without_interval(comparison)),
        "\n".join(f"- {escaped(line)}" for line in tests_in_words(comparison.one, comparison.other)),
        f"![Confusion matrices of both: pictures by actual and predicted diagnosis]({confusion_picture})",
        *(escaped(note) for note in notes(comparison)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
