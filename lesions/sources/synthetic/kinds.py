"""The seven kinds of lesion that are drawn, each with the structures that dermoscopy looks for in it."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from lesions.sources.synthetic.exact import exponential, lognormal, normals, uniform, wave
from lesions.sources.synthetic.shapes import (
    TURNS,
    Lesion,
    X,
    Y,
    network,
    noise,
    pigment,
    random_outline,
    spots,
    step,
    vessels,
)


def _nevus(rng: Generator, mesh: float) -> Lesion:
    """One or two browns, symmetric; a regular network fading at the rim, or globules, or neither."""
    lesion = Lesion()
    dysplastic = rng.random() < 0.25
    outline = random_outline(rng, 0.10 if dysplastic else 0.05, 0.04)
    depth = lognormal(rng, -0.5, 0.45)
    base = pigment(rng, outline, uniform(rng, 0.1, 0.3), 0.35 if dysplastic else 0.15)
    lesion.melanin = depth * base
    lesion.blood = uniform(rng, 0.0, 0.4) * outline.inside(0.2)
    pattern = rng.choice(["network", "globules", "plain"], p=[0.55, 0.2, 0.25])
    if pattern == "network":
        lines = network(rng, uniform(rng, 0.8, 1.1) * mesh, 0.35 if dysplastic else 0.2)
        fading = outline.inside(0.35) * np.clip(0.8 + 0.3 * noise(rng, 5), 0.2, 1.2)
        lesion.melanin *= 1 - 0.4 * fading
        lesion.melanin += uniform(rng, 0.4, 0.9) * depth * lines * fading
    elif pattern == "globules":
        points = outline.scatter(rng, int(rng.integers(30, 80)), 0.0, 1.0)
        lesion.melanin += uniform(rng, 0.3, 0.7) * spots(rng, points, (0.2 * mesh, 0.42 * mesh), 0.7)
    if rng.random() < 0.25:  # darker, or paler, in the middle
        middle = spots(rng, outline.scatter(rng, 1, 0, 0.3), (0.3, 0.5), 1.0, 0.1)
        lesion.melanin *= 1 + (-0.5 if rng.random() < 0.5 else 0.6) * middle
    return lesion


def _melanoma(rng: Generator, mesh: float) -> Lesion:
    """Asymmetric in outline and colour: atypical network, blotches, dots, blue-white veil, scar, streaks."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.06, 0.18), uniform(rng, 0.05, 0.1))
    if rng.random() < 0.35:  # streaks: fingers of pigment on one part of the rim
        sector = np.clip(wave(TURNS - rng.random()) + 0.3, 0, 1)
        teeth = wave(int(rng.integers(16, 26)) * TURNS + 0.5 * noise(rng, 5))
        outline.rho -= 0.15 * sector * np.clip(teeth, 0, 1)
    depth = lognormal(rng, -0.3, 0.4)
    inside = outline.inside(uniform(rng, 0.05, 0.15))
    base = pigment(rng, outline, uniform(rng, 0.06, 0.2), uniform(rng, 0.3, 0.65))
    tilt = rng.random()
    lopsided = 1 + uniform(rng, 0.2, 0.6) * (X * wave(tilt) + Y * wave(tilt - 0.25))
    lesion.melanin = depth * base * np.clip(lopsided, 0.2, 2)
    lesion.blood = inside * np.clip(uniform(rng, 0.0, 0.4) + 0.2 * noise(rng, 4), 0, 1)
    if rng.random() < 0.7:
        lines = network(rng, uniform(rng, 1.0, 1.5) * mesh, uniform(rng, 0.5, 0.8))
        lesion.melanin += uniform(rng, 0.3, 0.8) * depth * lines * step(noise(rng, 4) + 0.2, 0.5) * inside
    if rng.random() < 0.65:
        points = outline.scatter(rng, int(rng.integers(1, 4)), 0.2, 0.8)
        lesion.melanin += uniform(rng, 0.5, 1.2) * spots(rng, points, (0.2, 0.4), 0.7, 0.12) * inside
    if rng.random() < 0.6:
        middle = outline.scatter(rng, 1, 0.3, 0.8)[0]
        dots = middle + normals(rng, 0, 0.28, 2 * int(rng.integers(8, 26))).reshape(-1, 2)
        lesion.melanin += uniform(rng, 0.6, 1.2) * spots(rng, dots, (0.12 * mesh, 0.4 * mesh), 0.6, 0.01) * inside
    if rng.random() < 0.6:
        veil = spots(rng, outline.scatter(rng, 2, 0.1, 0.6), (0.25, 0.5), 1.3, 0.15)
        haze = np.clip(0.8 + 0.25 * noise(rng, 24), 0, 1.2)
        lesion.blue = uniform(rng, 0.4, 0.8) * veil * haze * inside
    if rng.random() < 0.4:
        scar = spots(rng, outline.scatter(rng, 2, 0.2, 0.8), (0.15, 0.35), 1.0, 0.12)
        lesion.white = uniform(rng, 0.25, 0.55) * scar * inside
    return lesion


