"""The two distillations: losses, tasks (one module a phase), trainer, schedule, checkpoint."""
