"""Procedural pictures with exact masks, as near to photographs as simple rules get."""
