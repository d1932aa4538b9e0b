"""What a careful person looks at before training: how the data is made up."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns

from lesions.taxonomy import ordered

mpl.use("Agg")


def plot_data(images: pd.DataFrame, path: Path) -> None:
    """Draw diagnosis, age, sex, site, confirmation and pictures a lesion as six small plots, in one PNG.

    Args:
        images: `data/clean/images.csv`.
        path: of the PNG.
    """
    sns.set_theme(style="whitegrid", font_scale=0.8)
    order = ordered(set(images["label"]))
    palette = dict(zip(order, sns.color_palette("colorblind", len(order)), strict=True))
    figure = mpl.figure.Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(2, 3).flatten()

    sns.countplot(images, y="label", order=order, hue="label", palette=palette, legend=False, ax=axes[0])
    axes[0].set(title="Diagnosis", xlabel="pictures", ylabel="")

    age = images.assign(age=pd.to_numeric(images["age"], errors="coerce"))
    if age["age"].notna().any():
        colours: dict[str, Any] = {"hue": "label", "palette": palette, "legend": False}
        sns.boxplot(age.dropna(subset="age"), x="age", y="label", order=order, ax=axes[1], **colours)
    axes[1].set(title=f"Age by diagnosis ({age['age'].isna().sum():,} unknown)", xlabel="years", ylabel="")

    for axis, column, title in zip(
        axes[2:5], ["sex", "site", "dx_type"], ["Sex", "Site", "How the diagnosis was confirmed"], strict=True
    ):
        values = images[column].replace("", "unknown")
        sns.countplot(y=values, order=values.value_counts().index, color="#4c72b0", ax=axis)
        axis.set(title=title, xlabel="pictures", ylabel="")

    per_group = images["group_id"].value_counts()
    sns.countplot(x=per_group, color="#4c72b0", ax=axes[5])
    axes[5].set(title="Pictures that belong together", xlabel="pictures in a group", ylabel="groups", yscale="log")

    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the software's name and version, which would change the file's hash.
    figure.savefig(path, dpi=80, metadata={"Software": None})
