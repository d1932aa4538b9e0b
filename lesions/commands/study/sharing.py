"""What several machines share of a study: Git's `origin`, and the store, DVC's default remote.

An experiment lies in both: its commit, below `refs/exps`, in the one, and its outputs in the other.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from lesions.commands.study import experiments
from lesions.commands.study.experiments import git
from lesions.core.errors import UserError

COMMITTED = ("params.yaml", "dvc.lock", ".dvc/config")
"""What a clone elsewhere must have as it is here, beside the code."""
READ_BY_REPORT = (
    "metrics/train.json",
    "data/clean/classes.csv",
    "data/clean/images.csv",
    "data/split/split.csv",
    "data/predictions/predictions.csv",
)


def refuse_what_others_cannot_get() -> None:
    """Stop where a clone elsewhere would not be what lies here, or where its experiments would not come back.

    Raises:
        UserError: `origin` or the store is not set, or lacks what others need.
    """
    if changed := git("diff", "--name-only", "HEAD", "--", *COMMITTED).split():
        raise UserError(f"{', '.join(changed)}: changed, and not committed. Workers get what Git has: commit it, push.")
    if "origin" not in git("remote").split():
        raise UserError(
            "Git has no remote `origin`. Workers clone the project from there, and push experiments to it: "
            "`git remote add origin URL`, with a URL that they reach too, then `git push`."
        )
    head = git("rev-parse", "HEAD").strip()
    git("fetch", "--quiet", "origin")
    if not git("for-each-ref", "--contains", head, "refs/remotes/origin"):
        raise UserError(f"the present commit, {head[:7]}, is not on `origin`, from where workers clone: `git push`.")
    missing = not_in_store()
    if missing:
        raise UserError(
            f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}: dvc.lock names "
            f"{'it' if len(missing) == 1 else 'them'}, and the store does not hold that. Workers pull from there what "
            "they need: `dvc push --run-cache`, after `dvc repro` where dvc.lock is not of today."
        )


def store() -> str:
    """Return a hash of the store's address, once it has answered; the address itself may hold a password.

    Raises:
        UserError: there is none, or it does not answer.
    """
    with _open() as repo:
        _ask(repo, ["0" * 32])
        address = str(repo.config["remote"][repo.config["core"]["remote"]]["url"])
    return hashlib.sha256(address.encode()).hexdigest()


def not_in_store() -> list[str]:
    """Return which of the files and folders that dvc.lock names are not in the store.

    Raises:
        UserError: there is no store, or it does not answer.
    """
    with _open() as repo:
        outs = {out.hash_info.value: str(out) for out in repo.index.outs if out.use_cache and out.hash_info}
        return sorted(outs[missing] for missing in set(outs) - _ask(repo, outs))


def heads() -> list[str]:
    """Return the commits of `origin`'s branches."""
    return sorted(line.split()[0] for line in git("ls-remote", "--heads", "origin").splitlines())


def on_origin(names: Iterable[str]) -> dict[str, str]:
    """Return the experiments of these names that `origin` has: commits by refs."""
    patterns = [f"refs/exps/*/{name}" for name in names]
    lines = git("ls-remote", "origin", *patterns).splitlines()
    return {ref: commit for commit, ref in (line.split() for line in lines)}


def fetch(refs: Mapping[str, str]) -> None:
    """Fetch experiments' commits from `origin`; their refs there, and what they are to be called here."""
    if refs:
        git("fetch", "--quiet", "--no-write-fetch-head", "origin", *(f"{ref}:{ours}" for ref, ours in refs.items()))


def fetch_for_report(commits: list[str]) -> None:
    """Fetch of experiments what a report reads.

    Raises:
        UserError: the store does not hold it.
    """
    if not commits:
        return
    try:
        with _open() as repo:
            repo.fetch(targets=list(READ_BY_REPORT), revs=commits, workspace=False)
    except (DvcException, OSError) as error:
        raise UserError(f"what the report reads cannot be fetched from the store: {error}") from error


def keep_old_on_origin(ref: str, commit: str) -> None:
    """Rename an experiment on `origin`, so that its name is free there; what somebody pushed meanwhile stays."""
    lease = f"--force-with-lease={ref}:{commit}"
    git("push", "--quiet", "--atomic", lease, "origin", f"{commit}:{experiments.old_ref(ref, commit)}", f":{ref}")


def _open() -> Repo:
    try:
        repo = Repo()
        repo.scm  # noqa: B018 - DVC looks for Git only now
    except (DvcException, SCMError) as error:
        raise UserError(f"{Path.cwd()} is no clone of the project: {error}") from None
    if not repo.config["core"].get("remote"):
        raise UserError(
            "there is no store: DVC has no default remote, through which results come back from workers. docs/team.md "
            "shows how to set one up, in three lines."
        )
    return repo


def _ask(repo: Repo, hashes: Iterable[str]) -> set[str]:
    """Return which of these objects the store holds."""
    name = repo.config["core"]["remote"]
    try:
        return set(repo.cloud.get_remote_odb().oids_exist(list(hashes)))
    except EOFError as error:  # of getpass, which DVC calls
        raise UserError(f"the store, DVC's remote {name}, asks for a password, and there is no terminal") from error
    except Exception as error:  # each kind of store has its own
        reason = str(error).rstrip(".") or type(error).__name__
        raise UserError(f"the store, DVC's remote {name}, does not answer: {reason}") from error
