"""Plots of a quality report as SVG to be put into a page, drawn by matplotlib (extra `report`).

Colors are those of the page: each is drawn as a color that stands for a variable of its style sheet, so that plots
follow light and dark. Text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from freud.evaluation.dictionary import DUPLICATE, MATCHED
from freud.saes.metrics import DENSE, Firing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# drawn color -> variable of the page's style sheet
PALETTE = {
    "#010101": "ink",
    "#020202": "faint",
    "#030303": "bar",
    "#040404": "mark",
    "#050505": "line",
    "#060606": "third",
    "#070707": "fourth",
}
INK, FAINT, BAR, MARK, LINE, THIRD, FOURTH = PALETTE
SIZE = (5.4, 2.7)  # inches
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "freud",  # the same numbers give the same bytes
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(paint: Callable[[Axes], None], size: tuple[float, float] = SIZE) -> str:
    """An `<svg>` element with what `paint` draws."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)  # the page sets the width, the view box the rest
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 role="img"', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px '[^;\"]*", r"font: \1px inherit", svg)
    for color, variable in PALETTE.items():
        svg = svg.replace(color, f"var(--{variable})")
    return svg


def l0(firing: Firing) -> str:
    """Frames by number of active latents."""
    from matplotlib.ticker import MaxNLocator

    counts = firing.l0.numpy()
    most = int(np.nonzero(counts)[0].max())
    edges = np.unique(np.linspace(0, most + 1, min(most + 2, 61)).round())
    heights, _ = np.histogram(np.arange(len(counts)), edges, weights=counts / firing.frames)
    mean = float((np.arange(len(counts)) * counts).sum() / firing.frames)

    def paint(axes: Axes) -> None:
        axes.bar(edges[:-1] - 0.5, heights, np.diff(edges), align="edge", color=BAR)  # 3 stands from 2.5 to 3.5
        axes.axvline(mean, color=MARK, linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _note(axes, mean, f"mean {mean:.1f}")
        axes.set(xlabel="active latents of a frame", ylabel="share of frames")

    return draw(paint)


def density(firing: Firing) -> str:
    """Latents by the share of frames on which they are active."""
    shares = firing.density[firing.alive].numpy()
    edges = np.linspace(np.log10(1 / firing.frames), 0, 61)

    def paint(axes: Axes) -> None:
        axes.hist(np.log10(shares), edges, color=BAR)  # pyright: ignore[reportArgumentType]
        axes.axvline(np.log10(DENSE), color=MARK, linewidth=1.2)
        _note(axes, np.log10(DENSE), "dense")
        ticks = np.arange(np.ceil(edges[0]), 1)
        axes.set_xticks(ticks, [f"{100 * 10.0**tick:g} %" for tick in ticks])
        axes.set(xlabel="share of frames on which a latent is active", ylabel="latents")

    return draw(paint)


def cosines(values: Tensor, mark: float, label: str, what: str) -> str:
    """Latents by a cosine, with a line at `mark`."""
    low = min(0.0, float(values.min())) if len(values) else 0.0

    def paint(axes: Axes) -> None:
        axes.hist(values.clamp(max=1.0).numpy(), np.linspace(low, 1, 51), color=BAR)  # pyright: ignore
        axes.axvline(mark, color=MARK, linewidth=1.2)
        _note(axes, mark, label)
        axes.set(xlabel=what, ylabel="latents")

    return draw(paint)


def duplicates(values: Tensor) -> str:
    """Latents by the largest cosine of their decoder row with another."""
    return cosines(values, DUPLICATE, "duplicates", "largest cosine with another latent's decoder row")


def matches(values: Tensor) -> str:
    """Latents by the cosine with their partner in the other SAE."""
    return cosines(values, MATCHED, "found again", "cosine with the partner in the other SAE")


def training(rows: Sequence[dict[str, Any]]) -> str:
    """FVU of the batch over the steps of the training."""
    steps = [row["step"] for row in rows]
    fvu = [row["fvu"] for row in rows]

    def paint(axes: Axes) -> None:
        axes.plot(steps, fvu, color=BAR, linewidth=1.2)
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel="FVU of the batch")

    return draw(paint)


def frontier(series: dict[str, Sequence[tuple[float, float]]]) -> str:
    """FVU against L0: a line for each series of (l0, fvu), told apart by marker, dashes and color."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    styles = ["o-", "s--", "^-.", "D:", "v-", "X--"]
    colors = [BAR, MARK, THIRD, FOURTH, INK, FAINT]

    def paint(axes: Axes) -> None:
        for number, (name, points) in enumerate(series.items()):
            xs, ys = zip(*sorted(points), strict=True)
            style, color = styles[number % len(styles)], colors[number % len(colors)]
            axes.plot(xs, ys, style, color=color, label=name, linewidth=1.2, markersize=5)
        axes.set(xscale="log", yscale="log")
        for axis, places in ((axes.xaxis, (1, 2, 4, 8)), (axes.yaxis, (1, 1.5, 2, 3, 5))):
            axis.set_major_locator(LogLocator(subs=places))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.grid(True, axis="both")
        axes.legend(frameon=False)
        axes.set(xlabel="L0: active latents a frame, held-out clips", ylabel="FVU, held-out clips")

    return draw(paint, (6.4, 4.2))


def _note(axes: Axes, x: float, text: str) -> None:
    """A word at the top of a vertical line, on the side where there is more room."""
    low, high = axes.get_xlim()
    left = x > (low + high) / 2
    axes.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, -2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        color=MARK,
    )
