"""How good the masks are: protocols, mean IoU over instances, reports."""
