"""Source `merged`: several collections as one data set, each fetched and kept for itself.

Each collection lies in a folder of its name in `data/raw`. An id gets the collection's name, since two collections may
give one id to different images, lesions or patients: `ISIC_0024306@ham10000`. What is the same image nevertheless,
`clean` finds by its content. A merge of one collection is that collection, byte for byte.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.merged_ids import merged_id
from lesions.params.download import Download
from lesions.sources.common.metadata_table import check_table
from lesions.sources.common.raw_data import Fetched, fetch_from
from lesions.taxonomy import is_unknown

IDS = ("image_id", "lesion_id", "patient_id")
NO_LICENCE = "not stated"


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring all collections of `params.merge` into the folder `raw`.

    All are tried: what could be fetched of the others is kept in data/downloads.

    Args:
        params: the section `download` of params.yaml.
        raw: the folder.

    Raises:
        UserError: names each collection that cannot be had, and why.
    """
    chosen = params.merged_collections()
    if len(chosen) == 1:
        return fetch_from(next(iter(chosen.values())), raw)
    fetched: dict[str, Fetched] = {}
    problems = []
    for name, collection in chosen.items():
        folder = raw / name
        folder.mkdir(exist_ok=True)
        try:
            print(f"Collection {name}, of the source {collection.source}:")
            fetched[name] = fetch_from(collection, folder)
            check_table(fetched[name].table, f"the table of the collection {name}")
        except UserError as error:
            problems.append(f"The collection {name} (download.merge) cannot be had: {error}")
    if problems:
        rest = [name for name in chosen if name in fetched]
        kept = f"\nNothing is wrong with {', '.join(rest)}; what was fetched is not fetched again." if rest else ""
        raise UserError("\n".join(problems) + kept)
    for name, one in fetched.items():
        print(f"{name}: {len(one.table):,} rows; licence: {one.provenance.get('licence', NO_LICENCE)}")
    return Fetched(merge_tables(fetched), merge_provenances(fetched))


def merge_tables(fetched: dict[str, Fetched]) -> pd.DataFrame:
    """Return one table of all, with `collection`, and ids that are the collection's own."""
    tables = []
    for name, one in fetched.items():
        table = one.table.assign(collection=name)
        for column in (column for column in IDS if column in table):
            own_ids = table[column].str.strip()
            if column != "image_id":
                own_ids = own_ids.mask(own_ids.map(is_unknown), "")  # else NA@clinic would be one lesion
            table[column] = own_ids.map(lambda own, name=name: merged_id(own, name))
        # Where an image was taken, as far as anybody knows.
        taken = table.get("dataset", pd.Series("", table.index))
        tables.append(table.assign(dataset=taken.where(taken.str.strip() != "", name)))
    return pd.concat(tables, ignore_index=True).fillna("")


def merge_provenances(fetched: dict[str, Fetched]) -> dict[str, Any]:
    """Return what is known of the origin of all: each collection's own record, and their files."""
    records = {name: one.provenance for name, one in fetched.items()}
    files = [file | {"name": f"{name}/{file['name']}"} for name, one in records.items() for file in one["files"]]
    licences = [f"{name}: {one.get('licence', NO_LICENCE)}" for name, one in records.items()]
    described = {name: {key: value for key, value in one.items() if key != "files"} for name, one in records.items()}
    # Of drawings alone, what is said of drawings holds.
    source = "synthetic" if all(one["source"] == "synthetic" for one in records.values()) else "merged"
    return {"source": source, "licence": "; ".join(licences), "collections": described, "files": files}
