"""Prediction from exported graphs with numpy, Pillow and onnxruntime alone; nothing here imports PyTorch."""
