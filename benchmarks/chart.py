"""The bar chart of --plot. matplotlib is imported here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

OURS, RIVAL, FLOOR = "#1f6f5c", "#b9b4a7", "#d9a441"
TITLES = {
    "firehose": "CPU per token, as fast as it comes",
    "paced": "CPU per token, one token a read (20 ms)",
    "paced-slow": "CPU per token, one token a read (120 ms)",
    "requests": "CPU per request, kept-alive connection",
    "idle": "memory per open idle stream",
    "import": "time to import",
    "tools": "CPU per token, tool calls",
    "structured": "CPU per token, structured output",
    "serve": "CPU of a server per token, as fast as it can",
    "serve-paced": "CPU of a server per token, 200 streams, a token each 20 ms",
    "snapshots": "CPU per token, snapshot read at each delta",
}


def colour(rival: str) -> str:
    if rival.startswith("tokenwire"):
        return OURS
    return FLOOR if rival.startswith("floor") else RIVAL


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """One panel per scenario and family, on a logarithmic scale, the cheapest on top."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    units: dict[tuple[str, str], str] = {}
    for line in lines:
        if "value" in line:
            key = (line["scenario"], line["family"])
            label = line["rival"].replace("_", " ")
            if line["loop"] != "none":
                label += f", {line['loop']}"
            if line["tls"]:
                label += ", TLS"
            groups.setdefault(key, {}).setdefault(label, []).append(line["value"])
            units[key] = line["unit"]
    if not groups:
        raise SystemExit("nothing to draw")
    columns = 2 if len(groups) > 1 else 1
    keys = list(groups)
    rows = [keys[at : at + columns] for at in range(0, len(keys), columns)]
    heights = [0.9 + 0.27 * max(4, *(len(groups[key]) for key in row)) for row in rows]
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(7.5 * columns, sum(heights)),
        gridspec_kw={"height_ratios": heights},
        squeeze=False,
        layout="constrained",
    )
    for row, panels in zip(rows, axes, strict=True):
        for panel in panels[len(row) :]:
            panel.axis("off")
        for key, panel in zip(row, panels, strict=False):
            found = sorted(groups[key].items(), key=lambda item: -median(item[1]))
            names = [name for name, _ in found]
            middles = [median(values) for _, values in found]
            errors = [
                [middle - min(values) for middle, (_, values) in zip(middles, found, strict=True)],
                [max(values) - middle for middle, (_, values) in zip(middles, found, strict=True)],
            ]
            colours = [colour(name.replace(" ", "_")) for name in names]
            panel.barh(names, middles, xerr=errors, color=colours, error_kw={"lw": 0.8, "ecolor": "#555555"})
            # Bars are read by their length, so the scale is linear wherever that shows all of them.
            most = max(max(values) for _, values in found)
            wide = most > 60 * min(middles)
            if wide:
                panel.set_xscale("log")
                panel.set_xlim(min(middles) / 3, most * 4)
            else:
                panel.set_xlim(0, most * 1.15)
            panel.set_ylim(min(0, len(found) - 4) - 0.6, len(found) - 0.4)  # few bars stand on top, as wide as many
            panel.set_title(f"{TITLES.get(key[0], key[0])} ({key[1]})", loc="left", fontsize=10, weight="bold")
            panel.set_xlabel(f"{units[key]}{', logarithmic' if wide else ''}; less is better", fontsize=8)
            panel.tick_params(labelsize=8)
            panel.spines[["top", "right"]].set_visible(False)
            for place, (middle, (_, values)) in enumerate(zip(middles, found, strict=True)):
                text = f" {middle:,.0f}" if middle >= 100 else f" {middle:.3g}"
                panel.text(max(values), place, text, va="center", fontsize=7.5)
    stated = lines[0]["machine"]
    key = [Patch(color=OURS, label="tokenwire"), Patch(color=RIVAL, label="others"), Patch(color=FLOOR, label="floors")]
    figure.legend(handles=key, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(f"tokenwire and others: {stated['python']}, {stated['cpu']}, {stated['cores']} cores", fontsize=9)
    figure.savefig(path, dpi=130)
