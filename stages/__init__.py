"""The steps of the pipeline, one file each, named as in dvc.yaml."""

import sys

from lesions.core.signals import end_at_once

if sys.argv[0] == "-m":  # `python -m stages.NAME`, whose modules are yet to load
    end_at_once()
