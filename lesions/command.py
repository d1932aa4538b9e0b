"""The command `lesions`."""

import argparse
import sys

from lesions.catalogue import list_sources
from lesions.errors import UserError
from lesions.params.all import check_all
from lesions.presets import apply_preset, list_presets, set_param


def main() -> None:
    """Run one of the subcommands; exit with 1 on an error that the person can mend."""
    parser = argparse.ArgumentParser(prog="lesions", description="Classifiers of dermoscopy pictures.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="say what is wrong in params.yaml, without running anything")
    check.set_defaults(run=lambda _: check_params())
    sources = commands.add_parser("sources", help="list where pictures can come from, and what of it is already here")
    sources.set_defaults(run=lambda _: print_sources())
    preset = commands.add_parser("preset", help="put a data set's recipe or a published system into params.yaml")
    preset.add_argument("name", nargs="?", help="without it, list them")
    preset.add_argument("--set-param", action="store_true", help="print it as options of `dvc exp run` instead")
    preset.set_defaults(run=use_preset)
    compare = commands.add_parser("compare", help="say how two experiments differ, and whether by chance")
    compare.add_argument("first", help="an experiment's name, or any Git revision")
    compare.add_argument("second", nargs="?", default="workspace", help="without it, the files as they are")
    compare.add_argument("--side", choices=["val", "test"], default="val", help="val, to choose by; test, to report")
    compare.add_argument("--resamples", type=int, help="of the bootstrap; without it, evaluate.resamples")
    compare.set_defaults(run=compare_experiments)
    store = commands.add_parser("check-store", help="remove from the team's DVC remote what is not what it says it is")
    store.add_argument("--remote", help="its name; without it, the default one")
    store.add_argument("--everything", action="store_true", help="read all of it, not just what a pull failed to bring")
    store.set_defaults(run=check_store)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except UserError as error:
        sys.exit(f"ERROR: {error}")


def check_params() -> None:
    """Check params.yaml in the current folder."""
    check_all()
    print("params.yaml holds what the stages expect.")


def print_sources() -> None:
    """List the sources, and what of each lies in data/downloads of the current folder."""
    print(list_sources())


def use_preset(arguments: argparse.Namespace) -> None:
    """Apply a preset to params.yaml in the current folder and show the change, or list all."""
    if arguments.name is None:
        print(list_presets())
    elif arguments.set_param:
        print(set_param(arguments.name))
    else:
        print(apply_preset(arguments.name).rstrip() or f"params.yaml holds the preset {arguments.name} already.")


def compare_experiments(arguments: argparse.Namespace) -> None:
    """Print how two experiments differ."""
    from lesions.comparing.compare import compare  # scikit-learn's second is for those who compare

    print(compare(arguments.first, arguments.second, arguments.side, arguments.resamples))


def check_store(arguments: argparse.Namespace) -> None:
    """Print which objects of a remote are spoiled, and remove them."""
    from lesions.store import check_store  # DVC is for those who share

    print(check_store(arguments.remote, arguments.everything))
