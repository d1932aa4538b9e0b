"""The team's store, DVC's remote: which of its objects are not what their name says.

An object's name is the MD5 of its content, but DVC looks at names alone before a push: an object that a disk, a cable
or a person has spoiled stays, since it seems to be there. A pull refuses it where the remote has `verify = true`. Once
it is removed, and with it the list of the folder that it belongs to, the next push of whoever has it sends it again.
"""

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from tqdm import tqdm

from lesions.core.errors import UserError


def check_store(remote: str | None, everything: bool) -> str:
    """Remove spoiled objects from a remote, and say what was found.

    Args:
        remote: its name in `.dvc/config`; None for the default one.
        everything: whether to read all objects, or those that this workspace needs and its cache lacks, as after a
            pull that failed.
    """
    try:
        with Repo() as repo:
            odb = repo.cloud.get_remote_odb(remote)
            there = set(odb.all())
            wanted = there if everything else there & _missing(repo)
            spoiled = _remove_spoiled(odb, there, wanted)
    except EOFError as error:  # of getpass, which DVC calls
        raise UserError("the store asks for a password, and there is no terminal to ask at") from error
    except (DvcException, OSError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise UserError(f"the store cannot be read: {reason}; does `dvc status --cloud` reach it?") from error
    if not spoiled:
        return f"Of {len(wanted)} objects read, each is what its name says."
    return (
        f"Of {len(wanted)} objects read, {len(spoiled)} were not what their name says, and were removed:\n  "
        + "\n  ".join(sorted(spoiled))
        + "\nThe next `dvc push` of whoever has them sends them again; of older commits `dvc push --all-commits`."
    )


def _missing(repo: Repo) -> set[str]:
    """Return the hashes of what the workspace needs and the cache lacks."""
    cache = repo.cache.local
    needed = {out.hash_info.value for out in repo.index.outs if out.hash_info}
    for oid in [oid for oid in needed if oid.endswith(".dir")]:
        needed |= _files(cache, oid)
    return needed - set(cache.oids_exist(needed))


def _remove_spoiled(odb: HashFileDB, there: set[str], wanted: set[str]) -> set[str]:
    """Read objects, remove those that are spoiled, and return their hashes."""
    spoiled = {oid for oid in tqdm(sorted(wanted), "reading", unit="object") if _is_spoiled(odb, oid)}
    if spoiled:
        # For a push, a folder's list that is there stands for all of its files.
        lists = {oid for oid in there - spoiled if oid.endswith(".dir") and spoiled & _files(odb, oid)}
        odb.fs.remove([odb.oid_to_path(oid) for oid in sorted(spoiled | lists)])
    return spoiled


def _is_spoiled(odb: HashFileDB, oid: str) -> bool:
    """Return whether an object has another hash than the one that it is named after, twice: the network may err."""
    obj = odb.get(oid)
    hashes = (hash_file(obj.path, obj.fs, odb.hash_name)[1].value for _ in range(2))
    return all(found != oid.removesuffix(".dir") for found in hashes)


def _files(odb: HashFileDB, oid: str) -> set[str]:
    """Return the hashes of a folder's files; none where its list is missing or spoiled."""
    try:
        return {info.value for _, _, info in Tree.load(odb, HashInfo(odb.hash_name, oid))}
    except (FileNotFoundError, ObjectFormatError):
        return set()
