# %% [markdown]
"""
# From images to metrics

A notebook in plain Python, whose cells begin with `# %%`. VS Code runs it cell by cell, Jupyter opens it with
[Jupytext](https://jupytext.readthedocs.io), and `python docs/explore.py` runs all of it. It reads what `make repro`
wrote to `data/`, `plots/` and `reports/`, and changes nothing there.
"""

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from lesions.evaluation.common.thresholds import Thresholds

# Jupyter starts in the notebook's own folder.
os.chdir(next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "dvc.yaml").is_file()))
sns.set_theme(style="white", font_scale=0.9)

SPLIT = "val"
"""Test is for the end: whoever chooses a model by it has no test any more."""

# %% [markdown]
"""
## Which images there are

One row per usable image. `label` is its class; `group_id` joins the images of one lesion or patient, and duplicates.
"""


# %%
def read(file: str) -> pd.DataFrame:
    """Read a table; an id may look like a number, and a class may be called "None"."""
    return pd.read_csv(file, dtype=dict.fromkeys(["image_id", "group_id", "label"], str), keep_default_na=False)


images = read("data/clean/images.csv")
classes = read("data/clean/classes.csv").set_index("label")
rejects = read("data/clean/rejects.csv")
print(f"{len(images)} images in {images['group_id'].nunique()} groups; set aside: {len(rejects)}.")
print(rejects["reason"].str.partition(":")[0].value_counts().to_string(header=False))

# %% [markdown]
"""
## How they are split

By group, so that no lesion known to be one is in two splits. A split by image, as in many published notebooks, has
photographs of one lesion in both train and test.
"""

# %%
table = images.merge(read("data/split/split.csv"), on="image_id")
counts = pd.crosstab(table["label"], table["split"]).reindex(index=classes.index, columns=["train", "val", "test"])
print(counts.rename(index=classes["name"].to_dict()).to_string())
print(f"Groups in more than one split: {(table.groupby('group_id')['split'].nunique() > 1).sum()}")

counts.plot.barh(stacked=True, figsize=(7, 3), xlabel="images", ylabel="", title="Images by class and split")
plt.gca().invert_yaxis()
plt.tight_layout()
plt.show()

# %% [markdown]
"""
## What they show

`pixels.npy` has all images in one array, decoded and resized; row i of it is row i of `index.csv`. It is mapped into
memory, so that only the images that are drawn are read.
"""

# %%
pixels = np.load("data/prepared/pixels.npy", mmap_mode="r")
index = read("data/prepared/index.csv")
row_of = dict(zip(index["image_id"], index.index, strict=True))


def draw(chosen: pd.DataFrame, title: str, columns: int = 6) -> None:
    """Draw images in rows, each below what its column `caption` says."""
    rows = max(1, -(-len(chosen) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(8, 1.8 * rows), squeeze=False)
    figure.suptitle(title)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image_id, caption in zip(axes.flat, chosen["image_id"], chosen["caption"], strict=False):
        axis.imshow(pixels[row_of[image_id]])
        axis.set_title(caption, fontsize=7)
    figure.tight_layout()
    plt.show()


examples = pd.concat(table[table["label"] == label].head(6) for label in classes.index)
draw(examples.assign(caption=examples["label"]), "Six of each class")

# %% [markdown]
"""
## How it was trained
"""

# %%
history = read("plots/history.csv")
history.plot(x="epoch", y=["loss", "val_loss"], figsize=(6, 3), title="Loss")
plt.gca().xaxis.set_major_locator(MaxNLocator(integer=True))
plt.tight_layout()
plt.show()

# %% [markdown]
"""
## What the model says

One row per image of validation and test: the probability of each class, uncalibrated. The model's decision rule says
which class is the diagnosis (`calibrate.optimise`); as the project comes, it is the one with the largest probability.
The intervals are those of `reports/evaluation.json`; they come from resampling groups, not images.
"""

# %%
predictions = read("data/predictions/predictions.csv")
predictions = predictions[predictions["split"] == SPLIT].reset_index(drop=True)
y_score = predictions[classes.index].to_numpy()
decision_rule = Thresholds.read(Path("models/thresholds.json")).decision_rule
predictions["predicted"] = classes.index[decision_rule.answers(y_score)]
predictions["confidence"] = y_score.max(axis=1)
predictions["correct"] = predictions["predicted"] == predictions["label"]

metrics = json.loads(Path("reports/evaluation.json").read_text(encoding="utf-8"))[SPLIT]["metrics"]
balanced_accuracy = balanced_accuracy_score(predictions["label"], predictions["predicted"])
interval = [metrics["balanced_accuracy"][end] for end in ("lower", "upper")]
print(f"{SPLIT}: balanced accuracy {balanced_accuracy:.3f}, 95 % interval {interval}")
print(f"{SPLIT}: accuracy {predictions['correct'].mean():.3f}")
majority = predictions["label"].value_counts(normalize=True)
print(f"{SPLIT}: accuracy of always {majority.index[0]}: {majority.iloc[0]:.3f}")

# %%
matrix = confusion_matrix(predictions["label"], predictions["predicted"], labels=classes.index)
plt.figure(figsize=(5, 4))
sns.heatmap(matrix, annot=True, fmt="d", cmap="Blues", cbar=False, xticklabels=classes.index, yticklabels=classes.index)
plt.xlabel("predicted")
plt.ylabel("actual")
plt.title(f"Confusion matrix, {SPLIT} (images)")
plt.tight_layout()
plt.show()

# %% [markdown]
"""
## Where it is wrong

The errors of which the model is most confident: the label may be wrong, the image bad, or the model blind to something.
"""

# %%
errors = predictions[~predictions["correct"]].sort_values("confidence", ascending=False).head(12)
captions = errors["label"] + ", predicted " + errors["predicted"] + "\n" + errors["confidence"].map("{:.0%}".format)
draw(errors.assign(caption=captions), f"The most confident errors, {SPLIT}")

# %% [markdown]
"""
## Whether its probabilities hold

Of ten images with 80 % each, eight should be right: points below the line are overconfident. Ten bins of equally many
images.
"""

# %%
bins = pd.qcut(predictions["confidence"].rank(method="first"), 10)
reliability = predictions.groupby(bins, observed=True)[["confidence", "correct"]].mean()
plt.figure(figsize=(4, 4))
plt.plot([0, 1], [0, 1], color="grey", linewidth=1)
plt.plot(reliability["confidence"], reliability["correct"], marker="o")
plt.xlabel("mean confidence")
plt.ylabel("accuracy")
plt.title(f"Reliability, {SPLIT}")
plt.tight_layout()
plt.show()