def _keratosis(rng: Generator, mesh: float) -> Lesion:
    """Stuck on: a sharp border; milia-like cysts, comedo-like openings, ridges and furrows."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.04, 0.12), uniform(rng, 0.03, 0.07))
    if rng.random() < 0.3:  # moth-eaten: small bites out of the rim
        outline.rho += 0.8 * spots(rng, outline.scatter(rng, 9, 0.92, 1.1), (0.06, 0.16))
    inside = outline.inside(uniform(rng, 0.025, 0.08))
    depth = lognormal(rng, -0.65, 0.5)
    lesion.melanin = depth * inside * exponential(0.25 * noise(rng, 8) + 0.15 * noise(rng, 44))
    lesion.blood = uniform(rng, 0.0, 0.4) * inside
    lesion.keratin = uniform(rng, 0.0, 0.25) * inside * np.clip(1 + 0.5 * noise(rng, 8), 0, 2)
    if rng.random() < 0.4:
        turn = uniform(rng, 0, 0.5)
        bend = X * wave(turn) + Y * wave(turn - 0.25) + 0.16 * noise(rng, 7) + 0.04 * noise(rng, 16)
        ridges = 0.5 + 0.5 * wave(bend / (uniform(rng, 0.9, 1.4) * mesh))
        lesion.melanin += uniform(rng, 0.2, 0.5) * ridges * np.clip(0.7 + 0.5 * noise(rng, 6), 0, 1.3) * inside
    if rng.random() < 0.75:
        cysts = outline.scatter(rng, int(rng.integers(3, 16)), 0, 0.9)
        lesion.white = uniform(rng, 0.4, 0.8) * spots(rng, cysts, (0.2 * mesh, 0.45 * mesh), 0.9)
    if rng.random() < 0.6:
        openings = outline.scatter(rng, int(rng.integers(3, 12)), 0, 0.85)
        plugs = spots(rng, openings, (0.3 * mesh, 0.6 * mesh), 0.7, 0.015)
        lesion.melanin += uniform(rng, 0.5, 1.2) * plugs
        lesion.white *= 1 - plugs
    return lesion


def _basal_cell_carcinoma(rng: Generator, mesh: float) -> Lesion:
    """Pearly pink with branching vessels; blue-grey ovoid nests, sometimes an ulcer."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.05, 0.12), 0.06)
    inside = outline.inside(uniform(rng, 0.12, 0.3))
    lesion.melanin = uniform(rng, 0.0, 0.5) * pigment(rng, outline, 0.25, 0.5)
    lesion.blood = uniform(rng, 0.1, 0.5) * inside * np.clip(1 + 0.3 * noise(rng, 5), 0, 2)
    lesion.white = uniform(rng, 0.05, 0.25) * inside * np.clip(0.8 + 0.6 * noise(rng, 7), 0, 2)
    if rng.random() < 0.65:
        points = outline.scatter(rng, int(rng.integers(2, 10)), 0.1, 0.9)
        nests = spots(rng, points, (0.08, 0.2), 1.0, 0.06) * np.clip(0.85 + 0.2 * noise(rng, 24), 0, 1.2)
        lesion.blue = uniform(rng, 0.45, 0.75) * nests
        lesion.melanin += uniform(rng, 0.2, 1.0) * nests
    if rng.random() < 0.85:
        tree = vessels(rng, outline, int(rng.integers(2, 6)), uniform(rng, 0.14, 0.26) * mesh)
        lesion.blood += uniform(rng, 0.5, 1.2) * tree
        lesion.white *= 1 - tree
    if rng.random() < 0.25:
        ulcer = spots(rng, outline.scatter(rng, 1, 0, 0.5), (0.15, 0.3), 0.7, 0.08)
        lesion.blood += 0.9 * ulcer
        lesion.keratin = 0.35 * ulcer * np.clip(0.8 + 0.6 * noise(rng, 20), 0, 2)
    return lesion


