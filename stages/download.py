"""Download: fetch and verify the data.

Whatever the source, `data/raw` gets one shape: zip archives, a table in HAM10000's columns, and a record of
what each file is. Nothing after this stage knows any source.
"""

from pathlib import Path

from lesions.archives import list_archives
from lesions.core.csv_files import write_csv
from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.params.download import Download
from lesions.sources.common.metadata_table import check_table
from lesions.sources.common.raw_data import fetch_from

RAW = Path("data/raw")


def main() -> None:
    """Fetch from the source that params.yaml names."""
    params = Download.read()
    RAW.mkdir(parents=True, exist_ok=True)
    fetched = fetch_from(params, RAW)
    check_table(fetched.table, f"the table of the source {params.source!r}")
    write_csv(fetched.table, RAW / "metadata.csv")
    write_json(RAW / "provenance.json", fetched.provenance)
    collections = sorted(set(fetched.table.get("collection", [""])))
    archives = [path for name in collections for path in list_archives(RAW / name)]
    print(f"{RAW}: {len(fetched.table):,} rows of metadata and {len(archives)} archive(s)")


if __name__ == "__main__":
    run_stage(main)
