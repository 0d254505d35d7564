"""What people hand over, checked: pictures and prompts. Needs no PyTorch."""
