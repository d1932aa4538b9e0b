"""All sections of params.yaml together."""

from pathlib import Path

from lesions.errors import UserError
from lesions.params.clean import Clean
from lesions.params.download import Download
from lesions.params.evaluate import Evaluate
from lesions.params.predict import Predict
from lesions.params.prepare import Prepare
from lesions.params.rebalance import Rebalance
from lesions.params.section import FILE, Section, nearest, read_file
from lesions.params.split import Split
from lesions.params.train import Train

SECTIONS: dict[str, type[Section]] = {
    section.name(): section for section in (Download, Clean, Split, Prepare, Rebalance, Train, Predict, Evaluate)
}


def check_all(file: Path = FILE) -> None:
    """Check every section of params.yaml.

    Raises:
        UserError: with all that is wrong in all sections.
    """
    content = read_file(file)
    unknown = [name for name in content if name not in SECTIONS]
    problems = [f"{file}: unknown section `{name}`; {nearest(name, SECTIONS)}" for name in unknown]
    for section in SECTIONS.values():
        try:
            section.read(file)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
