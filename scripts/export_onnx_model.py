"""A checkpoint's encoder or decoder for ONNX; see edge_sam/commands/export.py."""

from edge_sam.commands.export import export_one_graph

if __name__ == "__main__":
    export_one_graph("onnx")
