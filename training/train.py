"""Train a student: phase 1 or phase 2, as the configuration says. ``--help`` lists the options."""

from edge_sam.distill.run import main

if __name__ == "__main__":
    main()
