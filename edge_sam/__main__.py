"""``python -m edge_sam`` is the ``edgesam`` command."""

from edge_sam.cli import main

if __name__ == "__main__":
    main()
