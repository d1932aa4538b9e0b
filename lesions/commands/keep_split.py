"""`lesions keep-split`: write the split of a Git revision into a file that Git tracks, and let `split.keep` name it.

`data/split/split.csv` is DVC's, and Git has its hash alone. A moving name such as HEAD in params.yaml would change the
split with the next commit, and DVC watches files; so the file has the commit's name, and stays.
"""

from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import resolve_rev

from lesions.commands.presets import change_params
from lesions.commands.study.plan import git
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError, writing
from lesions.core.stage import read_stages
from lesions.reporting.common.numbers import quantity
from lesions.sampling.earlier_split import ids_in, read_kept

SPLIT = "data/split/split.csv"
IMAGES = Path("data/clean/images.csv")
FOLDER = Path("splits")
"""Where the files go: not into data/, which Git ignores."""


def keep_split(revision: str) -> str:
    """Write the split of a revision to `splits/COMMIT.csv`, set `split.keep` to that, and return what a person reads.

    Args:
        revision: a branch, a tag, a commit, or an experiment's name.

    Raises:
        UserError: there is no such revision, it has no split, or the split's content is not to be had; or params.yaml
            cannot have `split.keep`.
    """
    if not Path("dvc.yaml").is_file() or "split" not in read_stages():
        raise UserError("There is no dvc.yaml with a stage split here. Run this in the project's folder.")
    commit, content = _split_at(revision)
    file = FOLDER / f"{commit[:12]}.csv"
    with writing(file):
        FOLDER.mkdir(exist_ok=True)
        file.write_bytes(content)
    kept = read_kept(str(file))
    said = [f"{file} is the split of {revision}, commit {commit[:12]}: {quantity(len(kept), 'image')}."]
    if IMAGES.is_file():
        images = read_csv(IMAGES)
        known = int((ids_in(kept, images) != "").sum())
        said.append(f"Of the {len(images):,} images of {IMAGES} it has {known:,}; {len(images) - known:,} are new.")
        if not known:
            said.append("WARNING: that is none: the split is of other data, or data/ is not that of params.yaml yet.")
    changed = change_params(f"split: {{keep: {file.as_posix()}}}\n", "split.keep")
    said.append(changed.rstrip() or "params.yaml names it already.")
    return "\n".join([*said, f"Keep both in Git, `git add {file} params.yaml`, and run `dvc repro`."])


def _split_at(revision: str) -> tuple[str, bytes]:
    """Return the commit of a revision, and its split.csv, from DVC's cache or remote."""
    git("rev-parse", "--git-dir")  # which says what DVC's own library does not, such as that another owns it
    try:
        with Repo() as repo:
            commit = resolve_rev(repo.scm, revision)
            # With today's remotes: a commit may be older than these.
            files = DVCFileSystem(rev=commit, config=repo.config)
        if not files.exists(SPLIT) or "md5" not in files.info(SPLIT):
            raise UserError(
                f"{revision} (commit {commit[:12]}) has no {SPLIT}: its dvc.lock names none. Name a revision whose "
                "pipeline ran, `git log -- dvc.lock` lists them; or run `dvc repro`, and commit dvc.lock."
            )
        content: bytes = files.read_bytes(SPLIT)
    except FileNotFoundError:
        raise UserError(
            f"{SPLIT} of {revision} (commit {commit[:12]}) is in neither DVC's cache nor its remote; Git has its hash "
            "alone. Fetch it with `dvc fetch --all-commits`, or run `dvc push` where the pipeline ran."
        ) from None
    except DvcException as error:
        raise UserError(
            f"{revision} cannot be read: {error}. Expected a branch, a tag, a commit, or an experiment of this project."
        ) from error
    return commit, content
