"""What the card says of subgroups: their metrics, whether these differ, and what is pooled over the sources."""

from typing import Any

from lesions.reporting.common.names import metric_name
from lesions.reporting.common.numbers import interval_to, p_value
from lesions.reporting.common.tables import Markdown, escape_markdown

Json = dict[str, Any]

SIGNIFICANCE = 0.05
"""Below it, a p-value is said to show a difference."""


def reasons(groups: dict[str, list[Json]]) -> list[str]:
    """Return the reasons for which metrics of subgroups are not defined, each once."""
    cells = (value for rows in groups.values() for row in rows for value in row.values())
    return sorted({one["reason"] for one in cells if isinstance(one, dict) and one.get("value", 0) is None})


def subgroup_rows(groups: dict[str, list[Json]]) -> list[Json]:
    """Return a row a subgroup, the first of each column with that column's name; see `reasons` for what is "–"."""
    return [
        {"column": column.replace("_", " ") if number == 0 else ""}
        | {
            name: Markdown("–") if isinstance(value, dict) and value.get("value", 0) is None else value
            for name, value in row.items()
        }
        | ({"balanced_accuracy": "suppressed"} if "suppressed" in row else {})
        for column, rows in groups.items()
        for number, row in enumerate(rows)
    ]


def comparison_rows(comparisons: Json) -> list[Json]:
    """Return a row a column and metric that are tested: the differences of the subgroups from the largest, and p.

    Args:
        comparisons: `subgroup_comparisons_of_test` of the report.
    """
    rows = []
    for column, by_metric in comparisons.get("columns", {}).items():
        tested = {metric: one for metric, one in by_metric.items() if "p" in one}
        for number, (metric, one) in enumerate(tested.items()):
            differences = (f"{escape_markdown(row['subgroup'])}: {interval_to(row, '+')}" for row in one["differences"])
            rows.append(
                {
                    "column": column.replace("_", " ") if number == 0 else "",
                    "metric": metric_name(metric),
                    "reference": one["reference"],
                    "differences": Markdown("; ".join(differences)),
                    **{
                        name: Markdown(p_value(one[name]).removeprefix("p ").removeprefix("= "))
                        for name in ("p", "p_holm")
                    },
                }
            )
    return rows


def findings(comparisons: Json) -> list[Json]:
    """Return what the tests of each column show: names of metrics by verdict, and what could not be compared.

    Args:
        comparisons: `subgroup_comparisons_of_test` of the report.

    Returns:
        For each column, `verdicts`: metrics by `differs`, `unadjusted` (p is below 0.05, but not when adjusted), `none`
        and `impossible`; and `left_out`: the `reason`, its `subgroups`, and the `metrics` that it holds for.
    """
    found = []
    for column, by_metric in comparisons.get("columns", {}).items():
        verdicts: dict[str, list[str]] = {}
        reasons_of: dict[tuple[str, str], list[str]] = {}
        for metric, one in by_metric.items():
            adjusted = f" (adjusted {p_value(one['p_holm'])})" if one.get("differs") else ""
            verdicts.setdefault(verdict(one), []).append(metric_name(metric) + adjusted)
            for subgroup, reason in one["left_out"].items():
                reasons_of.setdefault((reason, subgroup), []).append(metric_name(metric))
        left_out: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (reason, subgroup), metrics in reasons_of.items():
            # The subgroup itself is too small where the reason holds for all metrics.
            left_out.setdefault((reason, () if len(metrics) == len(by_metric) else tuple(metrics)), []).append(subgroup)
        found.append(
            {
                "column": column,
                "verdicts": verdicts,
                "left_out": [
                    {"reason": reason, "subgroups": subgroups, "metrics": list(metrics)}
                    for (reason, metrics), subgroups in left_out.items()
                ],
            }
        )
    return found


def verdict(comparison: Json) -> str:
    """Return what one test shows, as a key of `verdicts`."""
    if "p" not in comparison:
        return "impossible"
    if comparison["differs"]:
        return "differs"
    return "unadjusted" if comparison["p"] < SIGNIFICANCE else "none"


def source_rows(groups: dict[str, list[Json]], comparisons: Json) -> list[Json]:
    """Return a row a metric that is pooled over sources: the sources' estimates beside what is pooled.

    Args:
        groups: `subgroups_of_test` of the report.
        comparisons: `subgroup_comparisons_of_test` of the report.
    """
    return [
        {
            "metric": metric_name(metric),
            "sources": [
                {"source": row["subgroup"], **row[metric]}
                for row in groups[comparisons["pooled_over"]]
                if row["subgroup"] in one["sources"]
            ],
            **{name: value for name, value in one.items() if name != "sources"},
        }
        for metric, one in comparisons.get("sources", {}).items()
        if "pooled" in one
    ]
