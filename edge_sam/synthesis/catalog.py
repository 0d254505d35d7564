"""Which things there are, and how often."""

from collections.abc import Callable

from edge_sam.synthesis.animals import bird, fish, person, quadruped, snake
from edge_sam.synthesis.made import boat, box, building, furniture, panel, vehicle
from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.plants import bare_tree, bush, flower, leaves, mushroom, tree
from edge_sam.synthesis.shapes import ball, pole, ring, shape, stone, tool, vessel
from edge_sam.synthesis.things import Part

Builder = Callable[[Maker], Part]

LIVING: dict[Builder, float] = {
    quadruped: 5,
    person: 5,
    bird: 2.5,
    fish: 2,
    snake: 1,
    tree: 2,
    bare_tree: 0.7,
    bush: 2,
    leaves: 1,
    flower: 1,
    mushroom: 1.2,
}

MADE: dict[Builder, float] = {
    building: 2,
    box: 2,
    vehicle: 2.5,
    vessel: 2.5,
    boat: 1,
    furniture: 1.5,
    panel: 1.5,
    ring: 1,
    tool: 1.2,
    pole: 0.6,
    stone: 1.5,
    ball: 1.5,
    shape: 3,
}
