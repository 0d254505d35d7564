"""Exported networks: one file a target, and the proof that each answers as PyTorch does."""
