"""The comparison as Markdown with two plots, for a pull request."""

from pathlib import Path
from urllib.parse import quote

from lesions.commands.compare.compare import Comparison, as_markdown
from lesions.commands.compare.plots import draw_confusions, draw_differences
from lesions.commands.output_folder import make_writable
from lesions.core.errors import UserError


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
    try:
        for plot, content in plots.items():
            plot.write_bytes(content)
        file.write_text(as_markdown(comparison, *(quote(plot.name) for plot in plots)), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--markdown {file}: cannot be written ({error.strerror}).") from None
    return [file, *plots]
