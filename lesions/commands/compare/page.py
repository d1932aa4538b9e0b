"""The comparison as Markdown with two plots, for a pull request."""

from pathlib import Path
from urllib.parse import quote

from lesions.commands.compare.compare import Comparison, context, table
from lesions.commands.compare.plots import draw_confusions, draw_differences
from lesions.commands.options import make_writable
from lesions.core.errors import UserError
from lesions.reporting.common.tables import markdown_table
from lesions.reporting.common.templates import render


def write_page(comparison: Comparison, file: Path) -> list[Path]:
    """Write the page, and its plots beside it: `NAME-differences.png` and `NAME-confusion.png`.

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
    plots = {
        file.with_name(f"{file.stem}-differences.png"): draw_differences(comparison),
        file.with_name(f"{file.stem}-confusion.png"): draw_confusions(comparison),
    }
    head, *rows = table(comparison)
    differences, confusion = (quote(plot.name) for plot in plots)
    values = {"table": markdown_table(head, rows), "differences_plot": differences, "confusion_plot": confusion}
    page = render("commands/compare/comparison.md.jinja", context(comparison) | values)
    try:
        for plot, content in plots.items():
            plot.write_bytes(content)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--markdown {file}: cannot be written ({error.strerror}).") from None
    return [file, *plots]
