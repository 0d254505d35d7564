"""Things and their parts, and how they are painted."""

from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from edge_sam.synthesis.canvas import ROOT, Canvas, shaded
from edge_sam.synthesis.fields import SIDE, Field, fields
from edge_sam.synthesis.light import cast_shadow, folds, highlight, relief
from edge_sam.synthesis.outlines import Outline, transformed
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import Mask, blurred, bounds, rasterize, softened
from edge_sam.synthesis.textures import Texture


@dataclass
class Part:
    """A piece of a thing: what is inside of its outlines, all of one surface.

    Attributes:
        outlines: their union is the piece; in units of the thing.
        texture: of the surface; None paints nothing (a part that only holds others).
        masked: whether it has a mask of its own; the topmost part always has.
        inside: whether it is cut off where its parent ends.
        roundness: of its relief, 0..1.
        fringe: how far hairs or leaves reach over its edge, in units of the thing.
        holes: are cut out.
        gloss: strength of a highlight, 0..1.
        tone: brightness of the whole piece, 1 is neutral: a face that is turned from the light.
        parts: painted upon it, in this order.
    """

    outlines: list[Outline]
    texture: Texture | None = None
    masked: bool = False
    inside: bool = False
    roundness: float = 0.3
    fringe: float = 0.0
    holes: list[Outline] = field(default_factory=list)
    gloss: float = 0.0
    tone: float = 1.0
    parts: list["Part"] = field(default_factory=list)

    def all_outlines(self) -> list[Outline]:
        """Return the outlines of the part and of all below."""
        below = [outline for part in self.parts for outline in part.all_outlines()]
        return self.outlines + below


@dataclass(frozen=True)
class Placement:
    """Where a thing is on the picture.

    Attributes:
        x: column of the thing's origin.
        y: row of the thing's origin.
        scale: pixels a unit.
        angle: by which it is turned, in radians.
        mirrored: left-right.
        softness: blur of its edges in pixels; blurs its surface, too, when above 1.
        shadow: ``ground``: thrown back or forward on the ground; ``wall``: behind it; empty: none.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0
    mirrored: bool = False
    softness: float = 0.6
    shadow: str = ""

    def apply(self, outlines: list[Outline]) -> list[Outline]:
        """Return outlines in pixels."""
        points = transformed(np.concatenate(outlines), self.scale, self.angle, (self.x, self.y), self.mirrored)
        return np.split(points, list(accumulate(len(outline) for outline in outlines))[:-1])


def paint_thing(canvas: Canvas, random: Randomness, thing: Part, place: Placement, parent: int = ROOT) -> int:
    """Paint a thing with its shadow and return its node."""
    node = canvas.add_node(parent)
    if place.shadow and canvas.light.shadow > 0.05:
        _throw_shadow(canvas, random, place.apply(thing.all_outlines()), place)
    _paint_part(canvas, random, thing, place, node, None)
    return node


@dataclass(frozen=True)
class _Piece:
    """The mask of a part on a rectangle of the picture."""

    mask: Mask
    top: int
    left: int


def _paint_part(
    canvas: Canvas, random: Randomness, part: Part, place: Placement, node: int, parent: _Piece | None
) -> None:
    piece = _piece(canvas, part, place, parent) if part.outlines else parent
    if piece is not None and part.texture is not None and part.outlines and piece.mask.any():
        _paint_piece(canvas, random, part, part.texture, place, piece, node)
    for child in part.parts:
        child_node = canvas.add_node(node) if child.masked else node
        _paint_part(canvas, random, child, place, child_node, piece)


def _piece(canvas: Canvas, part: Part, place: Placement, parent: _Piece | None) -> _Piece | None:
    outlines = place.apply(part.outlines)
    fringe = part.fringe * place.scale
    top, left, height, width = bounds(outlines, canvas.height, canvas.width, int(fringe) + 1)
    if height < 2 or width < 2:
        return None
    mask = rasterize(outlines, top, left, height, width)
    if part.holes:
        mask &= ~rasterize(place.apply(part.holes), top, left, height, width)
    if fringe >= 1.0:
        mask = _fringed(mask, fringe, top, left)
    if part.inside and parent is not None:
        mask &= _cut(parent, top, left, height, width)
    return _Piece(mask, top, left)


def _cut(piece: _Piece, top: int, left: int, height: int, width: int) -> Mask:
    """Return a piece's mask on another rectangle."""
    result = np.zeros((height, width), bool)
    y0, x0 = max(top, piece.top), max(left, piece.left)
    y1 = min(top + height, piece.top + piece.mask.shape[0])
    x1 = min(left + width, piece.left + piece.mask.shape[1])
    if y0 < y1 and x0 < x1:
        source = piece.mask[y0 - piece.top : y1 - piece.top, x0 - piece.left : x1 - piece.left]
        result[y0 - top : y1 - top, x0 - left : x1 - left] = source
    return result


def _fringed(mask: Mask, fringe: float, top: int, left: int) -> Mask:
    """Move the edge in and out by noise."""
    soft = softened(mask, fringe).astype(np.int16)
    zoom = min(max(int(6.0 / fringe + 0.5), 1), 4)
    rows = (np.arange(top, top + mask.shape[0]) * zoom) & (SIDE - 1)
    columns = (np.arange(left, left + mask.shape[1]) * zoom) & (SIDE - 1)
    noise: Field = fields().rough[np.ix_(rows, columns)]
    return soft + ((noise.astype(np.int16) - 128) * 3 >> 2) > 128


def _paint_piece(
    canvas: Canvas, random: Randomness, part: Part, texture: Texture, place: Placement, piece: _Piece, node: int
) -> None:
    height, width = piece.mask.shape
    colors = texture.render(piece.top, piece.left, height, width)
    if min(height, width) >= 12 and canvas.light.strength > 0.1:
        colors = shaded(colors, relief(piece.mask, canvas.light, part.roundness))
    if part.roundness > 0 and max(height, width) >= 40 and random.chance(0.4):
        colors = shaded(colors, folds(random, height, width))
    if part.tone != 1.0:
        colors = shaded(colors, np.full((height, width), int(128 * part.tone), np.uint8))
    if part.gloss > 0:
        center = (width * (0.5 + 0.25 * canvas.light.x), height * (0.5 + 0.25 * canvas.light.y))
        spot = highlight(height, width, center, max(random.between(0.1, 0.35) * min(height, width), 2.0))
        lift = (spot * int(part.gloss * 128)) >> 7
        colors = np.minimum(colors + lift[..., None], 255).astype(np.uint8)
    if place.softness > 1.2:
        colors = blurred(colors, place.softness * 0.7)
    canvas.paint(piece.mask, colors, piece.top, piece.left, node, place.softness)


def _throw_shadow(canvas: Canvas, random: Randomness, outlines: list[Outline], place: Placement) -> None:
    top, left, height, width = bounds(outlines, canvas.height, canvas.width)
    if height < 12 or width < 6:
        return
    mask = rasterize(outlines, top, left, height, width)
    light = canvas.light
    softness = random.between(0.01, 0.06)
    if place.shadow == "ground":
        shadow, margin = cast_shadow(mask, (0.0, 0.0), random.between(0.12, 0.35), -light.x * 0.9, softness)
    else:
        distance = random.between(0.02, 0.12)
        shadow, margin = cast_shadow(mask, (-light.x * distance, -light.y * distance), 1.0, 0.0, softness)
    canvas.darken(top - margin, left - margin, shadow, light.shadow)
