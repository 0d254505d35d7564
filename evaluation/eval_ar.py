"""Average recall of a checkpoint's automatic masks on images with annotated masks. ``--help`` lists the options."""

from edge_sam.evaluation.run_average_recall import main

if __name__ == "__main__":
    main()
