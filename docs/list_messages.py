"""Write the list of all messages into docs/messages.md: `python docs/list_messages.py`, from the project's root."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/messages.md"
BEGIN, END = "<!-- written by docs/list_messages.py -->", "<!-- end -->"
PLACES = {
    "params.yaml": ["lesions/params", "lesions/core/params.py", "lesions/core/registry.py"],
    "download": ["stages/download.py", "lesions/sources", "lesions/archives.py"],
    "clean": ["stages/clean.py", "lesions/audit"],
    "split": ["stages/split.py", "lesions/sampling/split.py", "lesions/sampling/leakage_experiment.py"],
    "rebalance": ["stages/rebalance.py", "lesions/sampling"],
    "prepare, and wherever images are read": ["stages/prepare.py", "lesions/images"],
    "weights": ["stages/weights.py", "lesions/models/pretrained"],
    "train": ["stages/train.py", "lesions/models/training", "lesions/models/architectures"],
    "predict and calibrate": ["stages/predict.py", "stages/calibrate.py", "lesions/inference", "lesions/models"],
    "evaluate, explain and report": ["stages", "lesions/evaluation", "lesions/explain", "lesions/reporting"],
    "lesions classify": ["lesions/classifier.py", "lesions/commands/classify"],
    "lesions page": ["lesions/commands/page"],
    "lesions validate": ["lesions/commands/validate"],
    "lesions recalibrate": ["lesions/commands/recalibrate"],
    "lesions export": ["lesions/commands/export"],
    "lesions audit": ["lesions/commands/audit"],
    "lesions compare": ["lesions/commands/compare"],
    "lesions keep-split": ["lesions/commands/keep_split.py"],
    "lesions study": ["lesions/commands/study"],
    "all": ["lesions"],
}
"""Where a message comes from, and the code there; the first that fits counts."""

PASSED_ON = (
    *("lesions/params", "lesions/core/registry.py", "lesions/images/decode.py", "lesions/archives.py"),
    *("lesions/commands/classify", "lesions/commands/study"),
)
"""Where a person meets a ValueError's text as well: as a parameter's problem, or as an image's."""


def main() -> None:
    """Exchange what stands between the two marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_list(text), encoding="utf-8")


def with_list(text: str) -> str:
    """Return the page's text with today's list."""
    found: dict[str, list[str]] = {place: [] for place in PLACES}
    for path in sorted([*ROOT.glob("lesions/**/*.py"), *ROOT.glob("stages/*.py")]):
        name = path.relative_to(ROOT).as_posix()
        place = next(place for place, code in PLACES.items() if name.startswith(tuple(code)))
        errors = ("UserError", "ValueError") if name.startswith(PASSED_ON) else ("UserError",)
        for message in messages(ast.parse(path.read_text(encoding="utf-8")), errors):
            if message not in found[place] and len(re.findall(r"[a-z]{2,}", re.sub("‹.*?›", "", message))) > 3:
                found[place].append(message)
    lists = {place: "\n".join(f"- {message}" for message in listed) for place, listed in found.items() if listed}
    sections = [f"### {place}\n\n{listed}" for place, listed in lists.items()]
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n" + "\n\n".join(sections) + f"\n{END}{rest.partition(END)[2]}"


def messages(tree: ast.Module, errors: tuple[str, ...]) -> Iterator[str]:
    """Yield the message of each error of these names, with ‹name› where a value stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors:
            yield from filter(None, map(template, node.args[:1]))


def template(node: ast.expr) -> str:
    """Return a message's text on one line, or nothing where it is another message passed on."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else placeholder(part) for part in node.values)
    else:
        return ""
    text = re.sub(r"\s+", " ", text).strip()
    # What Markdown would take for its own, outside of `code`.
    parts = text.split("`")
    return "`".join(re.sub(r"([*<\[])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))


def placeholder(part: ast.expr) -> str:
    """Return a value's name: of an expression the last one in it."""
    names = re.findall(r"[A-Za-z_]\w*", ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else "")
    if "did_you_mean" in names:
        return "did you mean ‹the nearest›"
    said = [name for name in names if name not in ("self", "len", "str", "sorted", "join", "sanitize", "for", "in")]
    return f"‹{(said or ['value'])[-1 if len(said) < 3 else 0].strip('_')}›"


if __name__ == "__main__":
    main()
