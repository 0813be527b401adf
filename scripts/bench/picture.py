# SPDX-License-Identifier: GPL-2.0-only
"""make bench as one picture: the ratio of each row as a bar, its goal as a mark."""
from html import escape

from scripts.bench.rows import verdict

WIDTH, LEFT, RIGHT = 1000, 270, 260
LINE, BAR, TOP, HEAD = 20, 11, 78, 26
LAST = 2.2	# the end of the scale: what is longer ends in an arrow
GOOD, BAD, BUSY, GREY, INK = "#3b7dd8", "#d1495b", "#b8b8b8", "#d8d8d8", "#1a1a1a"


def x_of(ratio):
    return LEFT + min(ratio, LAST) / LAST * (WIDTH - LEFT - RIGHT)


def text(x, y, words, **attributes):
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(words)}</text>'


def scale(bottom):
    """A line for each fifth, the one of the base heavier."""
    for step in range(int(LAST * 5) + 1):
        x, heavy = x_of(step / 5), step == 5
        yield (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}" '
               f'stroke="{INK if heavy else GREY}" stroke-width="{1.2 if heavy else 0.8}"/>')
        yield text(round(x, 1), TOP - 13, "1 = base" if heavy else f"{step / 5:g}",
                   text_anchor="middle", font_size=11)


def bar(found, y):
    """One row, with its base line at Y."""
    top, end = y - BAR + 1, x_of(found.ratio)
    colour = BAD if found.missed else BUSY if found.busy else GOOD
    yield text(LEFT - 8, y, found.row.what, text_anchor="end")
    yield (f'<rect x="{LEFT}" y="{top}" width="{max(end - LEFT, 1):.1f}" height="{BAR}" '
           f'fill="{colour}"/>')
    if found.ratio > LAST:
        yield f'<path d="M{end:.1f} {top - 2}l9 {BAR / 2 + 2}l-9 {BAR / 2 + 2}z" fill="{colour}"/>'
    goal = x_of(found.row.goal)
    yield (f'<line x1="{goal:.1f}" x2="{goal:.1f}" y1="{top - 3}" y2="{top + BAR + 3}" '
           f'stroke="{INK}" stroke-width="2.4"/>')
    yield text(WIDTH - RIGHT + 14, y,
               ", ".join(filter(None, [f"{found.ratio:.4f}", f"goal {found.row.goal:g}",
                                       verdict(found)])),
               **({"fill": BAD} if found.missed else {}))


def svg(groups, unit):
    """GROUPS as bench_rows.results() returns them."""
    parts, y = [], TOP
    for title, rows in groups:
        y += HEAD
        # no line of the scale through the words
        parts += [f'<rect y="{y - HEAD + 8}" width="{WIDTH}" height="{HEAD - 8}" fill="white"/>',
                  text(12, y - 4, title, font_weight="bold")]
        for found in rows:
            y += LINE
            parts += bar(found, y - 5)
    height = y + 20
    head = [text(12, 24, "kvm-coco: the series against the unpatched kernel",
                 font_size=17, font_weight="bold"),
            text(12, 44, f"ratios of {unit}; shorter is better; the black mark is the goal")]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" fill="{INK}">',
        "<!-- SPDX-License-Identifier: GPL-2.0-only, made by make bench -->",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *scale(height - 12), *head, *parts, "</svg>"]) + "\n"
