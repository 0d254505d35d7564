"""Photographs and annotations: where they lie, how they are read, in which order, and how they get there."""
