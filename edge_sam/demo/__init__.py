"""The one-command tour through the guide."""
