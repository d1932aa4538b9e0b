"""What the figures allow one to say, in sentences; and how a figure is written."""

import re
from collections.abc import Sequence
from typing import Any

FEW_LESIONS = 50
"""Below it, a class's figures move a lot with the lesions that happen to be there."""

SIDES = {"train": "train", "val": "validation", "test": "test"}
"""What a reader calls them."""

Estimate = dict[str, Any]
"""`value`, `lower`, `upper`, `why`; see `lesions.evaluation.bootstrap`."""


def escaped(text: object) -> str:
    """Return text from outside as Markdown that shows it and obeys nothing of it."""
    return re.sub(r"([\\`*_\[\]<>#|&~!])", r"\\\1", " ".join(str(text).split()))


def count(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def percent(value: float) -> str:
    """Return a share as a percentage: one digit more would look more exact than most test sets are."""
    return f"{100 * value:.1f} %"


def interval(estimate: Estimate) -> str:
    """Return a figure with its interval: 0.733 [0.709, 0.755]."""
    if estimate["value"] is None:
        return f"not defined: {escaped(estimate['why'])}"
    if estimate["lower"] is None:
        return f"{estimate['value']:.3f}"
    # The space within the brackets does not break.
    return f"{estimate['value']:.3f} [{estimate['lower']:.3f},\N{NO-BREAK SPACE}{estimate['upper']:.3f}]"


def in_percent(estimate: Estimate) -> str:
    """Return a share with its interval in words: 73.3 % (70.9 to 75.5)."""
    words = percent(estimate["value"])
    if estimate["lower"] is not None:
        words += f" ({100 * estimate['lower']:.1f} to {100 * estimate['upper']:.1f})"
    return words


def joined(words: Sequence[str]) -> str:
    """Return a list as a sentence has it: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def in_short(judged: dict[str, Any], side: str, majority: str, questions: dict[str, Any]) -> list[str]:
    """Return the sentences a reader takes away.

    Args:
        judged: a side of `reports/evaluation.json`.
        side: its name, `test` or `val`.
        majority: the class that always answering scores well with.
        questions: those of `reports/evaluation.json`.
    """
    figures, told = judged["figures"], []
    if side != "test":
        told.append(
            "**Test was not judged** (`evaluate.sides`): these are figures of validation, which chose the model."
        )
    told.append(
        f"Its most probable diagnosis is right for {in_percent(figures['accuracy'])} of {count(judged['pictures'])} "
        f"pictures of {count(judged['groups'])} lesions; always answering “{escaped(majority)}” would be for "
        f"{percent(judged['majority_baseline']['accuracy'])}."
    )
    if figures["balanced_accuracy"]["value"] is not None:
        told.append(
            "If each diagnosis counts the same (balanced accuracy), it is right for "
            f"{in_percent(figures['balanced_accuracy'])}; one that guesses, for "
            f"{percent(1 / len(judged['classes']))}. {resolution(figures['balanced_accuracy'])}"
        )
    told += [words for name in ("melanoma", "malignant") if (words := alert(name, questions.get(name, {}), side))]
    return told


def resolution(estimate: Estimate) -> str:
    """Say how small a difference these pictures can show."""
    if estimate["lower"] is None:
        return "No interval can be given, so no difference can be shown."
    half = 50 * (estimate["upper"] - estimate["lower"])
    return (
        f"Its interval reaches {half:.1f} points to either side: a model whose figure on these pictures differs by "
        "less is not shown to be better or worse, unless both are compared picture by picture (`lesions compare`)."
    )


def alert(name: str, question: dict[str, Any], side: str) -> str:
    """Say what an alert would do at the threshold that finds 90 % on validation."""
    points = [
        point for point in question.get("operating_points", []) if "sensitivity of at least 90%" in point["chosen_for"]
    ]
    if not points or side not in points[0]:
        return ""
    read = points[0][side]
    if read["sensitivity"]["value"] is None or read["specificity"]["value"] is None:
        return ""
    what = {"melanoma": "melanomas", "malignant": "malignant lesions"}[name]
    return (
        f"At the threshold that found 90 % of {what} on validation, it finds {in_percent(read['sensitivity'])} of the "
        f"{count(question[side]['positive_pictures'])} pictures of {what} here, and leaves "
        f"{in_percent(read['specificity'])} of the others in peace."
    )


def limits(data: dict[str, Any], judged: dict[str, Any]) -> list[str]:
    """Return what these data in particular do not support."""
    told = []
    if not data["lesions"]:
        told.append("The data name no lesions: only copies of a picture were kept on one side of the split.")
    if not data["patients"]:
        told.append(
            "The data name no patients: two lesions of one person may stand on both sides of the split, and the "
            "figures may be too good for that reason."
        )
    few = [f"{escaped(row['diagnosis'])} ({row['groups']})" for row in judged["classes"] if row["groups"] < FEW_LESIONS]
    if few:
        told.append(f"Few lesions were there to judge by: {', '.join(few)}.")
    told.append("No table that was read states skin tone; for whom it fails by that, nobody could look.")
    return told


def data_words(data: dict[str, Any]) -> str:
    """Say what the pictures are."""
    lesions = f" of {count(data['lesions'])} lesions" if data["lesions"] else ""
    together = {
        "lesion_id": "pictures of one lesion",
        "patient_id": "of one patient",
        "duplicates": "copies of one picture",
    }
    kept = joined([together[name] for name in data["kept_together"]])
    return (
        f"{count(data['pictures'])} pictures{lesions}; {count(data['set_aside'])} more were set aside. Kept together "
        f"are {kept}; {count(data['exact_duplicates'] + data['near_duplicates'])} pictures are copies of another, or "
        "nearly. `reports/data.html` says more."
    )


def split_words(split: dict[str, Any]) -> str:
    """Say how sides were made."""
    how = {
        "grouped": "Pictures that belong together were dealt to one side (`grouped`).",
        "declared": "The sides are those that the data set published (`declared`).",
        "image": "Pictures were dealt one by one (`image`), as published notebooks do: lesions stand on both sides.",
    }
    of_test = {
        "withheld": " One of each group that is in test stayed there; the others were left out (`siblings`).",
        "injected": " One of each group that is in test stayed there; the others train, in exchange for as many "
        "training pictures (`siblings`).",
    }
    siblings = of_test[split["siblings"]["became"]] if "siblings" in split else ""
    sizes = [f"{name} {count(split[side]['pictures'])}" for side, name in SIDES.items()]
    return f"{how[split['method']]}{siblings} Pictures: {', '.join(sizes)}."


def split_counts(split: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Return what stands on two sides, and how often."""
    names = {
        "lesions_on_two_sides": "lesions",
        "patients_on_two_sides": "patients",
        "identical_pictures_on_two_sides": "identical pictures",
        "near_duplicates_on_two_sides": "near-copies",
    }
    return [(name, split[key]) for key, name in names.items()]


def training_words(params: dict[str, Any], train: dict[str, Any]) -> str:
    """Say how it was trained."""
    section = params["train"]
    weights = params["weights"]
    start = (
        f"from the weights `{weights['initial']}` of {weights['network']}"
        if section["architecture"] == "pretrained" and weights["initial"] != "none"
        else "from random weights"
    )
    networks, kept = "", f"epoch {train['best_epoch']}"
    if section["members"] > 1:
        networks = f"{section['members']} networks that answer by the mean of their logits: in all "
        kept = f"each network's {section['keep']} epoch"
    adjusted = ""
    if section["logit_adjustment"]:
        adjusted = f"{section['logit_adjustment']:g} times the log of its share was taken from each class's logit. "
    return (
        f"{networks}{train['epochs']} epochs {start}, by `{section['optimizer']}` with a learning rate of "
        f"{section['learning_rate']:g} (`{section['schedule']}`), {section['batch']} pictures a step, loss "
        f"`{section['loss']}`, class weights to the power of {section['class_weight_power']:g}; the weights "
        f"are those of {kept}. {adjusted}"
        f"Rare classes were copied up to `rebalance.target: {params['rebalance']['target']}`."
    )


def calibration_words(calibration: dict[str, Any], side: str) -> str:
    """Say whether probabilities are as high as answers are right."""
    found = calibration[side]
    before = found["before"]
    words = (
        f"On {SIDES[side]}, its confidence is off by {percent(before['expected_calibration_error'])} on average "
        f"(expected calibration error over equal-mass bins), with a log loss of {before['log_loss']:.3f} and a Brier "
        f"score of {before['brier']:.3f}."
    )
    if calibration["temperature"] is None:
        return f"{words} No temperature was fitted: {escaped(calibration['why'])}."
    after = found["after"]
    words += (
        f" With the temperature {calibration['temperature']:g}, fitted on validation: "
        f"{percent(after['expected_calibration_error'])}, {after['log_loss']:.3f} and {after['brier']:.3f}."
    )
    return words + (f" **{escaped(calibration['warning'])}.**" if "warning" in calibration else "")


def patient_words(report: dict[str, Any], side: str) -> str:
    """Say what is gained where age, sex and site are known; "" of a model that does not weigh them."""
    if "without_age_sex_and_site" not in report:
        return ""
    without = report["without_age_sex_and_site"][side]
    named = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_auc": "macro AUC"}
    figures = joined([f"{name} {interval(without[figure])}" for figure, name in named.items()])
    return (
        "The network sees the picture alone. Its probabilities are then weighed by how much more frequent the "
        "patient's age, sex and site are among training lesions of each diagnosis than among all "
        "(`models/patient.json`). All other figures are with that, as far as the data name them. Of the pictures of "
        f"{SIDES[side]} alone: {figures}. Where nothing is known, expect these."
    )


def gap_words(groups: dict[str, list[dict[str, Any]]], figure: str, named: str) -> list[str]:
    """Say for each column how far its groups lie apart, where there are several.

    Args:
        groups: `subgroups_of_test` of the report.
        figure: what is compared.
        named: how the sentence calls it.
    """
    told = []
    for column, rows in groups.items():
        known = [row for row in rows if row.get(figure, {}).get("value") is not None and row["group"] != "not stated"]
        if len(known) < 2:
            continue
        low, high = (pick(known, key=lambda row: row[figure]["value"]) for pick in (min, max))
        apart = (
            low[figure]["upper"] is not None
            and high[figure]["lower"] is not None
            and low[figure]["upper"] < high[figure]["lower"]
        )
        told.append(
            f"{column.capitalize()}: {named} from {low[figure]['value']:.3f} ({escaped(low['group'])}) to "
            f"{high[figure]['value']:.3f} ({escaped(high['group'])}), a gap of "
            f"{high[figure]['value'] - low[figure]['value']:.3f}; their intervals "
            f"{'do not overlap' if apart else 'overlap'}."
        )
    return told


def origin(provenance: dict[str, Any]) -> list[str]:
    """Return lines on source, licences, attribution and citation, each thing once."""
    lines = [f"Source: {provenance['source']}"]
    for key in ("licence", "attribution", "citation"):
        found = [provenance.get(key), *(file.get(key) for file in provenance.get("files", []))]
        lines += [f"{key.capitalize()}: {text}" for text in dict.fromkeys(found) if text]
    return lines


def robustness_words(robustness: dict[str, Any]) -> str:
    """Say what worse pictures cost."""
    if "disturbances" not in robustness:
        return f"This was not judged: {escaped(robustness.get('why', 'test was left out'))}."
    undisturbed = robustness["undisturbed"]["balanced_accuracy"]
    known = [row for row in robustness["disturbances"] if row["balanced_accuracy_lost"]["value"] is not None]
    if undisturbed is None or not known:
        return "The balanced accuracy is not defined, so nothing can be lost of it."
    worst = max(known, key=lambda row: row["balanced_accuracy_lost"]["value"])
    mild = [row for row in known if row["strength"] == 1]
    lost = [
        f"{row['disturbance']} {interval(row['balanced_accuracy_lost'])}"
        for row in sorted(mild, key=lambda row: -row["balanced_accuracy_lost"]["value"])
    ]
    return (
        f"Test pictures were disturbed at three strengths, from mild to one at which a person would take the picture "
        f"again. Of a balanced accuracy of {undisturbed:.3f} these are lost at the mildest: {', '.join(lost)}. Most is "
        f"lost by {worst['disturbance']} at strength {worst['strength']}: {interval(worst['balanced_accuracy_lost'])}."
    )


def abstention_words(abstention: dict[str, Any], unlikeness: dict[str, Any], side: str) -> str:
    """Say what leaving out the doubtful gains, and whether a picture of no lesion is noticed."""
    rows = {row["coverage"]: row for row in abstention[side]["coverages"]}
    told = (
        "If a person takes the fifth of pictures that it is least sure of, its accuracy on the rest is "
        f"{interval(rows[0.8]['accuracy'])}, instead of {interval(rows[1.0]['accuracy'])} on all; if the less sure "
        f"half, {interval(rows[0.5]['accuracy'])}."
    )
    if unlikeness.get("flagged_above") is None:
        return f"{told} Unlike pictures were not looked for: {escaped(unlikeness.get('why', 'val was left out'))}."
    shares = [
        f"{percent(unlikeness[name]['flagged'])} of {count(unlikeness[name]['pictures'])} {what}"
        for name, what in (
            (side, f"pictures of {SIDES[side]}"),
            ("generated", "drawn pictures that show no lesion"),
            ("shipped", "photographs that show none"),
        )
        if name in unlikeness and unlikeness[name]["flagged"] is not None
    ]
    return (
        f"{told} A picture that is farther from the training pictures than 99 % of validation is flagged: that is "
        f"{joined(shares)}. A picture of another camera, of a nail or of an ulcer is nearer, and may pass."
    )


def gallery_words(explained: dict[str, Any]) -> str:
    """Say what the heat maps are worth."""
    sanity = explained["sanity_check"]
    told = (
        "Beside each picture a map of what speaks for the diagnosis that was given (Grad-CAM): yellow for most. It "
        f"shows where, and never why. {escaped(sanity['verdict'])}"
    )
    if sanity.get("between_pictures") is not None:
        told += (
            f" Maps of different pictures have a rank correlation of {sanity['between_pictures']:.2f}: the nearer to "
            "1, the less a map says of its own picture, as where all look at the middle."
        )
    return told
