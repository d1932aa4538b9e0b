"""The data report: what was found, what was set aside and why, and what to know before training, in words.

One page without addresses, scripts or dates: it opens offline, can be sent to a colleague, and has the same bytes
for the same data.
"""

import base64
import html
from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.audit.associations import COLUMNS
from lesions.audit.plots import View
from lesions.audit.summary import kind_of_reason
from lesions.params.clean import Clean

REASONS = {
    "no diagnosis": "The table says nothing, or UNK, where the diagnosis should be. Fill it in, if it is known.",
    "its diagnosis is not among": "You left it out: no class of clean.classes holds it. It counts for no limit.",
    "listed, but not in any archive": "The table has a row for it, and no archive has the picture. Add the picture, "
    "or remove the row; if there are many, an archive is missing.",
    "not listed in the table": "An archive has the picture, and the table no row for it. Add the row, or ignore it.",
    "a second picture of this id": "Two files have this name; the first was taken. Rename one and list both.",
    "name occurs twice in the archive": "The archive holds two files of this name; the first was taken.",
    "shares its bytes with another member": "The archive is not as any program packs it, and can be a trap. Pack the "
    "pictures anew if you trust them.",
    "compressed in a way that is not read": "Such members can grow without bound. Pack the pictures anew as plain zip.",
    "declares more than": "No picture is so long. The archive is damaged, or a trap.",
    "unpacks to more than": "No picture shrinks so well. The archive is a trap, or the picture of one colour.",
    "encrypted": "The archive asks for a password: unpack it with that, and pack it anew without.",
    "a link or device": "The member is no file: pack the picture itself.",
    **dict.fromkeys(
        ("begins like a formula", "holds the invisible character", "is longer than"),
        "This name or value could do harm in a spreadsheet or on a screen: mend it in the table, or rename the file.",
    ),
    "empty file": "The file has no bytes: copy or fetch it again.",
    "no picture": "The bytes are those of no format that is read here, whatever the name says.",
    "broken picture": "The file ends too early or is damaged: copy or fetch it again.",
    "too large": "More pixels than a camera of today makes; it was not opened.",
    "32-bit grey values": "Nobody says which value is white: save it as 8-bit colour.",
    "16-bit grey values": "The values fill a part of their range only: save it as 8-bit colour.",
    "damaged in the archive": "The archive is damaged at this place: copy or fetch it again.",
    "unsafe path": "The member's name leads out of the archive. Pack the pictures anew if you trust them.",
    "the same picture is diagnosed as": "One of the diagnoses is wrong, and nobody says which. Find out, and mend the "
    "table.",
}
"""What the reasons in `data/clean/rejects.csv` mean and what to do, by words that they hold."""

NATURES = ("malignant", "benign", "unstated")
_EXAMPLES = 3

