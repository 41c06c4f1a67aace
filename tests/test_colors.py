"""The figures of the design, recomputed from the shipped tokens: contrast, lightness, and what colour-blind readers see."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).parents[1] / "js" / "src" / "tokens.css").read_text(encoding="utf-8")
THEMES = ("light", "dark")

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
# severity 1; matrices on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def token(name: str, theme: str) -> np.ndarray:
    """A colour of tokens.css, ``[channel]`` in 0..1; the light values stand first in the file."""
    found = re.findall(rf"--mv-{name}:\s*(?:var\([^#)]*)?#([0-9a-f]{{6}})", CSS)
    return np.frombuffer(bytes.fromhex(found[0 if theme == "light" else 1]), np.uint8) / 255


def ramp(name: str, theme: str) -> np.ndarray:
    """The stops of a scale, ``[stop, channel]``."""
    if name == "signed":
        return np.concatenate([ramp("ember", theme)[::-1], ramp("ink", theme)[1:]])
    return np.array([token(f"{name}-{i}", theme) for i in range(9)])


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(rgb: np.ndarray) -> np.ndarray:
    return linear(rgb) @ [0.2126, 0.7152, 0.0722]


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    """As WCAG defines it: 1 to 21."""
    high, low = sorted([float(luminance(a)), float(luminance(b))], reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray, vision: str = "normal") -> np.ndarray:
    """CIELAB under D65 of colours as seen, ``[..., (L*, a*, b*)]``."""
    seen = np.clip(linear(rgb) @ VISIONS[vision].T, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = seen @ to_xyz.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def difference(one: np.ndarray, two: np.ndarray) -> float:
    """CIEDE2000 between two CIELAB colours (Sharma, Wu and Dalal 2005)."""
    l1, a1, b1 = one
    l2, a2, b2 = two
    c_mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(c_mean**7 / (c_mean**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1) % (2 * np.pi), np.arctan2(b2, a2) % (2 * np.pi)
    dh = (h2 - h1 + np.pi) % (2 * np.pi) - np.pi if c1 * c2 else 0.0
    dl, dc, big_h = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(dh / 2)
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_mean = h1 + h2 if c1 * c2 == 0 else (h1 + dh / 2) % (2 * np.pi)
    t = (
        1
        - 0.17 * np.cos(h_mean - np.pi / 6)
        + 0.24 * np.cos(2 * h_mean)
        + 0.32 * np.cos(3 * h_mean + np.pi / 30)
        - 0.20 * np.cos(4 * h_mean - np.radians(63))
    )
    turn = np.radians(30) * np.exp(-(((np.degrees(h_mean) - 275) / 25) ** 2))
    r = -2 * np.sqrt(c_mean**7 / (c_mean**7 + 25**7)) * np.sin(2 * turn)
    sl = 1 + 0.015 * (l_mean - 50) ** 2 / np.sqrt(20 + (l_mean - 50) ** 2)
    sc, sh = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * t
    return float(np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (big_h / sh) ** 2 + r * dc / sc * big_h / sh))


def test_the_colour_difference_is_that_of_the_paper():
    # Pairs 1, 7 and 17 of Sharma, Wu and Dalal's table of test data.
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ]
    for one, two, known in pairs:
        assert difference(np.array(one, float), np.array(two, float)) == pytest.approx(known, abs=1e-4)


# The table of the design: ratio on the ground and on the plate.
@pytest.mark.parametrize(
    ("name", "theme", "on_ground", "on_plate"),
    [
        ("fg", "light", 17.6, 16.0),
        ("fg2", "light", 8.1, 7.4),
        ("fg3", "light", 5.4, 4.9),
        ("line2", "light", 3.4, 3.0),
        ("edit", "light", 7.1, 6.5),
        ("focus", "light", 6.2, 5.6),
        ("fg", "dark", 15.7, 13.6),
        ("fg2", "dark", 9.6, 8.3),
        ("fg3", "dark", 6.8, 5.9),
        ("line2", "dark", 4.4, 3.8),
        ("edit", "dark", 8.3, 7.2),
        ("focus", "dark", 8.5, 7.3),
    ],
)
def test_contrast_of_text_and_marks(name, theme, on_ground, on_plate):
    # The dark ground of the table is JupyterLab's, #111111; the light one is white.
    ground = np.ones(3) if theme == "light" else np.full(3, 0x11 / 255)
    assert contrast(token(name, theme), ground) == pytest.approx(on_ground, abs=0.06)
    assert contrast(token(name, theme), token("plate", theme)) == pytest.approx(on_plate, abs=0.06)
    if name != "line2":  # a mark, never text
        assert contrast(token(name, theme), token("plate", theme)) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["warn", "error"])
def test_contrast_of_warnings_and_errors(name, theme):
    ground = np.ones(3) if theme == "light" else np.full(3, 0x11 / 255)
    assert contrast(token(name, theme), ground) >= 5.8


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["ink", "ember"])
def test_sequential_scales_rise_in_lightness_for_every_reader(name, theme, vision):
    stops = ramp(name, theme)
    # Between stops colours are mixed in sRGB: look there too.
    fine = np.array([np.interp(np.linspace(0, 8, 257), np.arange(9), stops[:, c]) for c in range(3)]).T
    lightness = lab(fine, vision)[:, 0]
    steps = np.diff(lightness) * (-1 if theme == "light" else 1)
    assert steps.min() > 0
    # Neighbouring stops can be told apart.
    seen = lab(stops, vision)
    apart = [difference(a, b) for a, b in itertools.pairwise(seen)]
    assert min(apart) >= (7.8 if vision == "normal" else 6.9) - 0.05


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
def test_the_two_arms_of_the_signed_scale_differ_and_weigh_alike(theme, vision):
    ink, ember = lab(ramp("ink", theme), vision), lab(ramp("ember", theme), vision)
    assert min(difference(a, b) for a, b in zip(ink[1:], ember[1:], strict=True)) >= 20 - 0.5
    if vision == "normal":  # |value| reads alike: equal steps have equal lightness
        assert np.abs(ink[:, 0] - ember[:, 0]).max() < 3


@pytest.mark.parametrize("theme", THEMES)
def test_lightness_falls_in_even_steps(theme):
    for name in ("ink", "ember"):
        steps = np.abs(np.diff(lab(ramp(name, theme))[:, 0]))
        assert steps.min() > 6
        assert steps.max() < 15


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
def test_categories_can_be_told_apart(theme, vision):
    colors = np.array([token(f"cat-{i}", theme) for i in range(1, 6)])
    apart = [difference(a, b) for a, b in itertools.combinations(lab(colors, vision), 2)]
    assert min(apart) >= 14.6 - 0.1
    ground = np.ones(3) if theme == "light" else np.full(3, 0x11 / 255)
    assert min(contrast(color, ground) for color in colors) >= 3.2 - 0.05


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["ink", "ember", "signed"])
def test_some_text_reads_on_every_colour(name, theme):
    stops = ramp(name, theme)
    n = len(stops)
    fine = np.array([np.interp(np.linspace(0, n - 1, 256), np.arange(n), stops[:, c]) for c in range(3)]).T
    foreground = token("fg", theme)

    def best(fill: np.ndarray) -> float:
        # The rule of js/src/color.ts: the foreground while it has 7:1, else the better of black and white.
        own = contrast(fill, foreground)
        return own if own >= 7 else max(contrast(fill, np.zeros(3)), contrast(fill, np.ones(3)))

    assert min(best(fill) for fill in fine) >= 4.58 - 0.01
