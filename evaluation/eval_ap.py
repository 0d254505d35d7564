"""Mask AP of a checkpoint on COCO or LVIS, asked by a detector's boxes or true ones. ``--help`` lists the options."""

from edge_sam.evaluation.run_average_precision import main

if __name__ == "__main__":
    main()
