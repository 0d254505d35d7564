"""Mean IoU of a checkpoint on images with annotated masks. ``--help`` lists the options."""

from edge_sam.evaluation.run import main

if __name__ == "__main__":
    main()
