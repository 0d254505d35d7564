"""Networks and nothing else: image encoders, prompt encoder, mask decoder, and the files they are read from."""
