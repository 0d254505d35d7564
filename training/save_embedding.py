"""Store the teacher's image embeddings; see ``python training/save_embedding.py --help``."""

from edge_sam.embeddings.run import main

if __name__ == "__main__":
    main()
