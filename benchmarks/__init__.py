"""What is claimed about speed is measured here: ``python -m benchmarks``."""