# The browser itself refuses every address: whatever stands in the data, nothing leaves the computer.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 62rem; background: #fff; color: #222;
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 1px solid #ddd; font-size: 1.25rem; }
h3 { margin: 0 0 .25rem; font-size: 1rem; }
p, li { max-width: 44rem; }
.lead { font-size: 1.125rem; }
.warning { margin: 1rem 0; max-width: 44rem; padding: .75rem 1rem; border-left: .3rem solid #c77700;
           background: #fff8ec; }
.warning p { margin: 0; }
.warning p + p { margin-top: .4rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-size: .9375rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid #e4e4e4; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom-color: #999; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.75rem 2.5rem;
         margin-top: 1.25rem; align-items: start; }
figure { margin: 0; break-inside: avoid; }
figure img { display: block; width: 100%; max-width: 34rem; height: auto; }
figcaption { font-size: .9375rem; color: #444; }
summary { cursor: pointer; }
.sheet { margin-top: 1.75rem; overflow-x: auto; }
.sheet img { max-width: none; width: 100%; min-width: 40rem; }
footer { margin-top: 3rem; color: #555; font-size: .875rem; overflow-wrap: anywhere; }
@media (max-width: 36rem) { table { font-size: .8125rem; } th, td { padding-right: .5rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .plots { grid-template-columns: 1fr 1fr; }
  .warning, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .sheet img { min-width: 0; }
  .warning { background: none; }
}
"""


def write_report(
    path: Path,
    images: pd.DataFrame,
    rejected: pd.DataFrame,
    classes: pd.DataFrame,
    summary: dict[str, Any],
    params: Clean,
    provenance: dict[str, Any],
    views: Sequence[tuple[View, bytes]],
    sheet: Path,
    copies_sheet: Path,
) -> None:
    """Write the page.

    Args:
        path: of the page.
        images: `data/clean/images.csv`.
        rejected: `data/clean/rejects.csv`.
        classes: `data/clean/classes.csv`.
        summary: `metrics/data.json`.
        params: the rules that were followed.
        provenance: `data/raw/provenance.json`.
        views: the plots, as `draw_views` yields them.
        sheet: a picture of examples of each class.
        copies_sheet: a picture of copies beside one another.
    """
    plots = {view.key: (view.title, png) for view, png in views}

    def figures(*keys: str) -> str:
        shown = "".join(_figure(*plots[key]) for key in keys if key in plots)
        return f'<div class="plots">{shown}</div>' if shown else ""

    examples = _sheet(sheet, "Examples", "The first pictures of each class, a row a class")
    sections = [
        ("Before you train", _warnings(summary)),
        ("The classes", _classes(classes, summary) + figures("diagnosis", "lesions") + examples),
        ("What was set aside, and why", _rejects(rejected, summary)),
        ("What belongs together", _groups(summary, copies_sheet)),
        (
            "How pictures were taken and diagnosed",
            _origin(images, summary) + figures("confirmation", "source", "sizes"),
        ),
        ("Whose lesions they are", _people(summary, params) + figures("age", "sex", "site")),
        ("What is missing", _missing(summary) + figures("missing")),
    ]
    body = "\n".join(f"<section>\n<h2>{html.escape(title)}</h2>\n{content}\n</section>" for title, content in sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data report</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Data report</h1>
<p class="lead">{html.escape(_lead(summary))}</p>
{body}
<footer>{_footer(provenance)}</footer>
</body>
</html>
""",
        encoding="utf-8",
        newline="\n",
    )


def _lead(summary: dict[str, Any]) -> str:
    of_lesions = f" of {_number(summary['lesions'], 'lesion')}" if summary["lesions"] else ""
    aside = f"{_number(summary['set_aside'], 'was', 'were') if summary['set_aside'] else 'none was'} set aside"
    warnings = len(summary["warnings"])
    know = f"There {'is one thing' if warnings == 1 else f'are {warnings} things'} to know before training."
    return (
        f"{_number(summary['pictures'], 'picture')}{of_lesions} in {len(summary['classes'])} classes can be used; "
        f"{aside}. {know if warnings else 'Nothing stood out that must be known before training.'}"
    )


def _warnings(summary: dict[str, Any]) -> str:
    boxes = [
        f'<div class="warning"><p><strong>{html.escape(warning["found"])}</strong></p>'
        f"<p>{html.escape(warning['advice'])}</p></div>"
        for warning in summary["warnings"]
    ]
    looked = (
        "What was looked for: missing lesion and patient ids; lesions with pictures of two classes; columns, and sizes "
        "of pictures, that give the class away; sources without some of the classes; classes of few lesions, or very "
        "unequal ones; values that cannot be read."
    )
    return "\n".join([*boxes, _paragraph(looked)])


def _classes(classes: pd.DataFrame, summary: dict[str, Any]) -> str:
    pictures = pd.Series(summary["classes"])
    by_nature = pictures.groupby(summary["natures"]).sum()
    counts = [f"{by_nature[nature]:,} as {nature}" for nature in NATURES if nature in by_nature]
    words = f"{_joined(counts)}.".replace(" as ", " pictures count as ", 1)
    table = classes.set_index("label").assign(pictures=pictures, share=pictures / pictures.sum())
    columns = {"pictures": "pictures", "share": "share", "nature": "counts as", "name": "name"}
    if summary["lesions"]:
        table["lesions"] = pd.Series(summary["lesions_by_class"])
        columns = {"pictures": "pictures", "lesions": "lesions", **columns}
    if (classes["of"] != classes["label"]).any():
        words += " The classes are those of clean.classes, made of the diagnoses named beside them."
        columns["of"] = "made of"
    rows = [[label, *(table.at[label, column] for column in columns)] for label in table.index]
    return _paragraph(words) + _table(["class", *columns.values()], rows)


def _rejects(rejected: pd.DataFrame, summary: dict[str, Any]) -> str:
    if rejected.empty:
        return _paragraph("Nothing: every picture that is listed is there, can be opened, and has a class.")
    kinds = kind_of_reason(rejected["reason"])
    rows = []
    for kind, count in summary["set_aside_for"].items():
        examples = rejected.loc[kinds == kind, "image_id"].head(_EXAMPLES).tolist()
        meaning = next((meaning for words, meaning in REASONS.items() if words in kind), "")
        rows.append([kind, count, ", ".join(examples), meaning])
    words = f"{_number(len(rejected), 'picture or row', 'pictures and rows')}; data/clean/rejects.csv lists each."
    return _paragraph(words) + _table(["reason", "number", "for example", "what it means"], rows)


def _groups(summary: dict[str, Any], sheet: Path) -> str:
    joined = {"lesion_id": "of one lesion", "patient_id": "of one patient", "duplicates": "that are copies of one"}
    reasons = [joined[name] for name in summary["kept_together"]]
    exact, near, across = (
        summary[key] for key in ("exact_duplicates", "near_duplicates", "duplicates_under_two_lesions")
    )
    words = _paragraph(
        f"The {_number(summary['pictures'], 'picture')} form {_number(summary['groups'], 'group')}, each of which a "
        f"grouped split keeps on one side. Joined are pictures {_joined(reasons)}."
    )
    if not exact and not near:
        return words + _paragraph("No picture is a copy of another, nor looks like one.")
    found = (
        f"{_number(exact, 'picture has', 'pictures have')} exactly the bytes of another one, and "
        f"{_number(near, 'looks', 'look')} like another one that was stored, cropped or turned differently, or taken a "
        f"moment later. {_number(across, 'pair stands', 'pairs stand')} under two lesions. "
        "data/clean/duplicates.csv lists all pairs; similarity is 1 where the bytes are the same."
    )
    pairs = _sheet(sheet, "Copies", "Pairs of pictures that are copies of one another")
    return words + _paragraph(found) + f"<details><summary>Look at them</summary>{pairs}</details>"


def _origin(images: pd.DataFrame, summary: dict[str, Any]) -> str:
    words = []
    for column, what in (("dx_type", "how the diagnosis was confirmed"), ("source", "where a picture was taken")):
        known = sorted(set(images[column]) - {""})
        if not known:
            words.append(f"The data does not say {what}.")
        elif len(known) == 1:
            words.append(f"The data says {what} in one word: {known[0]}.")
    sizes = summary["sizes"]
    if sizes.get("different") == 1:
        words.append(f"All pictures are {sizes['commonest']['size']} pixels.")
    elif sizes:
        words.append(
            f"The pictures have {sizes['different']:,} different sizes, from {_million(sizes['fewest_pixels'])} to "
            f"{_million(sizes['most_pixels'])} pixels; {sizes['commonest']['size']} is the commonest "
            f"({sizes['commonest']['pictures']:,} pictures)."
        )
    told = {column: figure for column, figure in summary["tells_the_diagnosis"].items() if _differ(images, column)}
    if not told:
        return _paragraph(" ".join(words))
    explained = (
        "If this were all one knew of a picture, how much of the uncertainty about its class would be gone? (The "
        "uncertainty coefficient, corrected for chance.) A site may tell for good reasons; the other columns tell how "
        "the data was collected."
    )
    return (
        _paragraph(" ".join(words))
        + _paragraph(explained)
        + _table(
            ["known of a picture", "of the uncertainty is gone"],
            [[COLUMNS[column], figure] for column, figure in sorted(told.items(), key=lambda pair: -pair[1])],
        )
    )


def _differ(images: pd.DataFrame, column: str) -> bool:
    """Tell whether a column of `tells_diagnosis` holds more than one value; `size` is made of two."""
    if column == "size":
        return bool(len(images[["height", "width"]].drop_duplicates()) > 1)
    return bool(images[column].nunique() > 1)


def _people(summary: dict[str, Any], params: Clean) -> str:
    ages, words = summary["ages"], []
    patients = summary["patients"]
    words.append(
        f"{_number(patients, 'patient is', 'patients are')} named."
        if patients
        else "The data names no patients: how many there are, and which lesions are of one person, is not known."
    )
    words.append(f"{_number(ages['given'], 'picture has', 'pictures have')} an age.")
    if ages["placeholder"]:
        words.append(
            f"{ages['placeholder']:,} have the age 0, which is taken for a placeholder, as in part of HAM10000 "
            "(clean.age_zero)."
        )
    if ages["missing"]:
        words.append(f"{ages['missing']:,} have none.")
    if ages["unread"]:
        words.append(f"{ages['unread']:,} have one that cannot be read.")
    if ages["filled"]:
        words.append(
            f"{ages['filled']:,} that had none were given {summary['ages_filled_with']:g} years, the "
            f"{params.age_missing} of the given ages (clean.age_missing); age_status in data/clean/images.csv says "
            "which."
        )
    elif ages["given"] < summary["pictures"]:
        words.append("No age was filled in (clean.age_missing).")
    for column, of in (("age", "ages"), ("sex", "sexes")):
        if examples := summary["unread"][column]["examples"]:
            words.append(f"Examples of {of} that cannot be read: {_quoted(examples)}.")
    for column, of in (("site", "sites"), ("dx_type", "ways of confirmation")):
        own = summary["own_words"][column]
        if own["pictures"]:
            words.append(
                f"{_number(own['pictures'], 'picture has', 'pictures have')} {of} outside the vocabulary, which stay "
                f"as they are written: {_quoted(own['examples'])}."
            )
    return _paragraph(" ".join(words))


def _missing(summary: dict[str, Any]) -> str:
    names = {
        "age": "age",
        "sex": "sex",
        "site": "site",
        "dx_type": "way of confirmation",
        "source": "source",
        "lesion_id": "lesion_id",
        "patient_id": "patient_id",
    }
    gaps = {names[column]: number for column, number in summary["missing"].items() if number}
    if not gaps:
        return _paragraph("Nothing: every column has a value for every picture.")
    whole = [name for name, number in gaps.items() if number == summary["pictures"]]
    some = [f"{name} ({number:,})" for name, number in gaps.items() if number < summary["pictures"]]
    words = f"For all pictures: {', '.join(whole)}. " if whole else ""
    words += f"For some: {', '.join(some)}. " if some else ""
    words += "No model is trained on these columns; they say for whom its figures hold. "
    return _paragraph(words + "The plot takes every age that is not given for missing, whatever the reason.")


def _sheet(path: Path, title: str, words: str) -> str:
    """Return a contact sheet as it is."""
    uri = f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return f'<figure class="sheet"><h3>{html.escape(title)}</h3><img src="{uri}" alt="{html.escape(words)}"></figure>\n'


def _footer(provenance: dict[str, Any]) -> str:
    files = provenance.get("files", [])
    facts = {
        "Source": provenance.get("source"),
        "Licence": provenance.get("licence") or _listed(files, "licence"),
        "Attribution": provenance.get("attribution") or _listed(files, "attribution"),
        "Citation": provenance.get("citation") or _listed(files, "citation"),
    }
    lines = [f"{name}: {str(fact).rstrip('.')}." for name, fact in facts.items() if fact]
    return _paragraph(" ".join(lines)) if lines else ""


def _listed(files: list[dict[str, Any]], key: str) -> str:
    return "; ".join(dict.fromkeys(str(file[key]) for file in files if key in file))


def _figure(title: str, png: bytes) -> str:
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    title = html.escape(title)
    return f'<figure><h3>{title}</h3><img src="{uri}" alt="Plot: {title}"></figure>\n'


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; columns of numbers stand to the right."""
    cells = [[_written(value) for value in row] for row in rows]
    kinds = [' class="number"' if number else "" for _, number in cells[0]]
    titles = "".join(f"<th{kind}>{html.escape(name)}</th>" for name, kind in zip(head, kinds, strict=True))
    lines = [
        "".join(f"<td{kind}>{html.escape(text)}</td>" for (text, _), kind in zip(row, kinds, strict=True))
        for row in cells
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in [titles, *lines])
    return f'<div class="table"><table>\n{body}\n</table></div>\n'


def _written(value: Any) -> tuple[str, bool]:
    """Return a cell's text, and whether it is a number: whole numbers are counts, others shares."""
    if isinstance(value, float):
        return f"{value:.1%}", True
    return (f"{value:,}", True) if isinstance(value, Integral) else (str(value), False)


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>\n" if text else ""


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _quoted(values: list[str]) -> str:
    return ", ".join(f'"{value[:40]}"' for value in values)


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _million(pixels: int) -> str:
    return f"{pixels / 1e6:.2g} million" if pixels >= 1e6 else f"{pixels:,}"
