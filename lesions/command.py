"""The command `lesions`."""

import argparse
import sys

from lesions.catalogue import list_sources
from lesions.errors import UserError
from lesions.params.all import check_all


def main() -> None:
    """Run one of the subcommands; exit with 1 on an error that the person can mend."""
    parser = argparse.ArgumentParser(prog="lesions", description="Classifiers of dermoscopy pictures.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="say what is wrong in params.yaml, without running anything")
    check.set_defaults(run=check_params)
    sources = commands.add_parser("sources", help="list where pictures can come from, and what of it is already here")
    sources.set_defaults(run=print_sources)
    arguments = parser.parse_args()
    try:
        arguments.run()
    except UserError as error:
        sys.exit(f"ERROR: {error}")


def check_params() -> None:
    """Check params.yaml in the current folder."""
    check_all()
    print("params.yaml holds what the stages expect.")


def print_sources() -> None:
    """List the sources, and what of each lies in data/downloads of the current folder."""
    print(list_sources())