def _actinic_keratosis(rng: Generator, mesh: float) -> Lesion:
    """Strawberry: a red network around pale follicles; scale on top; dotted vessels; a vague border."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.06, 0.14), 0.08)
    inside = outline.inside(uniform(rng, 0.15, 0.35)) * np.clip(0.85 + 0.3 * noise(rng, 5), 0, 1.3)
    lines = network(rng, uniform(rng, 0.9, 1.2) * mesh, 0.45)
    lesion.blood = inside * (uniform(rng, 0.15, 0.45) + uniform(rng, 0.3, 0.7) * lines)
    brown = np.clip(0.6 + 0.4 * lines + 0.5 * noise(rng, 6), 0, 2)
    lesion.melanin = uniform(rng, 0.0, 0.5) * inside * brown
    lesion.keratin = uniform(rng, 0.15, 0.4) * inside * np.clip(1 - 2 * lines, 0, 1)
    if rng.random() < 0.7:
        flakes = step(noise(rng, 5) + 0.7 * noise(rng, 30) - uniform(rng, 0.4, 1.0), 0.5)
        lesion.white = uniform(rng, 0.35, 0.7) * flakes * inside
    if rng.random() < 0.5:
        dots = spots(rng, outline.scatter(rng, int(rng.integers(20, 60))), (0.12 * mesh, 0.22 * mesh))
        lesion.blood += uniform(rng, 0.5, 0.9) * dots
    return lesion


def _vascular_lesion(rng: Generator, _: float) -> Lesion:
    """Red, purple or black lacunae, well apart or crowded, with pale septa between them."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.04, 0.1), 0.04)
    inside = outline.inside(uniform(rng, 0.05, 0.2))
    lesion.blood = uniform(rng, 0.3, 0.9) * inside
    points = outline.scatter(rng, int(rng.integers(8, 34)), 0.0, 0.85)
    lacunae = spots(rng, points, (0.1, 0.24), 0.7, 0.03)
    lesion.blood += uniform(rng, 0.6, 1.4) * lacunae * exponential(0.12 * noise(rng, 30))
    lesion.melanin = uniform(rng, 0.0, 0.3) * inside
    if rng.random() < 0.6:  # purple to black where the blood stands still
        still = lacunae * step(noise(rng, 4) + uniform(rng, -0.5, 0.8), 0.4)
        lesion.melanin += uniform(rng, 0.3, 1.0) * still
        lesion.blue = uniform(rng, 0.1, 0.5) * still
    lesion.white = uniform(rng, 0.05, 0.35) * inside * (1 - lacunae)
    return lesion


def _dermatofibroma(rng: Generator, mesh: float) -> Lesion:
    """A central white patch, crossed by white lines, in a faint peripheral network."""
    lesion = Lesion()
    outline = random_outline(rng, uniform(rng, 0.03, 0.08), 0.04)
    depth = lognormal(rng, -0.75, 0.4)
    base = pigment(rng, outline, uniform(rng, 0.2, 0.4), 0.25)
    rim = base * step(outline.rho - uniform(rng, 0.3, 0.5), 0.3)
    lesion.melanin = depth * (0.6 * base + 0.6 * network(rng, uniform(rng, 0.7, 0.95) * mesh, 0.25) * rim)
    lesion.blood = uniform(rng, 0.05, 0.45) * outline.inside(0.3)
    patch = spots(rng, outline.scatter(rng, 2, 0.0, 0.2), (0.25, 0.5), 1.0, 0.08)
    streaks = 0.65 + 0.45 * network(rng, 1.2 * mesh, 0.7)
    lesion.white = uniform(rng, 0.35, 0.75) * patch * streaks
    return lesion


KINDS: dict[str, Callable[[Generator, float], Lesion]] = {
    "mel": _melanoma,
    "bcc": _basal_cell_carcinoma,
    "akiec": _actinic_keratosis,
    "bkl": _keratosis,
    "nv": _nevus,
    "df": _dermatofibroma,
    "vasc": _vascular_lesion,
}
"""HAM10000's diagnoses, in the taxonomy's order; each draws a lesion, given random numbers and the usual width of a
network's meshes in lesion radii, so that a larger lesion shows more structures, not larger ones."""
