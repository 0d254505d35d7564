"""The simulated user, shared by training and evaluation: prompts, first points, clicks where masks differ."""
