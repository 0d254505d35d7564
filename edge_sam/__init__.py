"""EdgeSAM: prompt-in-the-loop distillation of the Segment Anything Model for on-device use."""

__version__ = "0.1.0"
