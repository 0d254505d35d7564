"""Teacher embeddings: the store that keeps them, the pass that fills it, and the data set that joins them to images."""
