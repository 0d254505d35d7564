"""A training checkpoint becomes one SAM-format file; see edge_sam/distill/convert.py."""

from edge_sam.distill.convert import main

if __name__ == "__main__":
    main()
